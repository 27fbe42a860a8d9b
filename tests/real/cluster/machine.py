"""What of a cluster is on the machine, found by other means than the program's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from engine.home import ClusterPaths

_CGROUPS = Path("/sys/fs/cgroup")
"""Clusters' cgroups are at the top of a tree; deeper ones come and go with other tests."""


def traces(paths: ClusterPaths) -> list[str]:
    """Processes, mounts, cgroups, links, nftables and sockets that belong to a cluster."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    mounts = Path("/proc/self/mountinfo").read_text()
    words = (paths.id, f"{paths.home}/clusters/{paths.name}/", f"{paths.home}/run/{paths.name}/")
    return [
        *(line for line in links.splitlines() if paths.id in line),
        *(line for line in tables.stdout.splitlines() if paths.id in line),
        *(line for line in mounts.splitlines() if any(word in line for word in words)),
        *(str(f) for depth in ("", "*/") for f in _CGROUPS.glob(f"{depth}podarium-*{paths.id}")),
        *(f"pid {pid}" for pid in processes(paths)),
        *map(str, (paths.home / "run").glob(f"{paths.name}/*")),
    ]


def processes(paths: ClusterPaths) -> list[int]:
    """Pids whose command line names the cluster's folder or whose cgroup is the cluster's."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            cgroup = (folder / "cgroup").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if not command:
            continue  # a process that has ended, and waits for the machine's init to look at it
        engine = b"engine\0serve" in command and f"{paths.home}\0".encode() in command
        keeper = os.fsencode(paths.run) + b"/" in command
        ours = engine and f"\0{paths.name}\0".encode() in command
        if ours or keeper or paths.cgroup + b"/" in cgroup:
            found.append(int(folder.name))
    return found


def contained(paths: ClusterPaths, program: str) -> list[int]:
    """Pids on the host of the cluster's containers that run `program`, in order."""
    found = []
    for pid in processes(paths):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if program.encode() in command.split(b"\0"):
            found.append(pid)
    return sorted(found)
