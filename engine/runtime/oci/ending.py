"""kill and delete."""

from __future__ import annotations

import errno
import os
import select

from engine.linux.pidfd import pidfd_open, pidfd_send_signal
from engine.linux.signals import SIG
from engine.runtime.cgroup.api import Hierarchy
from engine.runtime.oci import state
from engine.runtime.oci.document import Value, read
from engine.runtime.oci.hooks import hooks
from engine.runtime.oci.state import PAUSED, STOPPED, State, StateError

_KILL_MS = 10_000


def kill(root: str, id: str, number: int, *, every: bool) -> None:
    """Raise StateError when there is nothing to signal."""
    container = state.load(root, id)
    hierarchy = container.hierarchy()
    config = read(container.config_path, "container")
    if every or (number == SIG.KILL and not _own_pids(config.get("linux"))):
        _signal_all(container, hierarchy, number)
    elif not signal_first(container, number) and not every:
        raise StateError(f"container {id!r} is stopped: container not running")
    elif number == SIG.KILL and container.status(hierarchy) == PAUSED:
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
    if number == SIG.KILL:
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
        hierarchy = container.hierarchy()
        status = container.status(hierarchy)
        if status != STOPPED:
            if not force:
                text = f"container {id!r} is {status}: it must be stopped first, or use --force"
                raise StateError(text)
            end(container, hierarchy)
        config = read(container.config_path, "container") if status != state.CREATING else None
        hierarchy.kill(container.cgroup)
        hierarchy.remove(container.cgroup)
        told = container.told(STOPPED)
        container.remove()
        if config is not None:
            for hook in hooks(config, "poststop"):
                try:
                    hook.run(told)
                except OSError as error:
                    # The container is gone, whatever they say.
                    os.write(2, f"podarium-oci: poststop {hook.path}: {error.strerror}\n".encode())


def end(container: State, hierarchy: Hierarchy) -> None:
    """SIGKILL, and wait until the kernel has done it."""
    try:
        fd = pidfd_open(container.pid) if container.alive() else -1
    except ProcessLookupError:
        fd = -1
    hierarchy.kill(container.cgroup)
    signal_first(container, SIG.KILL)
    if fd < 0:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(_KILL_MS):
            raise OSError(errno.EBUSY, "did not end when killed", container.id)
    finally:
        os.close(fd)
