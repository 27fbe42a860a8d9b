"""pause, resume and update: what changes a living container."""

from __future__ import annotations

import os
import time

from engine.runtime.oci import state
from engine.runtime.oci.document import ConfigError, Value, read
from engine.runtime.oci.resources import controllers, limits
from engine.runtime.oci.state import CREATED, PAUSED, RUNNING, STOPPED, StateError

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
        more = controllers(resources) - container.controllers
        if more:
            names = ", ".join(sorted(name.decode() for name in more))
            raise resources.error(f"the container was created without the controller {names}")
        memory = resources.get("memory")
        if memory.get("swap") and not memory.get("limit"):
            limit = read(container.config_path, "container").get(
                "linux", "resources", "memory", "limit"
            )
            resources = Value(
                {**resources.raw, "memory": {**memory.raw, "limit": limit.number(0)}},
                resources.path,
            )
        hierarchy.limit(container.cgroup, limits(resources, hierarchy))


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
