"""The merged view of a stack of layers, without mounting it.

Finds a file as overlayfs would: the topmost layer that has a name decides, whiteouts and opaque
directories hide what is below. Every step is taken from a directory's descriptor and never follows
a link, so that no layer leads outside.
"""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from engine.images.errors import BadImage
from engine.images.layers.base import WHITEOUT_DEVICE, opaque
from engine.images.tar import Parts

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC  # a path of ours, and may be /proc/self/fd/N
_LINKS = 40  # MAXSYMLINKS


@dataclass(frozen=True, slots=True)
class Found:
    """A name in the view: the open directory that holds it (the view's own), its stat."""

    directory: int
    name: bytes
    status: os.stat_result


class StackView:
    """Use as a context: it keeps the layers' directories open. `layers` are top first."""

    def __init__(self, layers: Sequence[Path]) -> None:
        self._roots = [os.open(layer, _ROOT) for layer in layers]
        self._parent: Parts = ()
        self._merged = self._roots

    def __enter__(self) -> "StackView":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._forget()
        _close(self._roots)

    def lookup(self, parts: Parts) -> Found | None:
        """What the view has at this name; None when nothing, or when a parent is not a directory.

        The result's descriptor is good until the next call.
        """
        if not parts:
            return Found(self._roots[0], b".", os.stat(self._roots[0])) if self._roots else None
        for directory in self._directories(parts[:-1]):
            try:
                status = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if _is_whiteout(status):
                return None
            return Found(directory, parts[-1], status)
        return None

    def names(self, parts: Parts) -> list[bytes]:
        """What a directory of the view holds, sorted; nothing for what is none."""
        found: set[bytes] = set()
        hidden: set[bytes] = set()
        for directory in self._directories(parts):
            with os.scandir(directory) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    plain = entry.is_file(follow_symlinks=False) or entry.is_dir(
                        follow_symlinks=False
                    )
                    if not plain and _is_whiteout(entry.stat(follow_symlinks=False)):
                        hidden.add(name)
                    elif name not in hidden:
                        found.add(name)
        return sorted(found)

    def resolve(self, parts: Parts) -> Parts:
        """The same name with every symlink followed inside the view; missing parts stay.

        Raise BadImage when the links go in circles.
        """
        done: Parts = ()
        todo, links = list(reversed(parts)), 0
        while todo:
            part = todo.pop()
            if part == b"..":
                done = done[:-1]
                continue
            found = self.lookup((*done, part))
            if found is None or not stat.S_ISLNK(found.status.st_mode):
                done = (*done, part)
                continue
            links += 1
            if links > _LINKS:
                raise BadImage(
                    f"/{os.fsdecode(b'/'.join(parts))}: too many levels of symbolic links"
                )
            target = os.readlink(part, dir_fd=found.directory)
            if target.startswith(b"/"):
                done = ()
            todo.extend(p for p in reversed(target.split(b"/")) if p not in (b"", b"."))
        return done

    def read(self, parts: Parts, limit: int) -> bytes | None:
        """A regular file's bytes, links followed inside the view. None when it is not there.

        Raise BadImage when it is something else, or longer than `limit`.
        """
        real = self.resolve(parts)
        found = self.lookup(real)
        if found is None:
            return None
        name = "/" + os.fsdecode(b"/".join(parts))
        if not stat.S_ISREG(found.status.st_mode):
            raise BadImage(f"{name}: not a regular file")
        if found.status.st_size > limit:
            raise BadImage(f"{name}: {found.status.st_size} bytes, the limit is {limit}")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(found.name, flags, dir_fd=found.directory)
        with open(descriptor, "rb") as file:
            return file.read(limit)

    def _directories(self, parts: Parts) -> list[int]:
        """Every layer's directory that the view merges under this name, top first; [] when none.

        Only the last answer stays open: a hostile name may be deeper than there are descriptors.
        """
        if parts == self._parent:
            return self._merged
        self._forget()
        merged = list(self._roots)
        for depth, part in enumerate(parts):
            below = _enter(merged, part)
            if depth:
                _close(merged)
            merged = below
        self._parent, self._merged = parts, merged
        return merged

    def _forget(self) -> None:
        if self._parent:
            _close(self._merged)
        self._parent, self._merged = (), self._roots


def _enter(merged: list[int], part: bytes) -> list[int]:
    below: list[int] = []
    for directory in merged:
        try:
            descriptor = os.open(part, _DIRECTORY, dir_fd=directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            break  # a file, a link or a whiteout: what is below is hidden
        below.append(descriptor)
        if _is_opaque(descriptor):
            break
    return below


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == WHITEOUT_DEVICE


def _is_opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, opaque()) == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise
