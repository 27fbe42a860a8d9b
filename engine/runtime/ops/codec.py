"""From the wire back to operations, of every kind there is."""

from __future__ import annotations

from engine.runtime.ops import cgroups, mounts, process, rootfs, stage, stdio
from engine.runtime.ops.base import Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# A module that is not imported has not made its operations known.
MODULES = (cgroups, mounts, process, rootfs, stage, stdio)


def decode(encoded: tuple[Any, ...]) -> Op:
    """The operation that Op.encode() made a tuple of. Raise KeyError for an unknown one."""
    name, *values = encoded
    make: Callable[..., Op] = Op.KINDS[name]
    return make(*values)
