"""What an ordinary user's cluster lacks on a machine: checks of the doctor's. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.runtime.checks import Check, there, want
from engine.runtime.features import Ordinary
from engine.runtime.machine import Machine


def delegated(user: Ordinary) -> Check:
    """Whether the user may have cgroups."""
    return want(
        "cgroups",
        "delegated to this user",
        user.delegated,
        "a part of the v2 tree" if user.delegated else "none",
        "CPU and processes have no limit; one of memory is kept by looking once a second; usage is"
        " added up from /proc",
        "cgroup v2 (v1 is never given to users) and a systemd session of one's own; or, as root:"
        " make a cgroup, give it to the user (chown), and start podarium in one below it",
    )


def rootless(machine: Machine) -> Iterator[Check]:
    """Ids beside one's own, and a way out."""
    maps = "newuidmap" in machine.tools and "newgidmap" in machine.tools
    yield want(
        "tools",
        "newuidmap, newgidmap",
        maps,
        there(maps),
        "without root, containers have id 0 alone: an image's files of others become one's own,"
        " and a pod that asks for another user is refused",
        "sudo apt install uidmap (Fedora: shadow-utils)",
    )
    yield want(
        "tools",
        "subordinate ids",
        machine.subordinate,
        "in /etc/subuid and /etc/subgid" if machine.subordinate else "none for this user",
        "without root, containers have id 0 alone: an image's files of others become one's own,"
        " and a pod that asks for another user is refused",
        "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
    )
    ways = [name for name in ("pasta", "slirp4netns") if name in machine.tools]
    yield want(
        "tools",
        "pasta or slirp4netns",
        bool(ways),
        ", ".join(ways) or "not in PATH",
        "without root, pods do not reach the outside",
        "sudo apt install passt (or slirp4netns)",
    )
