"""nf_tables through pyroute2: the building blocks of rules, and failures that name their object.

Only the family ip: pods have IPv4 addresses.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from typing import Any

import pyroute2.nftables.main
from pyroute2.netlink.nfnetlink import nftsocket
from pyroute2.netlink.nfnetlink.nftsocket import Cmp, Meta, Regs

from engine.network.links import naming

Expression = dict[str, object]

IS, IS_NOT = Cmp.NFT_CMP_EQ, Cmp.NFT_CMP_NEQ
COMES_FROM, GOES_TO = Meta.NFT_META_IIFNAME, Meta.NFT_META_OIFNAME
SOURCE, DESTINATION = 12, 16
DROP, ACCEPT = 0, 1

# pyroute2 is untyped.
_NFTables: Any = pyroute2.nftables.main.NFTables
_rule_message: Any = nftsocket.nft_rule_msg
_GET_RULE = 7
_IPV4 = 2
_NETWORK_HEADER = 1
_IFNAMSIZ = 16
_CT_STATE = 0
_CT_INVALID = 1
_CT_ESTABLISHED_OR_RELATED = 2 | 4


@contextmanager
def opened(about: str) -> Iterator[Any]:
    """An NFTables of pyroute2. Its failures are OSError(errno, text, about)."""
    with naming(about), _NFTables(nfgen_family=_IPV4) as nft:
        yield nft


def rules(nft: Any, table: str, chain: str) -> list[tuple[int, str]]:
    """The handle and the comment of each rule of a chain."""
    wanted = _rule_message()
    wanted["attrs"] = [("NFTA_RULE_TABLE", table), ("NFTA_RULE_CHAIN", chain)]
    found = nft.request_get(wanted, _GET_RULE)
    return [(rule.get("handle"), comment(rule)) for rule in found]


def comment(message: Any) -> str:
    """What a table's or rule's owner wrote on it; nothing when that is not text."""
    text = message.get("userdata")
    return text if isinstance(text, str) else ""


def address(offset: int, cidr: IPv4Network, op: Cmp) -> list[Expression]:
    """The source's or destination's address IS or IS_NOT in a network."""
    return [
        _expression("payload", dreg=Regs.NFT_REG_1, base=_NETWORK_HEADER, offset=offset, len=4),
        _masked(cidr.netmask.packed),
        _compare(cidr.network_address.packed, op),
    ]


def link(key: Meta, name: str, op: Cmp) -> list[Expression]:
    """The link that the packet COMES_FROM or GOES_TO IS or IS_NOT the one of that name."""
    return [
        _expression("meta", dreg=Regs.NFT_REG_1, key=key),
        _compare(name.encode().ljust(_IFNAMSIZ, b"\0"), op),
    ]


def unasked() -> list[Expression]:
    """The packet does not belong to a conversation that has been going on: nobody asked for it."""
    return _conntrack(_CT_ESTABLISHED_OR_RELATED, IS)


def invalid() -> list[Expression]:
    """The packet belongs to no conversation, and begins none."""
    return _conntrack(_CT_INVALID, IS_NOT)


def _conntrack(states: int, op: Cmp) -> list[Expression]:
    """The packet's state IS or IS_NOT none of those."""
    return [
        _expression("ct", dreg=Regs.NFT_REG_1, key=_CT_STATE),
        _masked(struct.pack("=I", states)),
        _compare(bytes(4), op),
    ]


def masquerade() -> list[Expression]:
    return [_expression("masq")]


def verdict(code: int) -> list[Expression]:
    """DROP or ACCEPT."""
    data = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": [("NFTA_VERDICT_CODE", code)]})]}
    return [_expression("immediate", dreg=Regs.NFT_REG_VERDICT, data=data)]


def _expression(name: str, **fields: object) -> Expression:
    """One expression of a rule; its fields are the kernel's NFTA_<NAME>_<FIELD>."""
    data = [(f"NFTA_{name.upper()}_{field.upper()}", value) for field, value in fields.items()]
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": data})]}


def _masked(mask: bytes) -> Expression:
    return _expression(
        "bitwise",
        sreg=Regs.NFT_REG_1,
        dreg=Regs.NFT_REG_1,
        len=len(mask),
        mask=_data(mask),
        xor=_data(bytes(len(mask))),
    )


def _compare(value: bytes, op: Cmp) -> Expression:
    return _expression("cmp", sreg=Regs.NFT_REG_1, op=op, data=_data(value))


def _data(value: bytes) -> dict[str, object]:
    return {"attrs": [("NFTA_DATA_VALUE", value)]}
