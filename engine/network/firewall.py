"""Other programs' firewalls that drop what they do not know.

Docker, ufw and others give the chain FORWARD of iptables' table the policy "drop". That ends every
packet between pods and the outside, and where br_netfilter is loaded also those between nodes,
whatever other tables say: netfilter asks all of them. So, as each of these programs does for its
own links, we put two rules in front, and take them away again. Where Docker keeps a chain for just
that purpose, they go there.

What strangers send into the cluster is still refused by our own table.
"""

from __future__ import annotations

from typing import Any

from engine.network import nft

_TABLE = "filter"
_CHAINS = ("DOCKER-USER", "FORWARD")


def let_through(bridge: str, mark: str) -> None:
    """Accept what comes from or goes to a bridge; by `mark` the rules are found again."""
    with nft.opened(f"nft table {_TABLE}") as kernel:
        policies = _policies(kernel)
        if policies.get("FORWARD") != nft.DROP:
            return
        chain = next(name for name in _CHAINS if name in policies)
        if any(comment == mark for _, comment in nft.rules(kernel, _TABLE, chain)):
            return
        for direction in (nft.COMES_FROM, nft.GOES_TO):
            rule = [nft.link(direction, bridge, nft.IS), nft.verdict(nft.ACCEPT)]
            kernel.rule("insert", table=_TABLE, chain=chain, expressions=rule, userdata=mark)


def forget(mark: str) -> None:
    """Take away the rules that bear a mark; fine when there are none."""
    with nft.opened(f"nft table {_TABLE}") as kernel:
        for chain, handle in _marked(kernel, mark):
            kernel.rule("del", table=_TABLE, chain=chain, handle=handle)


def traces(mark: str) -> list[str]:
    """The rules that bear a mark, told for a person."""
    with nft.opened(f"nft table {_TABLE}") as kernel:
        marked = _marked(kernel, mark)
    return [f"nft rule ip {_TABLE} {chain} handle {handle}" for chain, handle in marked]


def _marked(kernel: Any, mark: str) -> list[tuple[str, int]]:
    policies = _policies(kernel)
    return [
        (chain, handle)
        for chain in _CHAINS
        if chain in policies
        for handle, comment in nft.rules(kernel, _TABLE, chain)
        if comment == mark
    ]


def _policies(kernel: Any) -> dict[str, int | None]:
    """The chains of iptables' table, and what each does in the end; None returns to its caller."""
    return {
        chain.get("name"): chain.get("policy")
        for chain in kernel.get_chains()
        if chain.get("table") == _TABLE
    }
