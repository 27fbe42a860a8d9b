"""What the keeper imports is copied into every container's first moment: the list is closed."""

import subprocess
import sys
from pathlib import Path

import engine

ROOT = Path(engine.__file__).parents[1]
OURS = {
    "engine",
    "engine.linux",
    "engine.linux.call",
    "engine.linux.doorstep",
    "engine.linux.flags",
    "engine.linux.mount",
    "engine.linux.names",
    "engine.linux.namespace",
    "engine.linux.netlink",
    "engine.linux.path",
    "engine.linux.pidfd",
    "engine.linux.process",
    "engine.linux.seccomp",
    "engine.linux.signals",
    "engine.linux.table",
    "engine.linux.terminal",
    "engine.linux.unix",
    "engine.runtime",
    "engine.runtime.cgroup",
    "engine.runtime.cgroup.api",
    "engine.runtime.cgroup.delegation",
    "engine.runtime.cgroup.hybrid",
    "engine.runtime.cgroup.mounts",
    "engine.runtime.cgroup.sampling",
    "engine.runtime.cgroup.tree",
    "engine.runtime.cgroup.units",
    "engine.runtime.cgroup.v1",
    "engine.runtime.cgroup.v2",
    "engine.runtime.child",
    "engine.runtime.interpreter",
    "engine.runtime.keeper",
    "engine.runtime.keeper.client",
    "engine.runtime.keeper.container",
    "engine.runtime.keeper.logs",
    "engine.runtime.keeper.loop",
    "engine.runtime.keeper.pause",
    "engine.runtime.keeper.prepared",
    "engine.runtime.keeper.process",
    "engine.runtime.keeper.sandbox",
    "engine.runtime.keeper.server",
    "engine.runtime.keeper.spares",
    "engine.runtime.keeper.start",
    "engine.runtime.keeper.streams",
    "engine.runtime.keeper.taps",
    "engine.runtime.keeper.estate",
    "engine.runtime.keeper.exits",
    "engine.runtime.keeper.holders",
    "engine.runtime.keeper.succession",
    "engine.runtime.keeper.verbs",
    "engine.runtime.ops",
    "engine.runtime.ops.base",
    "engine.runtime.ops.cgroups",
    "engine.runtime.ops.codec",
    "engine.runtime.ops.mounts",
    "engine.runtime.ops.process",
    "engine.runtime.ops.rootfd",
    "engine.runtime.ops.rootfs",
    "engine.runtime.ops.stage",
    "engine.runtime.ops.stdio",
    "engine.runtime.wire",
}
# Threads would make cloning unsafe; the others cost every fork more than all of ours.
BANNED = {
    "threading",
    "logging",
    "asyncio",
    "typing",
    "dataclasses",
    "inspect",
    "subprocess",
    "json",
}
SCRIPT = """
import sys; sys.path.insert(0, sys.argv[1])
import gc, os, signal, socket
import engine.linux.process, engine.runtime.cgroup.api, engine.runtime.keeper.server
engine.runtime.cgroup.api.detect()
print(*sorted(sys.modules))
"""


def loaded() -> set[str]:
    command = [sys.executable, "-I", "-S", "-c", SCRIPT, str(ROOT)]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_keeper_imports_only_what_it_needs() -> None:
    modules = loaded()
    assert {name for name in modules if name.split(".")[0] == "engine"} <= OURS
    assert modules & BANNED == set()
    strangers = {
        name.split(".")[0] for name in modules if not name.startswith(("engine", "_"))
    } - sys.stdlib_module_names
    assert strangers == set()
