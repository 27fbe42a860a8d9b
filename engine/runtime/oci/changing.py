"""pause, resume and update: what changes a living container."""

from __future__ import annotations

import errno
import os
import time

from engine.runtime.cgroup import tree
from engine.runtime.cgroup.api import UNLIMITED, Hierarchy, detect
from engine.runtime.oci import launch, state
from engine.runtime.oci.controls import control
from engine.runtime.oci.document import ConfigError, Value, read
from engine.runtime.oci.resources import controllers, limits
from engine.runtime.oci.state import CREATED, PAUSED, RUNNING, STOPPED, State, StateError
from engine.runtime.ops.base import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PATIENCE_S = 10.0
_REST_FIRST_S, _REST_MAX_S = 0.0005, 0.02


def pause(root: str, id: str) -> None:
    """Returns once every process has stopped. Raise StateError."""
    container = state.load(root, id)
    with container.locked():
        hierarchy = container.hierarchy()
        status = container.status(hierarchy)
        if status not in (RUNNING, CREATED):
            raise StateError(f"container {id!r} is {status}: only a running one can be paused")
        hierarchy.freeze(container.cgroup, True)
        deadline, rest = time.monotonic() + _PATIENCE_S, _REST_FIRST_S
        while not hierarchy.is_frozen(container.cgroup):
            if time.monotonic() >= deadline:
                hierarchy.freeze(container.cgroup, False)
                raise StateError(f"container {id!r}: a process in it does not stop")
            time.sleep(rest)
            rest = min(2 * rest, _REST_MAX_S)


def resume(root: str, id: str) -> None:
    """Raise StateError."""
    container = state.load(root, id)
    with container.locked():
        hierarchy = container.hierarchy()
        status = container.status(hierarchy)
        if status != PAUSED:
            raise StateError(f"container {id!r} is {status}: only a paused one can be resumed")
        hierarchy.freeze(container.cgroup, False)


def update(root: str, id: str, resources: Value) -> None:
    """New limits; those that are not named stay. Raise StateError, ConfigError, OSError."""
    container = state.load(root, id)
    with container.locked():
        hierarchy = container.hierarchy()
        if container.status(hierarchy) == STOPPED:
            raise StateError(f"container {id!r} is stopped")
        if more := controllers(resources) - container.controllers:
            hierarchy = _widened(container, more)
        _check_before(resources, container, hierarchy)
        limited = limits(_with_limit(resources, container, hierarchy), hierarchy)
        others = control(resources, container.cgroup, hierarchy)
        try:
            hierarchy.limit(container.cgroup, limited)
        except ValueError as error:
            raise resources.error(str(error)) from None
        if others:
            launch.apply((others,), Context(hierarchy))


def _widened(container: State, more: frozenset[bytes]) -> Hierarchy:
    """The hierarchy with controllers that it did not need before: its processes come along."""
    hierarchy = detect(also=container.controllers | more)
    # Known first, so that whatever happens it is removed with the rest.
    container.fields["controllers"] = sorted(c.decode() for c in container.controllers | more)
    container.save()
    hierarchy.create(container.cgroup)
    for controller in sorted(more & hierarchy.controllers):
        procs = hierarchy.directory_of(controller, container.cgroup) + b"/cgroup.procs"
        inside = set(tree.procs(os.path.dirname(procs)))
        for pid in set(hierarchy.procs(container.cgroup)) - inside:
            try:
                tree.write(procs, b"%d" % pid)
            except OSError as error:
                # It has ended.
                if error.errno != errno.ESRCH:
                    raise
    return hierarchy


def _with_limit(resources: Value, container: State, hierarchy: Hierarchy) -> Value:
    """Memory and swap together are limited beside memory: that is as it was, if nothing is said."""
    memory = resources.get("memory")
    if not memory.get("swap") or memory.get("limit") or b"memory" not in hierarchy.controllers:
        return resources
    limit = hierarchy.sample(container.cgroup).memory_limit
    raw = {**memory.raw, "limit": UNLIMITED if limit is None else limit}
    return Value({**resources.raw, "memory": raw}, resources.path)


def _check_before(resources: Value, container: State, hierarchy: Hierarchy) -> None:
    """v1 does not take a limit below what is used; v2 does, and ends what is above it."""
    memory = resources.get("memory")
    limit = memory.get("limit").number(0)
    if not memory.get("checkBeforeUpdate").flag() or limit <= 0:
        return
    used = hierarchy.sample(container.cgroup).memory
    if used > limit:
        raise memory.get("limit").error(f"{limit} is less than the {used} bytes that are used")


def resources_of(options: dict[str, Any]) -> Value:
    """Of the command line's options, by the name of the field: "memory.limit"."""
    raw: dict[str, Any] = {}
    for name, value in options.items():
        if value is not None:
            group, _, field = name.partition(".")
            raw.setdefault(group, {})[field] = value
    return Value(raw, "resources")


def resources_from(path: str) -> Value:
    """Of a file, or "-" for what we are given to read. Raise ConfigError."""
    found = read("/proc/self/fd/0" if path == "-" else os.path.abspath(path), "resources")
    # podman hands over the whole of "linux", not only its resources.
    return Value((found.get("resources") or found).raw, "resources")


def size(text: str) -> int:
    """Bytes, as "64m" or "-1". Raise ConfigError."""
    digits, unit = text.lower().removesuffix("b"), 0
    if digits and digits[-1] in "kmgt":
        digits, unit = digits[:-1], "kmgt".index(digits[-1]) + 1
    try:
        return int(digits) << 10 * unit
    except ValueError:
        raise ConfigError(f"{text!r} is not a size: bytes, or with k, m, g, t") from None
