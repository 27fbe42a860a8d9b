"""COPY and ADD: which files go where in the image, and the layer that is made of them.

First everything is planned, from what is in the sources and what the image has already; the plan
has an identity, made of all that ends up in the layer but times, by which it is found in the cache.
Only then is anything written. Names are resolved inside the image, where a directory may be a link.

A layer has every directory on the way to its files, as the image has it: what a layer leaves out,
other tools make up anew.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.images.containerfile.ignore import Rules
from engine.images.containerfile.tree import Source, Tree
from engine.images.layers.attributes import entry_of, kept_xattrs
from engine.images.layers.view import Found, StackView
from engine.images.readwrite import WHITEOUT
from engine.images.tar import DIRECTORY, FILE, SYMLINK, Entry, Parts
from engine.images.tarwriter import Writer

_CHUNK = 1 << 20
_DEPTH = 500  # a layer's names may have 512 parts
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class CopyError(Exception):
    """Why files cannot be copied; the message names the file."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How files are copied. `owner` and `mode` are None where the sources decide."""

    owner: tuple[int, int] | None = None
    mode: int | None = None
    parents: bool = False
    excluded: Rules = field(default_factory=Rules)


@dataclass(slots=True)
class _Item:
    entry: Entry
    content: str = ""  # a file's digest
    body: Callable[[], Iterator[bytes]] | None = None


class Copy:
    """A plan: what is put into one new layer over the ready layers `below`, top first."""

    def __init__(self, below: Sequence[Path], *, now: int) -> None:
        """`now` is the time of directories that are made, in ns. Use it as a context."""
        self._view = StackView(below)
        self._now = now
        self._items: dict[Parts, _Item] = {}
        self._places: dict[Parts, Parts] = {}

    def __enter__(self) -> "Copy":
        self._view.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._view.__exit__(None, None, None)

    def is_directory(self, path: str) -> bool:
        """Whether the image has a directory there."""
        found = self._view.lookup(self._view.resolve(_parts(path)))
        return found is not None and stat.S_ISDIR(found.status.st_mode)

    def add(self, tree: Tree, source: Source, to: str, rule: Rule) -> None:
        """Copy a file to `to`, or into it when that ends with "/"; or what a directory holds.

        Raise CopyError for what cannot be copied, or cannot be where it should.
        """
        found = tree.view.lookup(source.real)
        if found is None:
            raise CopyError(f"{_shown(source.named)}: is gone")
        target = _parts(to)
        if rule.parents:
            target = (*target, *source.named[:-1])
        if not stat.S_ISDIR(found.status.st_mode):
            if to.endswith("/") or rule.parents:
                target = (*target, source.named[-1])
            else:
                target = self._view.resolve(target)
            self._file(tree, source.real, target, rule)
            return
        if rule.parents and source.named:
            target = (*target, source.named[-1])
            if not rule.excluded.leave_out(source.named):
                self._directory(tree, source.real, target, rule)
        self.folder(target, rule)
        for inner, real in tree.below(source, rule.excluded):
            status = tree.view.lookup(real)
            if status is not None and stat.S_ISDIR(status.status.st_mode):
                self._directory(tree, real, (*target, *inner), rule)
            elif status is not None:
                self._file(tree, real, (*target, *inner), rule)

    def data(self, name: str, data: bytes, to: str, rule: Rule) -> None:
        """A here-document, as a file."""
        target = (
            (*_parts(to), name.encode()) if to.endswith("/") else self._view.resolve(_parts(to))
        )
        uid, gid = rule.owner or (0, 0)
        mode = 0o644 if rule.mode is None else rule.mode
        entry = Entry((), FILE, mode, uid, gid, len(data), self._now)
        content = hashlib.sha256(data).hexdigest()
        self._put(target, _Item(entry, content, lambda: iter((data,))), rule)

    def folder(self, target: Parts, rule: Rule) -> Parts:
        """Have a directory there, and all on the way to it; return where it really is."""
        known = self._places.get(target)
        if known is not None:
            return known
        if len(target) > _DEPTH:
            raise CopyError(f"{_shown(target)[:80]}…: deeper than {_DEPTH} directories")
        place: Parts = ()
        if target:
            straight = (*self.folder(target[:-1], rule), target[-1])
            place = self._view.resolve(straight)
            if place != straight:
                # A link leads elsewhere: what is on the way there belongs to the layer, too.
                place = self.folder(place, rule)
        self._places[target] = place
        if place:
            self._have(place, rule)
        return place

    def _have(self, place: Parts, rule: Rule) -> None:
        """One directory, as the image has it or new."""
        _refuse_whiteout(place)
        item = self._items.get(place)
        if item is not None:
            if item.entry.kind != DIRECTORY:
                raise CopyError(f"{_shown(place)}: is a file, and a directory should be there")
            return
        found = self._view.lookup(place)
        if found is None:
            uid, gid = rule.owner or (0, 0)
            entry = Entry(place, DIRECTORY, 0o755, uid, gid, mtime=self._now)
        elif stat.S_ISDIR(found.status.st_mode):
            entry = entry_of(place, found)
            entry.size = 0
        else:
            raise CopyError(f"{_shown(place)}: is a file in the image, not a directory")
        self._items[place] = _Item(entry)

    def identity(self) -> str:
        """Of everything that ends up in the layer, but not of its times."""
        sum_ = hashlib.sha256()
        for item in self._sorted():
            e = item.entry
            fields = (
                e.parts, e.kind, e.mode, e.uid, e.gid, e.size, e.link, e.device, e.xattrs,
                item.content,
            )  # fmt: skip
            sum_.update(repr(fields).encode())
        return sum_.hexdigest()

    def write(self, write: Callable[[bytes], object], clamp: int | None) -> None:
        """Write the layer; nothing in it is younger than `clamp`, in ns.

        Raise CopyError when a file is no longer what it was when it was planned.
        """
        writer = Writer(write)
        for item in self._sorted():
            if clamp is not None:
                item.entry.mtime = min(item.entry.mtime, clamp)
            if item.body is None:
                writer.add(item.entry)
                continue
            try:
                writer.add(item.entry, _checked(item.entry.parts, item.content, item.body()))
            except ValueError:
                raise CopyError(f"{_shown(item.entry.parts)}: changed while it was read") from None
        writer.close()

    def _sorted(self) -> list[_Item]:
        return [self._items[parts] for parts in sorted(self._items)]

    def _directory(self, tree: Tree, real: Parts, target: Parts, rule: Rule) -> None:
        if target in self._places:
            return
        above = self.folder(target[:-1], rule)
        there = self._view.lookup(self._view.resolve((*above, target[-1])))
        if there is not None and stat.S_ISDIR(there.status.st_mode):
            self.folder(target, rule)  # what the image has stays as it is
            return
        found = tree.view.lookup(real)
        if found is None:
            return
        entry = self._entry(tree, real, found, rule)
        self._put(target, _Item(entry), rule)
        self._places[target] = entry.parts

    def _file(self, tree: Tree, real: Parts, target: Parts, rule: Rule) -> None:
        found = tree.view.lookup(real)
        if found is None:
            return
        mode = found.status.st_mode
        if stat.S_ISSOCK(mode):
            return  # nothing without the process that listens
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or tree.owners):
            kind = "a pipe" if stat.S_ISFIFO(mode) else "a device"
            raise CopyError(f"{_shown(real)}: is {kind}, which {tree.title} may not have")
        item = _Item(self._entry(tree, real, found, rule))
        if stat.S_ISREG(mode):
            self._content(tree, real, found, item)
        self._put(target, item, rule)

    def _content(self, tree: Tree, real: Parts, found: Found, item: _Item) -> None:
        descriptor = os.open(found.name, _READ, dir_fd=found.directory)
        with open(descriptor, "rb", buffering=0) as file:
            if tree.owners:
                item.entry.xattrs = kept_xattrs(descriptor)
            item.content = hashlib.file_digest(file, "sha256").hexdigest()
            item.entry.size = file.tell()
        item.body = lambda: _contents(tree, real)

    def _entry(self, tree: Tree, real: Parts, found: Found, rule: Rule) -> Entry:
        entry = entry_of(real, found)
        entry.size = 0
        if not tree.owners:
            entry.uid = entry.gid = 0
            entry.xattrs = ()
        if rule.owner is not None:
            entry.uid, entry.gid = rule.owner
        if rule.mode is not None and entry.kind != SYMLINK:
            entry.mode = rule.mode
        return entry

    def _put(self, target: Parts, item: _Item, rule: Rule) -> None:
        if not target:
            raise CopyError("/: is a directory, and a file cannot be there")
        _refuse_whiteout(target)
        place = (*self.folder(target[:-1], rule), target[-1])
        folder = item.entry.kind == DIRECTORY
        known, below = self._items.get(place), self._view.lookup(place)
        if known is not None:
            is_folder = known.entry.kind == DIRECTORY
        else:
            is_folder = below is not None and stat.S_ISDIR(below.status.st_mode)
        if is_folder and not folder:
            raise CopyError(f"{_shown(place)}: is a directory, and a file cannot replace it")
        if folder and not is_folder and (known is not None or below is not None):
            raise CopyError(f"{_shown(place)}: is a file, and a directory cannot replace it")
        item.entry.parts = place
        self._items[place] = item


def _refuse_whiteout(place: Parts) -> None:
    """Such a name would delete a file of the image."""
    if place[-1].startswith(WHITEOUT):
        raise CopyError(f"{_shown(place)}: a layer cannot hold names that begin with '.wh.'")


def _contents(tree: Tree, real: Parts) -> Iterator[bytes]:
    found = tree.view.lookup(real)
    if found is None:
        return
    descriptor = os.open(found.name, _READ, dir_fd=found.directory)
    try:
        while chunk := os.read(descriptor, _CHUNK):
            yield chunk
    finally:
        os.close(descriptor)


def _checked(parts: Parts, content: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    sum_ = hashlib.sha256()
    for chunk in chunks:
        sum_.update(chunk)
        yield chunk
    if sum_.hexdigest() != content:
        raise CopyError(f"{_shown(parts)}: changed while it was read")


def _parts(path: str) -> Parts:
    return tuple(os.fsencode(part) for part in path.split("/") if part not in ("", "."))


def _shown(parts: Parts) -> str:
    return "/" + os.fsdecode(b"/".join(parts))
