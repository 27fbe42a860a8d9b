"""A seccomp profile as the OCI runtime specification writes it (config-linux.md, "Seccomp")."""

import msgspec


class Argument(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition on an argument, read as 64 bits. For MASKED_EQ `value` is the mask."""

    index: int
    value: int
    value_two: int = 0
    op: str


class Syscalls(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`action` for the calls named, when all of `args` hold. The first rule that holds decides."""

    names: tuple[str, ...]
    action: str
    errno_ret: int | None = None
    args: tuple[Argument, ...] = ()


class LinuxSeccomp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Which system calls a container may make; `default_action` for those in no rule."""

    default_action: str
    default_errno_ret: int | None = None
    syscalls: tuple[Syscalls, ...] = ()
