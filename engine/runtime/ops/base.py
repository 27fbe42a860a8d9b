"""An operation: a step of a container start that can be described, sent and applied.

The keeper imports this and everything beside it: no dataclasses and no typing, whose imports cost a
fork more than all of ours.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, dataclass_transform

    from engine.runtime.cgroup.api import Hierarchy
else:

    def dataclass_transform(**_):
        return lambda cls: cls


class Context:
    """What operations find around them: descriptors that only the process applying them knows.

    `root` is the container's root directory, as an O_PATH descriptor, once there is one; `stage` is
    what it was before. `trees`: detached mounts, in the order they will be attached.
    """

    __slots__ = (
        "console",
        "hierarchy",
        "label",
        "namespaces",
        "pidfd",
        "report",
        "root",
        "stage",
        "stderr",
        "stdin",
        "stdout",
        "trees",
        "warnings",
    )

    def __init__(self, hierarchy: Hierarchy) -> None:
        self.hierarchy = hierarchy
        self.namespaces: dict[str, int] = {}
        self.trees: list[int] = []
        self.pidfd = self.root = self.stage = self.report = -1
        self.stdin = self.stdout = self.stderr = self.console = self.label = -1
        self.warnings: list[str] = []


@dataclass_transform(frozen_default=True)
class Op:
    """Base of all. A subclass declares its fields, of types that marshal can carry.

    NAME    how it is sent and what a trace calls it
    PHASE   the part of a start it belongs to, for those who watch
    STREAMS whether it takes the standard streams that are in the Context
    """

    NAME = ""
    PHASE = ""
    STREAMS = False
    _FIELDS: tuple[str, ...] = ()
    KINDS: dict[str, type[Op]] = {}

    def __init_subclass__(cls) -> None:
        # Without any of its own it has those of its base.
        cls._FIELDS = tuple(cls.__annotations__) or cls._FIELDS
        # Only this package's travel to a keeper; others may bear the same names.
        if cls.__module__.rpartition(".")[0] == __package__:
            Op.KINDS[cls.NAME] = cls

    def __init__(self, *values: Any, **named: Any) -> None:
        self.__dict__.update(zip(self._FIELDS, values, strict=False), **named)

    def apply(self, context: Context) -> None:
        """Do it. Raise OSError naming the object."""
        raise NotImplementedError

    @property
    def about(self) -> str:
        """What it is done to, in few words."""
        return ""

    def describe(self) -> str:
        """What it does and why, in one line for a person."""
        raise NotImplementedError

    def shell(self) -> str:
        """The command that does the same, or a comment where there is none. ROOT is the rootfs."""
        raise NotImplementedError

    def encode(self) -> tuple[object, ...]:
        """As a tuple for marshal; codec.decode() gives the operation back."""
        return (self.NAME, *(getattr(self, name) for name in self._FIELDS))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Op) and self.encode() == other.encode()

    def __hash__(self) -> int:
        return hash(self.encode())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({fields})"


def shown(path: bytes) -> str:
    """A path as text for a person, whatever its bytes."""
    return os.fsencode(path).decode(errors="replace")


def quoted(words: bytes | str) -> str:
    """One word of a shell command line (shlex.quote, whose import is not worth it here)."""
    text = words if isinstance(words, str) else shown(words)
    plain = text and all(c.isalnum() or c in "@%+=:,./-_" for c in text)
    return text if plain else "'" + text.replace("'", "'\"'\"'") + "'"
