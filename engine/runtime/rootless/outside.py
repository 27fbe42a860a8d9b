"""The way out of a network namespace for an ordinary user: pasta(1) or slirp4netns(1).

One process for the whole cluster. It belongs to the machine's network and holds a tap device in the
engine's; what leaves by the tap comes out of its ordinary sockets. It offers no way in, neither to
the cluster nor to the machine's own loopback.
"""

from __future__ import annotations

import os
import shutil

DNS = "10.0.2.3"
"""Where questions go that are for the machine's own name server, on its loopback."""

_TUN = "/dev/net/tun"
_MTU = 1500
_CLOSED = ("-t", "none", "-u", "none", "-T", "none", "-U", "none")


def command(pid: int, exit_fd: int, names: str) -> tuple[list[str], str]:
    """What to execute in the machine's network for the namespaces of process `pid`; or nothing, and
    why.

    exit_fd     ends slirp4netns when its other end closes
    names       the machine's resolv.conf(5)
    """
    found = {name: path for name in ("pasta", "slirp4netns") if (path := shutil.which(name))}
    if not found:
        return [], "neither pasta nor slirp4netns is installed"
    if not os.access(_TUN, os.R_OK | os.W_OK):
        # pasta would wait for ever, without a word.
        return [], f"{_TUN} is not there, or not for this user (sudo chmod 0666 {_TUN})"
    name = next(iter(found))
    if name == "pasta":
        return _pasta(found[name], pid, resolver(names) != names), name
    return _slirp4netns(found[name], pid, exit_fd), name


def _pasta(path: str, pid: int, forwards: bool) -> list[str]:
    network = ["--config-net", "--no-map-gw", "--ipv4-only", "--mtu", str(_MTU)]
    if forwards:
        # Only then: it would answer in that name, too, what was asked of the name server itself.
        network += ["--dns-forward", DNS]
    return [path, "-f", "-q", *network, *_CLOSED, str(pid)]


def _slirp4netns(path: str, pid: int, exit_fd: int) -> list[str]:
    options = ["--configure", f"--mtu={_MTU}", "--disable-host-loopback", f"--exit-fd={exit_fd}"]
    return [path, *options, str(pid), "tap0"]


def leads_out() -> bool:
    """Whether the network namespace of this process has a default route: proc_net(5)."""
    with open("/proc/net/route") as lines:
        rows = [line.split() for line in lines]
    return any(row[1] == row[7] == "00000000" for row in rows[1:])


def resolver(text: str) -> str:
    """A resolv.conf(5) that works inside: as the machine's, but for name servers on its loopback,
    instead of which there is DNS. Pure."""
    kept, served = [], False
    for line in text.splitlines():
        word, _, value = line.strip().partition(" ")
        local = word == "nameserver" and value.strip().startswith(("127.", "::1"))
        served = served or (word == "nameserver" and not local)
        if not local:
            kept.append(line)
    if not served:
        kept.append(f"nameserver {DNS}")
    return "\n".join(kept) + "\n"
