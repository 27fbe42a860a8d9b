"""The processes of a container, as the machine sees them and as the container does: proc(5)."""

import os
from pathlib import Path
from typing import Any

MOST = 500
_WORDS = 400
"""Bytes of a command line that are told: a program may write what it likes there."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


def processes(pids: list[int]) -> list[dict[str, Any]]:
    """In the order of their pids; those that end meanwhile are left out. `rss` in bytes."""
    found = []
    for pid in sorted(pids)[:MOST]:
        try:
            found.append(_process(Path(f"/proc/{pid}")))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _process(proc: Path) -> dict[str, Any]:
    status = _status(proc / "status")
    words = (proc / "cmdline").read_bytes()[:_WORDS].rstrip(b"\0").replace(b"\0", b" ")
    uid = int(status["Uid"].split()[1])
    return {
        "pid": int(status["Pid"]),
        "parent": int(status["PPid"]),
        # Outermost namespace first: the last one is what the container itself says.
        "inner": int(status.get("NSpid", status["Pid"]).split()[-1]),
        "name": status["Name"],
        "command": words.decode(errors="replace") or f"[{status['Name']}]",
        "state": status["State"].split()[0],
        "uid": uid,
        "threads": int(status["Threads"]),
        "rss": int((proc / "statm").read_text().split()[1]) * _PAGE,
    }


def confinement(pid: int) -> dict[str, Any]:
    """What its first process gave up: proc(5), seccomp(2), prctl(2)."""
    status = _status(Path(f"/proc/{pid}/status"))
    modes = {"0": "disabled", "1": "strict", "2": "filter"}
    return {
        "seccomp": modes.get(status.get("Seccomp", ""), "unknown"),
        "seccompFilters": int(status.get("Seccomp_filters", 0)),
        "noNewPrivileges": status.get("NoNewPrivs") == "1",
        "uid": int(status["Uid"].split()[1]),
        "gid": int(status["Gid"].split()[1]),
        "groups": [int(word) for word in status.get("Groups", "").split()],
    }


def _status(file: Path) -> dict[str, str]:
    lines = (line.partition(":") for line in file.read_text(errors="replace").splitlines())
    return {name: value.strip() for name, _, value in lines}
