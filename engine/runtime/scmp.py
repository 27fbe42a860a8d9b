"""The words of a seccomp profile: actions, and operators of conditions (seccomp_rule_add(3)).

And the form of one, to whoever compiles it: a Spec's is made of records (seccomp.py), that of the
`oci` commands of plain objects, as to import a library of records takes longer than they run.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Protocol

    class Argument(Protocol):
        @property
        def index(self) -> int: ...
        @property
        def value(self) -> int: ...
        @property
        def value_two(self) -> int: ...
        @property
        def op(self) -> str: ...

    class Syscalls(Protocol):
        @property
        def names(self) -> tuple[str, ...]: ...
        @property
        def action(self) -> str: ...
        @property
        def errno_ret(self) -> int | None: ...
        @property
        def args(self) -> tuple[Argument, ...]: ...

    class Profile(Hashable, Protocol):
        @property
        def default_action(self) -> str: ...
        @property
        def default_errno_ret(self) -> int | None: ...
        @property
        def syscalls(self) -> tuple[Syscalls, ...]: ...


ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"
KILL = "SCMP_ACT_KILL_PROCESS"
KILL_THREAD = "SCMP_ACT_KILL_THREAD"
KILL_OLD = "SCMP_ACT_KILL"
TRAP = "SCMP_ACT_TRAP"
TRACE = "SCMP_ACT_TRACE"
LOG = "SCMP_ACT_LOG"
NOTIFY = "SCMP_ACT_NOTIFY"
ACTIONS = (ALLOW, ERRNO, KILL, KILL_THREAD, KILL_OLD, TRAP, TRACE, LOG, NOTIFY)

EQ = "SCMP_CMP_EQ"
NE = "SCMP_CMP_NE"
LT = "SCMP_CMP_LT"
LE = "SCMP_CMP_LE"
GE = "SCMP_CMP_GE"
GT = "SCMP_CMP_GT"
MASKED_EQ = "SCMP_CMP_MASKED_EQ"
OPERATORS = (EQ, NE, LT, LE, GE, GT, MASKED_EQ)
