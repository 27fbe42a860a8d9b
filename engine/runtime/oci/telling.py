"""What commands tell of containers: lists, processes, counters."""

from __future__ import annotations

import os
import pwd
import subprocess

from engine.runtime.cgroup.sampling import Sample
from engine.runtime.oci import state
from engine.runtime.oci.state import STOPPED, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def rows(root: str) -> list[dict[str, Any]]:
    """Every container, as runc's `list --format json` has it."""
    found = []
    for container in state.every(root):
        status = container.status(container.hierarchy())
        row = {"pid": 0, **container.document(status)}
        row["rootfs"] = container.fields["rootfs"]
        row["created"] = container.fields["created"]
        row["owner"] = _user(container.fields["owner"])
        found.append(row)
    return found


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def table(rows: list[dict[str, Any]]) -> str:
    """For a person."""
    names = ("id", "pid", "status", "bundle", "created", "owner")
    lines = [[name.upper() for name in names]]
    lines += [[str(row[name]) for name in names] for row in rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(names))]
    return "\n".join(
        "   ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def pids(container: State) -> list[int]:
    """Of all its processes, in the machine's numbers."""
    if container.status(container.hierarchy()) == STOPPED:
        raise state.StateError(f"container {container.id!r} is stopped")
    return sorted(container.hierarchy().procs(container.cgroup))


def processes(container: State, arguments: list[str]) -> str:
    """What ps(1) says of them. Raise StateError when it cannot tell their pids apart."""
    wanted = {str(pid) for pid in pids(container)}
    command = ["ps", *(arguments or ["-ef"])]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = ran.stdout.splitlines()
    if ran.returncode or not lines or "PID" not in lines[0].split():
        said = ran.stderr.strip() or "its table has no PID"
        raise state.StateError(f"{' '.join(command)}: {said}")
    column = lines[0].split().index("PID")
    kept = [line for line in lines[1:] if line.split()[column : column + 1][0] in wanted]
    return "\n".join([lines[0], *kept])


def event(container: State) -> dict[str, Any]:
    """Its counters, as runc's `events --stats` has them. Raise StateError, OSError."""
    if container.status(container.hierarchy()) == STOPPED:
        raise state.StateError(f"container {container.id!r} is stopped")
    sample = container.hierarchy().sample(container.cgroup)
    return {"type": "stats", "id": container.id, "data": _data(sample)}


def _data(sample: Sample) -> dict[str, Any]:
    return {
        "cpu": {
            "usage": {"total": sample.cpu_ns},
            "throttling": {
                "periods": sample.periods,
                "throttledPeriods": sample.throttled_periods,
                "throttledTime": sample.throttled_ns,
            },
        },
        "memory": {
            "cache": sample.file,
            "usage": {
                "limit": sample.memory_limit or 2**63 - os.sysconf("SC_PAGE_SIZE"),
                "usage": sample.memory,
                "failcnt": 0,
            },
            "raw": {
                "anon": sample.anon,
                "file": sample.file,
                "inactive_file": sample.inactive_file,
                "kernel": sample.kernel,
                "oom_kill": sample.oom_kills,
            },
        },
        "pids": {"current": sample.pids},
    }
