"""The host's nftables table of a cluster: pods reach the outside, strangers do not reach pods.

    table ip podarium_1a2b3c {
        comment "eth0 forwarding was 0"
        chain postrouting {
            type nat hook postrouting priority srcnat;
            ip saddr 10.64.0.0/16 ip daddr != 10.64.0.0/16 masquerade
        }
        chain forward {
            type filter hook forward priority filter;
            iifname != "pdm1a2b3c" oifname "pdm1a2b3c" ct state != established,related drop
        }
    }

The comment remembers a setting of the machine as it was: a table lasts as long as the setting does,
until the next reboot, and every cluster can read it, wherever its home is.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Network
from typing import Any

import pyroute2.nftables.main
from pyroute2.netlink.nfnetlink.nftsocket import Cmp, Meta, Regs

from engine.network.links import naming

PREFIX = "podarium_"

Expression = dict[str, object]

# pyroute2 is untyped.
_NFTables: Any = pyroute2.nftables.main.NFTables
_IPV4 = 2
_SRCNAT, _FILTER = 100, 0
_DROP, _ACCEPT = 0, 1
_NETWORK_HEADER = 1
_SADDR, _DADDR = 12, 16
_CT_STATE = 0
_CT_ESTABLISHED_OR_RELATED = 2 | 4


def tables() -> dict[str, str]:
    """The comment of every cluster's table on this machine, by the table's name."""
    with naming("nft tables"), _NFTables(nfgen_family=_IPV4) as nft:
        found = {m.get("name"): m.get("userdata") or "" for m in nft.get_tables()}
    return {name: comment for name, comment in found.items() if name.startswith(PREFIX)}


def install(table: str, cidr: IPv4Network, bridge: str, comment: str) -> None:
    """Make the table as shown above, anew if it is there."""
    remove(table)
    with naming(f"nft table {table}"), _NFTables(nfgen_family=_IPV4) as nft:
        nft.table("add", name=table, userdata=comment)
        nft.chain(
            "add",
            table=table,
            name="postrouting",
            type="nat",
            hook="postrouting",
            priority=_SRCNAT,
            policy=_ACCEPT,
        )
        nft.chain(
            "add",
            table=table,
            name="forward",
            type="filter",
            hook="forward",
            priority=_FILTER,
            policy=_ACCEPT,
        )
        inside = _network(_SADDR, cidr, Cmp.NFT_CMP_EQ)
        outside = _network(_DADDR, cidr, Cmp.NFT_CMP_NEQ)
        nft.rule(
            "add", table=table, chain="postrouting", expressions=(inside, outside, _masquerade())
        )
        into = _link(Meta.NFT_META_OIFNAME, bridge, Cmp.NFT_CMP_EQ)
        stranger = _link(Meta.NFT_META_IIFNAME, bridge, Cmp.NFT_CMP_NEQ)
        drop = (stranger, into, _unasked(), _drop())
        nft.rule("add", table=table, chain="forward", expressions=drop)


def remove(table: str) -> None:
    """Delete the table with all that is in it; fine when there is none."""
    if table in tables():
        with naming(f"nft table {table}"), _NFTables(nfgen_family=_IPV4) as nft:
            nft.table("del", name=table)


def _expression(name: str, **fields: object) -> Expression:
    """One expression of a rule; its fields are the kernel's NFTA_<NAME>_<FIELD>."""
    data = [(f"NFTA_{name.upper()}_{field.upper()}", value) for field, value in fields.items()]
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": data})]}


def _network(offset: int, cidr: IPv4Network, op: Cmp) -> list[Expression]:
    """An address of the IP header is, or is not, in a network."""
    return [
        _expression("payload", dreg=Regs.NFT_REG_1, base=_NETWORK_HEADER, offset=offset, len=4),
        _masked(cidr.netmask.packed),
        _compare(cidr.network_address.packed, op),
    ]


def _link(key: Meta, name: str, op: Cmp) -> list[Expression]:
    """The packet's link is, or is not, the one of that name."""
    return [
        _expression("meta", dreg=Regs.NFT_REG_1, key=key),
        _compare(name.encode().ljust(16, b"\0"), op),
    ]


def _unasked() -> list[Expression]:
    """Nobody inside began this conversation."""
    return [
        _expression("ct", dreg=Regs.NFT_REG_1, key=_CT_STATE),
        _masked(struct.pack("=I", _CT_ESTABLISHED_OR_RELATED)),
        _compare(bytes(4), Cmp.NFT_CMP_EQ),
    ]


def _masquerade() -> list[Expression]:
    return [_expression("masq")]


def _drop() -> list[Expression]:
    verdict = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": [("NFTA_VERDICT_CODE", _DROP)]})]}
    return [_expression("immediate", dreg=Regs.NFT_REG_VERDICT, data=verdict)]


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
