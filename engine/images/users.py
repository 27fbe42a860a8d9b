"""Who a container runs as: `user` of an image or a pod, looked up in the image's own files.

The image's /etc/passwd and /etc/group are a stranger's: they are found inside the layers, limited
in size, and lines that make no sense are passed over.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.images.errors import ImageError
from engine.images.layers.view import StackView

_LIMIT = 10 << 20
_MAX_ID = 0xFFFFFFFE


def lookup_user(lowerdirs: Sequence[Path], user: str) -> tuple[int, int, list[int]]:
    """(uid, gid, supplementary gids) for "", "name", "uid", "name:group" or "uid:gid".

    As Docker does: nothing is root; an unknown number is itself, with group 0; a group that is
    given replaces the user's groups. Raise ImageError when a name is not in the image.
    """
    name, colon, group = (user or "0").partition(":")
    with StackView(lowerdirs) as view:
        passwd = list(_lines(view, b"passwd", 7))
        groups = list(_lines(view, b"group", 4))
    uid, gid, known = _user(name, user, passwd)
    if colon and group:
        return uid, _group(group, user, groups), []
    extra = (
        {int(g[2]) for g in groups if known in g[3].split(",") and _is_id(g[2])} if known else set()
    )
    return uid, gid, sorted(extra)


def _user(name: str, user: str, passwd: list[list[str]]) -> tuple[int, int, str]:
    for entry in passwd:
        if name in (entry[0], entry[2]) and _is_id(entry[2]) and _is_id(entry[3]):
            return int(entry[2]), int(entry[3]), entry[0]
    if _is_id(name):
        return int(name), 0, ""
    raise ImageError(f"user {user!r}: {name!r} is not in the image's /etc/passwd, nor a valid uid")


def _group(group: str, user: str, groups: list[list[str]]) -> int:
    for entry in groups:
        if group in (entry[0], entry[2]) and _is_id(entry[2]):
            return int(entry[2])
    if _is_id(group):
        return int(group)
    raise ImageError(f"user {user!r}: {group!r} is not in the image's /etc/group, nor a valid gid")


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _MAX_ID


def _lines(view: StackView, name: bytes, fields: int) -> Iterator[list[str]]:
    data = view.read((b"etc", name), _LIMIT) or b""
    for line in data.decode(errors="replace").split("\n"):
        entry = line.split(":")
        if len(entry) >= fields and entry[0]:
            yield entry
