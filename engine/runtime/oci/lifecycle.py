"""create, start, kill, delete and their kin: each a short-lived process of one thread.

`create` leaves the container's process waiting behind; whoever started us and is its reaper
(conmon) inherits it.
"""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import signal
import socket

from engine.linux.pidfd import pidfd_open, pidfd_send_signal
from engine.linux.process import capget, set_dumpable, start_time
from engine.runtime.cgroup.api import Hierarchy, detect
from engine.runtime.errors import StartError
from engine.runtime.oci import launch, state
from engine.runtime.oci.bundle import Bundle
from engine.runtime.oci.document import Value, read
from engine.runtime.oci.hooks import hooks
from engine.runtime.oci.plan import compile
from engine.runtime.oci.resources import controllers
from engine.runtime.oci.state import CREATED, PAUSED, RUNNING, STOPPED, State, StateError
from engine.runtime.ops.base import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_KILL_MS = 10_000


def hierarchy_of(container: State) -> Hierarchy:
    return detect(also=container.controllers)


def create(
    root: str, id: str, bundle_path: str, *, console: int = -1, pid_file: str = "", keep: int = 0
) -> State:
    """Everything up to the exec of the program. `console`: a socket that takes the terminal.

    Raise ConfigError, StateError, StartError; then nothing is left behind.
    """
    bundle = Bundle.load(bundle_path)
    also = controllers(bundle.config.get("linux", "resources"))
    hierarchy = detect(also=also)
    if bundle.config.get("process", "terminal").flag() != (console >= 0):
        wants = "needs a terminal: --console-socket" if console < 0 else "has no terminal"
        raise bundle.config.get("process", "terminal").error(f"the process {wants}")
    cgroup = bundle.cgroup(id)
    if hierarchy.exists(cgroup) and (inside := hierarchy.procs(cgroup)):
        text = f"{os.fsdecode(cgroup)!r} has processes already: {', '.join(map(str, inside))}"
        raise bundle.config.get("linux", "cgroupsPath").error(text)
    annotations = {k: v.text() for k, v in bundle.config.get("annotations").entries()}
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
            "annotations": annotations,
            "owner": os.geteuid(),
        },
    )
    try:
        with container.locked():
            shutil.copyfile(os.path.join(bundle.path, "config.json"), container.config_path)
            _create(container, bundle, hierarchy, console, keep)
            if pid_file:
                write_pid(pid_file, container.pid)
    except BaseException:
        _discard(container, hierarchy)
        raise
    return container


def _create(
    container: State, bundle: Bundle, hierarchy: Hierarchy, console: int, keep: int
) -> None:
    _, permitted, _ = capget()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        at(container, listener.bind)
        listener.listen(1)
        plan = compile(
            bundle,
            container.id,
            hierarchy,
            held=permitted,
            listener=listener.fileno(),
            state=_told(container, "creating"),
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
            pid_namespace,
        )
    container.fields["pid"] = cloned.pid
    container.fields["pidStart"] = start_time(cloned.pid)
    container.fields["steps"] = cloned.steps
    container.save()

    def run_hooks() -> None:
        for point in ("prestart", "createRuntime"):
            _run_hooks(bundle, point, _told(container, "creating"))

    def map_ids() -> None:
        _map_ids(bundle, cloned.pid)

    try:
        cloned.listen("created", {"hooks": run_hooks, "map-ids": map_ids})
    except BaseException:
        cloned.reap()
        raise


def _open_pid_namespace(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else -1
    except OSError as error:
        text = error.strerror or str(error)
        raise StartError("join-namespaces", path, error.errno or 0, text, "") from None


def _map_ids(bundle: Bundle, pid: int) -> None:
    linux = bundle.config.get("linux")
    for name, file in (("uidMappings", "uid_map"), ("gidMappings", "gid_map")):
        lines = [
            f"{item.get('containerID').number()} {item.get('hostID').number()}"
            f" {item.get('size').number()}\n"
            for item in linux.get(name).items()
        ]
        if not lines:
            raise linux.get(name).error("a user namespace needs a mapping")
        with open(f"/proc/{pid}/{file}", "wb", buffering=0) as out:
            out.write("".join(lines).encode())


def _told(container: State, status: str) -> bytes:
    """What a hook reads."""
    return json.dumps(container.document(status)).encode()


def _run_hooks(bundle: Bundle, point: str, told: bytes) -> None:
    for hook in hooks(bundle.config, point):
        try:
            hook.run(told)
        except OSError as error:
            text = error.strerror or str(error)
            raise StartError(point, hook.path, error.errno or 0, text, "") from None


def at(container: State, do: Callable[[str], object]) -> None:
    """bind() or connect() at its socket, whose path may be longer than an address can be."""
    directory = os.open(container.directory, os.O_PATH | os.O_CLOEXEC)
    try:
        do(f"/proc/self/fd/{directory}/start")
    finally:
        os.close(directory)


def write_pid(path: str, pid: int) -> None:
    """Whole or not at all: others watch for it."""
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}")
    with open(temporary, "w") as file:
        file.write(str(pid))
    os.rename(temporary, path)


def start(root: str, id: str) -> None:
    """Let it execute its program. Raise StateError, StartError."""
    container = state.load(root, id)
    with container.locked():
        status = container.status(hierarchy_of(container))
        if status != CREATED:
            raise StateError(f"container {id!r} is {status}, and only a created one can be started")
        bundle = Bundle(container.fields["bundle"], read(container.config_path, "container"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gate:
            at(container, gate.connect)
            os.unlink(container.socket)
            steps = [(str(name), str(about)) for name, about in container.fields["steps"]]
            launch.Cloned(container.pid, gate, steps).listen("ready", {})
        told = _told(container, RUNNING)
        _run_hooks(bundle, "poststart", told)


def kill(root: str, id: str, number: int, *, every: bool) -> None:
    """Raise StateError when there is nothing to signal."""
    container = state.load(root, id)
    hierarchy = hierarchy_of(container)
    config = read(container.config_path, "container")
    if every or (number == signal.SIGKILL and not _own_pids(config.get("linux"))):
        _signal_all(container, hierarchy, number)
    elif not signal_first(container, number) and not every:
        raise StateError(f"container {id!r} is stopped: container not running")
    elif number == signal.SIGKILL and container.status(hierarchy) == PAUSED:
        # v1's freezer keeps even this from a process.
        hierarchy.freeze(container.cgroup, False)


def _own_pids(linux: Value) -> bool:
    return any(item.get("type").text() == "pid" for item in linux.get("namespaces").items())


def signal_first(container: State, number: int) -> bool:
    """To its first process; False when that has ended."""
    try:
        fd = pidfd_open(container.pid)
    except ProcessLookupError:
        return False
    try:
        # Only now that the pid is held can its beginning tell whose it is.
        if not container.alive():
            return False
        pidfd_send_signal(fd, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def _signal_all(container: State, hierarchy: Hierarchy, number: int) -> None:
    if number == signal.SIGKILL:
        hierarchy.kill(container.cgroup)
        return
    for pid in hierarchy.procs(container.cgroup):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def delete(root: str, id: str, *, force: bool) -> None:
    """Remove what is left of a stopped container, or with `force` of any. Raise StateError."""
    try:
        container = state.load(root, id)
    except StateError:
        if force:
            return
        raise
    with container.locked():
        hierarchy = hierarchy_of(container)
        status = container.status(hierarchy)
        if status != STOPPED:
            if not force:
                text = f"container {id!r} is {status}: it must be stopped first, or use --force"
                raise StateError(text)
            _end(container, hierarchy)
        config = read(container.config_path, "container") if status != state.CREATING else None
        hierarchy.kill(container.cgroup)
        hierarchy.remove(container.cgroup)
        told = _told(container, STOPPED)
        container.remove()
        if config is not None:
            bundle = Bundle(container.fields["bundle"], config)
            for hook in hooks(bundle.config, "poststop"):
                try:
                    hook.run(told)
                except OSError as error:
                    warn(f"poststop {hook.path}: {error.strerror}")


def _end(container: State, hierarchy: Hierarchy) -> None:
    """SIGKILL, and wait until the kernel has done it."""
    try:
        fd = pidfd_open(container.pid) if container.alive() else -1
    except ProcessLookupError:
        fd = -1
    hierarchy.kill(container.cgroup)
    signal_first(container, signal.SIGKILL)
    if fd < 0:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(_KILL_MS):
            raise OSError(errno.EBUSY, "did not end when killed", container.id)
    finally:
        os.close(fd)


def _discard(container: State, hierarchy: Hierarchy) -> None:
    """What a failed create() had made."""
    if container.alive():
        _end(container, hierarchy)
    if hierarchy.exists(container.cgroup):
        hierarchy.kill(container.cgroup)
        hierarchy.remove(container.cgroup)
    container.remove()


def warn(text: str) -> None:
    os.write(2, f"podarium-oci: {text}\n".encode(errors="replace"))
