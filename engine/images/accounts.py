"""The users and groups that an image knows: passwd(5), group(5).

The files are the image's: every line that is not as the manual says is skipped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.images.layers.view import StackView

ID_MAX = 2**32 - 2
_SIZE_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Accounts:
    """The texts of /etc/passwd and /etc/group of an image; empty where it has none."""

    passwd: str = ""
    group: str = ""

    @classmethod
    def of(cls, lowerdirs: Sequence[Path]) -> "Accounts":
        """Those of a stack of ready layers, top first. Raise BadImage."""
        with StackView(lowerdirs) as view:
            names = (b"passwd", b"group")
            texts = [view.read((b"etc", name), _SIZE_MAX) or b"" for name in names]
        return cls(*(text.decode(errors="replace") for text in texts))

    def user(self, name: str) -> tuple[int, int, str, str] | None:
        """(uid, gid, login name, home) by name or number."""
        for login, _, uid, gid, _, home, *_ in _lines(self.passwd, 7):
            if name in (login, uid) and uid.isdecimal() and gid.isdecimal():
                return int(uid), int(gid), login, home
        return None

    def group_id(self, name: str) -> int | None:
        for group, _, gid, *_ in _lines(self.group, 4):
            if name in (group, gid) and gid.isdecimal():
                return int(gid)
        return None

    def owner(self, user: str, group: str) -> tuple[int, int]:
        """(uid, gid) by names or numbers. Without a group it is the user's own.

        Raise LookupError for a name that the image does not know.
        """
        known = self.user(user)
        uid = known[0] if known else _number(user, "user")
        if group:
            gid = self.group_id(group)
            return uid, _number(group, "group") if gid is None else gid
        return uid, known[1] if known else uid

    def memberships(self, login: str) -> list[int]:
        """The groups that list the user."""
        return [
            int(gid)
            for _, _, gid, members, *_ in _lines(self.group, 4)
            if gid.isdecimal() and login in members.split(",")
        ]


def _number(text: str, noun: str) -> int:
    if not text.isdecimal() or len(text) > 10 or int(text) > ID_MAX:
        raise LookupError(f"the image has no {noun} {text!r}")
    return int(text)


def _lines(text: str, fields: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) >= fields:
            yield parts
