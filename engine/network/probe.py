"""Whether this kernel can lead pods to the outside, by doing it where nobody is concerned."""

from __future__ import annotations

import threading
from ipaddress import IPv4Network

from engine.linux.flags import CLONE
from engine.linux.namespace import unshare
from engine.network import nat


def nat_fails() -> str:
    """Install a cluster's nftables table in a network namespace of its own: "" when that works,
    else the kernel's words. Needs root."""
    said: list[str] = []

    def run() -> None:
        try:
            unshare(CLONE.NEWNET)
            nat.install(f"{nat.PREFIX}probe", IPv4Network("10.64.0.0/16"), "pdmprobe", "a probe")
        except OSError as error:
            said.append(error.strerror or str(error))
        else:
            said.append("")

    # The namespace is the thread's alone, and goes with it.
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return said[0] if said else "the probe ended early"
