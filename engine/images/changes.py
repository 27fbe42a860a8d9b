"""What a container changed: its upper directory, compared with the layers below."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from engine.images.layers.base import WHITEOUT_DEVICE
from engine.images.layers.view import StackView
from engine.images.tar import Parts
from engine.linux.flags import RESOLVE
from engine.linux.path import openat2

_LIMIT = 20_000
_BENEATH = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS | RESOLVE.NO_XDEV
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


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


def changes(upper: Path, lowerdirs: Sequence[Path] = (), *, limit: int = _LIMIT) -> Changes:
    """The changes in `upper`, sorted by path; without `lowerdirs` everything there counts as added.

    A directory that only leads to a change is none itself. The tree may change while it is read.
    """
    found: list[Change] = []
    root = os.open(upper, _DIRECTORY | os.O_CLOEXEC)
    try:
        with StackView(lowerdirs) as view:
            for parts, status in _walk(root):
                change = _change(view, parts, status)
                if change is not None:
                    found.append(change)
                    if len(found) >= limit:
                        break
    finally:
        os.close(root)
    found.sort(key=lambda change: change.path)
    return Changes(found, sum(change.size for change in found))


def _change(view: StackView, parts: Parts, status: os.stat_result) -> Change | None:
    path = "/" + os.fsdecode(b"/".join(parts))
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == WHITEOUT_DEVICE:
        # What only a mount point of ours was may go without a word.
        return Change("deleted", path, 0) if view.lookup(parts) else None
    below = view.lookup(parts)
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    if below is None:
        return Change("added", path, size)
    if stat.S_ISDIR(status.st_mode) and _attributes(status) == _attributes(below.status):
        return None
    return Change("changed", path, size)


def _attributes(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mode, status.st_uid, status.st_gid


def _walk(root: int) -> Iterator[tuple[Parts, os.stat_result]]:
    """Every entry below `root`, links never followed; a directory before what is in it."""
    pending: list[Parts] = [()]
    while pending:
        parent = pending.pop()
        try:
            directory = openat2(root, b"/".join(parent) or b".", _DIRECTORY, 0, _BENEATH)
        except OSError as error:
            # Gone meanwhile, or deeper than a path can say.
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
                continue
            raise
        try:
            for name in os.listdir(directory):
                parts = (*parent, os.fsencode(name))
                try:
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield parts, status
                if stat.S_ISDIR(status.st_mode):
                    pending.append(parts)
        finally:
            os.close(directory)
