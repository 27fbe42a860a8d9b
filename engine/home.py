"""Where everything of a cluster lives, and what it is called.

Several clusters live side by side on one machine. Each has its own folder, sockets, cgroups, links
and names; they share only the image store. Every name that the kernel sees carries the cluster's
`id`, so that what belongs to a cluster can be found, and removed, by anyone who knows its home and
name.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOME = Path("/var/lib/podarium")
DEFAULT_CLUSTER = "default"

# A unix socket's path holds 108 bytes with its NUL (unix(7)): the longest one we make is
# HOME/run/CLUSTER/NODE.sock.
SOCKET_PATH_MAX = 107
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")


class HomeError(ValueError):
    """A home or a cluster name that cannot be used."""


def default_home() -> Path:
    """The folder named by PODARIUM_HOME; else /var/lib/podarium, or an ordinary user's own.

    That is podarium in $XDG_DATA_HOME or ~/.local/share (XDG Base Directory Specification). Sockets
    are kept there too, not in $XDG_RUNTIME_DIR: a command run by cron or su has none, and would not
    find the cluster. Raise HomeError for a user without a home.
    """
    named = os.environ.get("PODARIUM_HOME")
    if named:
        return Path(named).absolute()
    if os.geteuid() == 0:
        return DEFAULT_HOME
    try:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    except RuntimeError:
        raise HomeError("this user has no home: name a folder of his in PODARIUM_HOME") from None
    return data.absolute() / "podarium"


@dataclass(frozen=True)
class NodePaths:
    """The folders and files of one local node."""

    cluster: ClusterPaths
    name: str

    @property
    def state(self) -> Path:
        return self.cluster.state / "nodes" / self.name

    @property
    def pods(self) -> Path:
        """One folder per pod uid: volumes and containers."""
        return self.state / "pods"

    @property
    def logs(self) -> Path:
        """<namespace>_<pod>_<uid>/<container>/<attempt>.log, in the CRI's format."""
        return self.state / "logs"

    @property
    def keeper_socket(self) -> Path:
        return self.cluster.run / f"{self.name}.sock"

    @property
    def keeper_pid(self) -> Path:
        """Holds "<pid> <start time in clock ticks>" of the node's keeper."""
        return self.cluster.run / f"{self.name}.pid"

    @property
    def keeper_log(self) -> Path:
        return self.state / "keeper.log"

    @property
    def exits(self) -> Path:
        """A file for each container that has ended and has not been removed."""
        return self.state / "exits"

    @property
    def cgroup(self) -> bytes:
        """Relative to every cgroup hierarchy's root."""
        return self.cluster.cgroup + b"/" + self.name.encode()


@dataclass(frozen=True)
class ClusterPaths:
    """The folders, files and kernel names of one cluster."""

    home: Path
    name: str

    @classmethod
    def of(cls, home: Path, name: str = DEFAULT_CLUSTER) -> ClusterPaths:
        """Raise HomeError when the name is no DNS label or the sockets' paths get too long."""
        if not _NAME.fullmatch(name):
            raise HomeError(
                f"cluster {name!r}: a name has 1 to 32 of a-z, 0-9 and '-', and begins and ends"
                " with a letter or digit"
            )
        paths = cls(home.absolute(), name)
        longest = paths.run / "node-999.sock"
        if len(os.fsencode(longest)) > SOCKET_PATH_MAX:
            raise HomeError(
                f"home {home}: its sockets' paths would be longer than {SOCKET_PATH_MAX} bytes"
                f" ({longest}); choose a shorter PODARIUM_HOME"
            )
        return paths

    @property
    def id(self) -> str:
        """Six hex digits that no other (home, name) on this machine is likely to have."""
        return hashlib.sha256(f"{self.home}\0{self.name}".encode()).hexdigest()[:6]

    @property
    def images(self) -> Path:
        """The image store, shared by all clusters of this home."""
        return self.home / "images"

    @property
    def state(self) -> Path:
        return self.home / "clusters" / self.name

    @property
    def config(self) -> Path:
        return self.state / "cluster.json"

    @property
    def database(self) -> Path:
        return self.state / "store.sqlite"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def engine_log(self) -> Path:
        return self.state / "engine.log"

    @property
    def run(self) -> Path:
        """What exists only while the cluster is up: sockets, pid files, the boot log."""
        return self.home / "run" / self.name

    @property
    def api_socket(self) -> Path:
        return self.run / "api.sock"

    @property
    def engine_pid(self) -> Path:
        """Holds the pid of the engine, which keeps it locked (see engine/launch.py)."""
        return self.run / "engine.pid"

    @property
    def anchor(self) -> Path:
        """An ordinary user's: the process that keeps the cluster's namespaces, as it describes
        itself (engine/runtime/rootless)."""
        return self.run / "anchor.json"

    @property
    def processes(self) -> Path:
        """An ordinary user's without cgroups: who would be in which (engine/runtime/cgroup)."""
        return self.run / "processes"

    @property
    def boot_log(self) -> Path:
        """One JSON line per step of the engine's start."""
        return self.run / "boot.jsonl"

    @property
    def cgroup(self) -> bytes:
        """Relative to every cgroup hierarchy's root."""
        return f"podarium-{self.name}-{self.id}".encode()

    @property
    def bridge(self) -> str:
        """The fabric's bridge in the host's network namespace (IFNAMSIZ is 16)."""
        return f"pdm{self.id}"

    def fabric_link(self, index: int) -> str:
        """The host's end of node `index`'s cable."""
        return f"pdm{self.id}n{index}"

    @property
    def nft_table(self) -> str:
        return f"podarium_{self.id}"

    def node(self, name: str) -> NodePaths:
        return NodePaths(self, name)
