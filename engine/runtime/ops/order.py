"""In which order a process gives up what it may do: the last screen before it is the container's.

Capabilities, no_new_privileges, seccomp as late as can be; descriptors closed last.
"""

from __future__ import annotations

from engine.runtime.ops.process import (
    Bounding,
    Capabilities,
    CloseDescriptors,
    Exec,
    NoNewPrivileges,
    Seccomp,
    Signals,
    User,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.runtime.ops.base import Op


def confine(
    *,
    bounding: Bounding,
    user: User,
    capabilities: Capabilities,
    no_new_privileges: bool,
    seccomp: Seccomp | None,
    exec: Exec,
    gate: tuple[Op, ...] = (),
    keep: int = 0,
) -> Iterator[Op]:
    """`gate`: where it waits to be started, while no filter can forbid it to. `keep`: of the
    descriptors from 3 on, how many it is given."""
    filters = () if seccomp is None else (seccomp,)
    if not no_new_privileges:
        # Without no_new_privileges a filter takes CAP_SYS_ADMIN, which is about to go.
        yield from gate
        yield from filters
    yield bounding
    yield user
    yield capabilities
    if no_new_privileges:
        yield NoNewPrivileges()
        yield from gate
        yield from filters
    yield Signals()
    yield CloseDescriptors(keep)
    yield exec
