"""What a container changed: its upper directory, compared with the layers below."""

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from engine.images.layers.base import WHITEOUT_DEVICE, opaque
from engine.images.layers.view import Found, StackView
from engine.images.tar import Parts
from engine.images.walk import walk

_LIMIT = 20_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Change:
    """One path, as seen in the container. `size` is a file's bytes, 0 for anything else."""

    kind: Literal["added", "changed", "deleted"]
    path: str
    size: int


class Changes(NamedTuple):
    """`changes` are at most as many as asked for; `size` is the bytes of the files among them."""

    changes: list[Change]
    size: int


def changes(
    upper: Path,
    lowerdirs: Sequence[Path] = (),
    *,
    limit: int = _LIMIT,
    stubs: Collection[Parts] = (),
) -> Changes:
    """The changes in `upper`, sorted by path; without `lowerdirs` everything there counts as added.

    A directory that only leads to a change is none itself, nor is what was made at `stubs` to
    mount something on. The tree may change while it is read. Raise ImageError for one that is
    deeper than a path can say.
    """
    found: list[Change] = []
    root = os.open(upper, _DIRECTORY)
    try:
        with StackView(lowerdirs) as view:
            for parts, there in walk(root):
                if parts not in stubs:
                    found += _changes(view, parts, there)
                if len(found) >= limit:
                    break
    finally:
        os.close(root)
    found = sorted(found[:limit], key=lambda change: change.path)
    return Changes(found, sum(change.size for change in found))


def _changes(view: StackView, parts: Parts, found: Found) -> Iterator[Change]:
    path, status = _path(parts), found.status
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == WHITEOUT_DEVICE:
        # What only a mount point of ours was may go without a word.
        if view.lookup(parts):
            yield Change("deleted", path, 0)
        return
    below = view.lookup(parts)
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    if below is None:
        yield Change("added", path, size)
        return
    same = _attributes(status) == _attributes(below.status)
    if not (stat.S_ISDIR(status.st_mode) and same):
        yield Change("changed", path, size)
    if stat.S_ISDIR(status.st_mode) and stat.S_ISDIR(below.status.st_mode):
        kept = _hides(found)
        if kept is not None:
            gone = (name for name in view.names(parts) if name not in kept)
            yield from (Change("deleted", _path((*parts, name)), 0) for name in gone)


def _hides(found: Found) -> set[bytes] | None:
    """What an opaque directory holds; None when it is none, or gone."""
    try:
        descriptor = os.open(found.name, _DIRECTORY, dir_fd=found.directory)
    except OSError:
        return None
    try:
        if os.getxattr(descriptor, opaque()) == b"y":
            return set(map(os.fsencode, os.listdir(descriptor)))
    except OSError:
        pass  # it has no such mark
    finally:
        os.close(descriptor)
    return None


def _path(parts: Parts) -> str:
    return "/" + os.fsdecode(b"/".join(parts))


def _attributes(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mode, status.st_uid, status.st_gid
