"""linux.seccomp of a bundle, ready for the compiler.

The same as seccomp.py of the runtime, without the library of records that it takes 30 ms to import.
"""

from __future__ import annotations

from engine.runtime import scmp
from engine.runtime.oci.document import Value

# Which the kernel can be told with the filter.
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
}


class Argument:
    __slots__ = ("index", "op", "value", "value_two")

    def __init__(self, value: Value) -> None:
        self.index = value.get("index").number()
        if not 0 <= self.index <= 5:
            raise value.get("index").error("a system call has the arguments 0 to 5")
        self.value = value.get("value").number()
        self.value_two = value.get("valueTwo").number(0)
        self.op = value.get("op").choice(scmp.OPERATORS)


class Syscalls:
    __slots__ = ("action", "args", "errno_ret", "names")

    def __init__(self, value: Value, args: tuple[Argument, ...]) -> None:
        self.names = value.get("names").texts()
        self.action = value.get("action").choice(scmp.ACTIONS)
        self.errno_ret = _number(value.get("errnoRet"))
        self.args = args


class Profile:
    __slots__ = ("default_action", "default_errno_ret", "flags", "syscalls")

    def __init__(self, value: Value) -> None:
        self.default_action = value.get("defaultAction").choice(scmp.ACTIONS)
        self.default_errno_ret = _number(value.get("defaultErrnoRet"))
        self.syscalls = tuple(
            rule for item in value.get("syscalls").items() for rule in _rules(item)
        )
        self.flags = 0
        for flag in value.get("flags").items():
            self.flags |= FLAGS[flag.choice(tuple(FLAGS))]
        if value.get("listenerPath") and value.get("listenerPath").text():
            raise value.get("listenerPath").error("a listener of system calls is not supported")
        actions = {self.default_action, *(rule.action for rule in self.syscalls)}
        if scmp.NOTIFY in actions:
            raise value.error(f"{scmp.NOTIFY} needs a listener, which is not supported")


def _rules(value: Value) -> list[Syscalls]:
    """Conditions on the same argument are alternatives, as runc and crun have it."""
    args = tuple(Argument(item) for item in value.get("args").items())
    if len({argument.index for argument in args}) < len(args):
        return [Syscalls(value, (argument,)) for argument in args]
    return [Syscalls(value, args)]


def _number(value: Value) -> int | None:
    return value.number() if value else None
