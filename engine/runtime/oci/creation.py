"""create: everything up to the exec of the program, which waits for `start`.

The container's process stays behind: whoever started us and is its reaper (conmon) inherits it.
"""

from __future__ import annotations

import os

from engine.linux.process import capget, set_dumpable, start_time
from engine.linux.unix import listen
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.errors import StartError
from engine.runtime.oci import launch, mapping, state
from engine.runtime.oci.bundle import Bundle
from engine.runtime.oci.ending import end
from engine.runtime.oci.entering import MapIds
from engine.runtime.oci.hooks import run_hooks
from engine.runtime.oci.plan import compile
from engine.runtime.oci.resources import controllers
from engine.runtime.oci.state import State
from engine.runtime.ops.base import Context


def create(
    root: str, id: str, bundle_path: str, *, console: int = -1, pid_file: str = "", keep: int = 0
) -> State:
    """Everything up to the exec of the program. `console`: a socket that takes the terminal.

    Raise ConfigError, StateError, StartError; then nothing is left behind.
    """
    bundle = Bundle.load(bundle_path)
    also = controllers(bundle.config.get("linux", "resources"))
    hierarchy = state.hierarchy(root, also)
    if bundle.config.get("process", "terminal").flag() != (console >= 0):
        wants = "needs a terminal: --console-socket" if console < 0 else "has no terminal"
        raise bundle.config.get("process", "terminal").error(f"the process {wants}")
    cgroup = bundle.cgroup(id)
    container = state.create(
        root,
        id,
        {
            "id": id,
            "pid": 0,
            "pidStart": 0,
            "bundle": bundle.path,
            "rootfs": bundle.rootfs,
            "cgroup": os.fsdecode(cgroup),
            "controllers": sorted(name.decode() for name in also),
            "annotations": bundle.annotations,
            "owner": os.geteuid(),
        },
    )
    if hierarchy.exists(cgroup) and (inside := hierarchy.procs(cgroup)):
        # Of someone else, who is not to be killed with it.
        container.remove()
        text = f"{os.fsdecode(cgroup)!r} has processes already: {', '.join(map(str, inside))}"
        raise bundle.config.get("linux", "cgroupsPath").error(text)
    try:
        with container.locked():
            container.keep_config(bundle.path)
            _create(container, bundle, hierarchy, console, keep)
            if pid_file:
                state.write_pid(pid_file, container.pid)
    except BaseException:
        _discard(container, hierarchy)
        raise
    return container


def _create(
    container: State, bundle: Bundle, hierarchy: Hierarchy, console: int, keep: int
) -> None:
    _, permitted, _ = capget()
    listener = container.at_socket(listen)
    plan = compile(
        bundle,
        container.id,
        hierarchy,
        held=permitted,
        listener=listener,
        state=container.told("creating"),
        keep=keep,
    )
    context = Context(hierarchy)
    context.console = console
    launch.apply(plan.host_ops, context)
    # Until it executes its own program, the container's process is a copy of us.
    set_dumpable(False)
    pid_namespace = _open_pid_namespace(plan.join_pid)
    cloned = launch.clone(
        plan.child_ops,
        context,
        plan.clone_flags,
        plan.cgroup if plan.born else None,
        hierarchy,
        pid_namespace=pid_namespace,
        ahead=plan.ahead_ops,
    )
    os.close(listener)
    container.fields["pid"] = cloned.pid
    container.fields["pidStart"] = start_time(cloned.pid)
    container.fields["steps"] = cloned.steps
    container.save()

    def hooks() -> None:
        for point in ("prestart", "createRuntime"):
            run_hooks(bundle.config, point, container.told("creating"))

    def map_ids() -> None:
        linux = bundle.config.get("linux")
        mapped = (mapping.mapping(linux.get(name)) for name in ("uidMappings", "gidMappings"))
        try:
            mapping.write(cloned.pid, *mapped)
        except OSError as error:
            text, about = error.strerror or str(error), str(error.filename)
            raise StartError(MapIds.NAME, about, error.errno or 0, text, about) from None

    try:
        cloned.listen("created", {"hooks": hooks, MapIds.NAME: map_ids})
    except BaseException:
        cloned.reap()
        raise


def _open_pid_namespace(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else -1
    except OSError as error:
        text = error.strerror or str(error)
        raise StartError("join-namespaces", path, error.errno or 0, text, "") from None


def _discard(container: State, hierarchy: Hierarchy) -> None:
    """What a failed create() had made."""
    if container.alive():
        end(container, hierarchy)
    if hierarchy.exists(container.cgroup):
        hierarchy.kill(container.cgroup)
        hierarchy.remove(container.cgroup)
    container.remove()
