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

In an ordinary user's network namespace, where pasta(1) is the uplink, there is one more:

        chain input {
            type filter hook input priority filter;
            ct state invalid drop
        }

Of 2023 it sends segments that conntrack cannot place. They would not be translated back, so our own
stack would answer them with a reset, and end a pod's connection.

The comment remembers a setting of the machine as it was: a table lasts as long as the setting does,
until the next reboot, and every cluster can read it, wherever its home is.
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Network

from engine.network import nft

PREFIX = "podarium_"

# NF_IP_PRI_NAT_SRC and NF_IP_PRI_FILTER of <linux/netfilter_ipv4.h>
_SRCNAT, _FILTER = 100, 0


def tables() -> dict[str, str]:
    """The comment of every cluster's table on this machine, by the table's name."""
    with nft.opened("nft tables") as kernel:
        return {
            table.get("name"): nft.comment(table)
            for table in kernel.get_tables()
            if table.get("name").startswith(PREFIX)
        }


def install(
    table: str, cidr: IPv4Network, bridge: str, comment: str, *, drop_invalid: bool = False
) -> None:
    """Make the table as shown above, anew if it is there.

    Raise OSError saying what to load when the kernel lacks a part.
    """
    remove(table)
    try:
        _make(table, cidr, bridge, comment, drop_invalid)
    except FileNotFoundError as error:
        # All that it names we have just made: what was not found is a module.
        text = "the kernel lacks a module: sudo modprobe nft_masq nft_chain_nat nft_ct"
        raise OSError(errno.ENOENT, text, error.filename) from None


def _make(table: str, cidr: IPv4Network, bridge: str, comment: str, drop_invalid: bool) -> None:
    refuse_invalid = [nft.invalid(), nft.verdict(nft.DROP)]
    dropping = (("input", "filter", "input", _FILTER, refuse_invalid),) if drop_invalid else ()
    with nft.opened(f"nft table {table}") as kernel:
        kernel.table("add", name=table, userdata=comment)
        for chain, kind, hook, priority, rule in (
            ("postrouting", "nat", "postrouting", _SRCNAT, _masquerade(cidr)),
            ("forward", "filter", "forward", _FILTER, _refuse_strangers(bridge)),
            *dropping,
        ):
            kernel.chain(
                "add",
                table=table,
                name=chain,
                type=kind,
                hook=hook,
                priority=priority,
                policy=nft.ACCEPT,
            )
            kernel.rule("add", table=table, chain=chain, expressions=rule)


def remove(table: str) -> None:
    """Delete the table with all that is in it; fine when there is none."""
    if table in tables():
        with nft.opened(f"nft table {table}") as kernel:
            kernel.table("del", name=table)


def _masquerade(cidr: IPv4Network) -> list[list[nft.Expression]]:
    return [
        nft.address(nft.SOURCE, cidr, nft.IS),
        nft.address(nft.DESTINATION, cidr, nft.IS_NOT),
        nft.masquerade(),
    ]


def _refuse_strangers(bridge: str) -> list[list[nft.Expression]]:
    return [
        nft.link(nft.COMES_FROM, bridge, nft.IS_NOT),
        nft.link(nft.GOES_TO, bridge, nft.IS),
        nft.unasked(),
        nft.verdict(nft.DROP),
    ]
