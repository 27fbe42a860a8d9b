"""linux.seccomp of a bundle, ready for the compiler.

The same as seccomp.py of the runtime, without the library of records that it takes 30 ms to import.
"""

from __future__ import annotations

from engine.linux.flags import SECCOMP_FILTER_FLAG
from engine.linux.table import COMPATIBLE, MACHINE
from engine.runtime import filter, scmp
from engine.runtime.oci.document import Value
from engine.runtime.oci.listener import SeccompListener
from engine.runtime.ops.process import Seccomp

FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": SECCOMP_FILTER_FLAG.TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": SECCOMP_FILTER_FLAG.LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": SECCOMP_FILTER_FLAG.SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": SECCOMP_FILTER_FLAG.WAIT_KILLABLE_RECV,
}
SERVED = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X86": "i386",
    "SCMP_ARCH_AARCH64": "aarch64",
}
"""The architectures whose calls are known, by the specification's names for them."""
# Others that a profile may name: none of these machines runs their programs; of x32, which one
# could, every call is ENOSYS, as in a kernel without it.
_NAMED = (
    *("X32", "ARM", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC"),
    *("PPC64", "PPC64LE", "S390", "S390X", "PARISC", "PARISC64", "RISCV64"),
)
ARCHITECTURES = (*SERVED, *(f"SCMP_ARCH_{name}" for name in _NAMED))

_WORD = 2**64
_MAX_ERRNO = 4095


class Argument:
    __slots__ = ("index", "op", "value", "value_two")

    def __init__(self, value: Value) -> None:
        self.index = value.get("index").number()
        if not 0 <= self.index <= 5:
            raise value.get("index").error("a system call has the arguments 0 to 5")
        self.value = _word(value.get("value"))
        self.value_two = _word(value.get("valueTwo"), 0)
        self.op = value.get("op").choice(scmp.OPERATORS)


class Syscalls:
    __slots__ = ("action", "args", "errno_ret", "names")

    def __init__(self, value: Value, args: tuple[Argument, ...]) -> None:
        self.names = value.get("names").texts()
        if not self.names:
            raise value.get("names").error("names no system call")
        self.action = value.get("action").choice(scmp.ACTIONS)
        self.errno_ret = _errno(value.get("errnoRet"), self.action)
        self.args = args


class Profile:
    """`also`: the architectures beside the machine's own whose programs may run."""

    __slots__ = ("also", "default_action", "default_errno_ret", "flags", "syscalls")

    def __init__(self, value: Value) -> None:
        self.default_action = value.get("defaultAction").choice(scmp.ACTIONS)
        self.default_errno_ret = _errno(value.get("defaultErrnoRet"), self.default_action)
        self.syscalls = tuple(
            rule for item in value.get("syscalls").items() for rule in _rules(item)
        )
        self.flags = 0
        for flag in value.get("flags").items():
            self.flags |= FLAGS[flag.choice(tuple(FLAGS))]
        named = {item.choice(ARCHITECTURES) for item in value.get("architectures").items()}
        served = {SERVED[name] for name in named if name in SERVED}
        self.also = tuple(each for each in COMPATIBLE.get(MACHINE, ()) if each in served)


def confinement(value: Value) -> Seccomp | None:
    """The filter of `linux.seccomp`. Raise ConfigError."""
    if not value:
        return None
    profile = Profile(value)
    path = value.get("listenerPath")
    if value.get("listenerMetadata").text("") and not path.text(""):
        raise value.get("listenerMetadata").error("means nothing without a listenerPath")
    program = filter.compile(profile, MACHINE, profile.also)
    asked = [rule for rule in profile.syscalls if rule.action == scmp.NOTIFY]
    if profile.default_action == scmp.NOTIFY or any("write" in rule.names for rule in asked):
        # The process has to tell where its listener is before anybody can answer it.
        text = f"{scmp.NOTIFY} cannot be for every call, nor for write(2): nobody would hear of it"
        raise value.error(text)
    if not asked:
        # Of a filter that asks somebody.
        return Seccomp(program, profile.flags & ~SECCOMP_FILTER_FLAG.WAIT_KILLABLE_RECV)
    if not path.text(""):
        raise path.error(f"is missing, and {scmp.NOTIFY} needs one that listens")
    # Threads cannot be made to follow a filter that has a listener, and there is one thread.
    flags = profile.flags & ~SECCOMP_FILTER_FLAG.TSYNC | SECCOMP_FILTER_FLAG.NEW_LISTENER
    return SeccompListener(program, flags)


def _rules(value: Value) -> list[Syscalls]:
    """Conditions on the same argument are alternatives, as runc and crun have it."""
    args = tuple(Argument(item) for item in value.get("args").items())
    if len({argument.index for argument in args}) < len(args):
        return [Syscalls(value, (argument,)) for argument in args]
    return [Syscalls(value, args)]


def _word(value: Value, default: int | None = None) -> int:
    number = value.number(default)
    if not 0 <= number < _WORD:
        raise value.error(f"{number} does not fit 64 bits")
    return number


def _errno(value: Value, action: str) -> int | None:
    if not value:
        return None
    if action not in (scmp.ERRNO, scmp.TRACE):
        raise value.error(f"means nothing to {action}")
    number = value.number()
    if not 0 <= number <= _MAX_ERRNO:
        raise value.error(f"{number} is no errno")
    return number
