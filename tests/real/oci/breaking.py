"""A command of ours with an operation that fails put before each of its operations, one by one.

Run as a program of its own, which reaps what the command leaves behind and looks for what else is
left. It prints a JSON list: for each, the operation, the exit status, what was said, what was left.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from engine.linux.process import set_child_subreaper
from engine.runtime import interpreter
from engine.runtime.cgroup.api import detect
from engine.runtime.oci import creation, execution, launch
from engine.runtime.oci.plan import Plan
from engine.runtime.ops.base import Op
from engine.runtime.ops.cgroups import LimitCgroup
from podarium.oci.main import main

FAILING = LimitCgroup(((b"/no/such/file", b"1"),))
_LISTS = ("host_ops", "ahead_ops", "child_ops")


def break_plan(at: int) -> None:
    """Of a container that is created."""
    real = creation.compile

    def broken(*args: object, **named: object) -> Plan:
        plan = real(*args, **named)  # type: ignore[arg-type]
        left = at
        for name in _LISTS:
            ops: tuple[Op, ...] = getattr(plan, name)
            if left < len(ops):
                os.write(3, ops[left].NAME.encode())
                setattr(plan, name, (*ops[:left], FAILING, *ops[left:]))
                return plan
            left -= len(ops)
        raise SystemExit(99)

    creation.compile = broken


def break_exec(at: int) -> None:
    """Of a process in a container."""
    real = launch.clone

    def broken(ops: tuple[Op, ...], *args: object, **named: object) -> launch.Cloned:
        if at >= len(ops):
            raise SystemExit(99)
        os.write(3, ops[at].NAME.encode())
        return real((*ops[:at], FAILING, *ops[at:]), *args, **named)  # type: ignore[arg-type]

    execution.launch.clone = broken


def attempt(words: list[str], at: int) -> tuple[str, int, str]:
    """The operation that it failed before, the exit status, and what was said."""
    name, said = os.memfd_create("name"), os.memfd_create("said")
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for fd, number in ((null, 0), (null, 1), (said, 2), (name, 3)):
            os.dup2(fd, number)
        (break_exec if "exec" in words else break_plan)(at)
        main(words)
    _, status = os.waitpid(pid, 0)
    texts = []
    for fd in (name, said):
        os.lseek(fd, 0, os.SEEK_SET)
        texts.append(os.read(fd, 1 << 16).decode())
        os.close(fd)
    return texts[0], os.waitstatus_to_exitcode(status), texts[1]


def processes() -> list[str]:
    """Ours that still live; those that have ended are reaped."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return []
        if pid == 0:
            mine = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            return [Path(f"/proc/{child}/cmdline").read_text() for child in mine]


def mounted() -> set[str]:
    return set(Path("/proc/self/mountinfo").read_text().splitlines())


def left(root: str, cgroup: str, mounts: set[str], kept: set[str]) -> list[str]:
    """What should not be there any more."""
    found = [f"process {line!r}" for line in processes()]
    # Others' come and go meanwhile.
    found += [line for line in mounted() - mounts if os.path.dirname(root) in line]
    if not kept:
        directories = map(os.fsdecode, detect().directories(cgroup.encode()))
        found += [directory for directory in directories if os.path.exists(directory)]
    states = set(os.listdir(root)) if os.path.exists(root) else set()
    return [*found, *(f"state {name}" for name in states - kept)]


def broken(root: str, cgroup: str, words: list[str]) -> list[tuple[str, int, str, list[str]]]:
    set_child_subreaper()
    # What is executed from the seal would not have an operation that fails.
    interpreter.sealed = lambda: True
    mounts = mounted()
    kept = set(os.listdir(root)) if os.path.exists(root) else set()
    results = []
    while True:
        name, code, said = attempt(["--root", root, *words], len(results))
        if code == 99:
            return results
        results.append((name, code, said, left(root, cgroup, mounts, kept)))


if __name__ == "__main__":
    json.dump(broken(sys.argv[1], sys.argv[2], sys.argv[3:]), sys.stdout)
