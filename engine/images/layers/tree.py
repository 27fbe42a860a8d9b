"""What a layer holds once all of its entries are read, in memory: the rules of layer.md, applied.

A later entry replaces an earlier one; a directory over a directory gives it new attributes; what an
archive calls a name through a symlink of its own is where that leads, inside the layer; whiteouts
hide nothing of their own layer, and nothing is left of those inside an opaque directory. Parents
that the archive omits are there, marked so.

The drivers add an entry before they act on it: what is refused, is refused here.

A node is a number, its fields are columns: a layer of 100,000 entries takes some 30 MB, and not the
100 MB that as many objects would. A node that was replaced stays in the columns, and is no longer
reached.
"""

import os
from array import array
from collections.abc import Callable, Iterator
from enum import IntFlag

from engine.images.errors import BadLayer
from engine.images.tar import CHAR, DIRECTORY, FILE, HARDLINK, SYMLINK, Entry, Parts

ROOT = 0
_LINKS = 40  # MAXSYMLINKS
_MAJOR_MAX = 4095  # 12 bits (linux/kdev_t.h)
_DIRECTORY, _SYMLINK = DIRECTORY[0], SYMLINK[0]
_PLAIN = Entry((), DIRECTORY, 0o755)
_WH, _WH_OPAQUE, _WH_AUFS = b".wh.", b".wh..wh..opq", b".wh..wh."


class Flag(IntFlag):
    """What is special about a node."""

    IMPLICIT = 1  # a directory that the archive uses and does not have
    OPAQUE = 2  # nothing of the layers below shows through it
    WHITEOUT = 4  # hides the name in the layers below
    BELOW = 8  # a lower layer's file, brought up to be linked to
    SPARSE = 16  # a file with holes, of which the archive has only the pieces


# As plain numbers: an IntFlag's operators take 1 us each.
_IMPLICIT, _OPAQUE, _WHITEOUT, _BELOW = (int(flag) for flag in list(Flag)[:4])


class Tree:
    """A layer in the making: add() each entry, then finish()."""

    def __init__(self) -> None:
        self.names: list[bytes] = [b""]
        self.parents = array("I", [ROOT])
        self.kinds = bytearray(DIRECTORY)
        self.flags = bytearray([_IMPLICIT])
        self.modes = array("H", [0o755])
        self.uids, self.gids = array("I", [0]), array("I", [0])
        self.sizes, self.times, self.offsets = array("q", [0]), array("q", [0]), array("q", [0])
        self.kids: dict[int, dict[bytes, int]] = {ROOT: {}}
        self.links: dict[int, bytes] = {}  # where a symlink leads
        self.same: dict[int, int] = {}  # a hard link's file
        self.devices: dict[int, int] = {}
        self.xattrs: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        self.segments: dict[int, tuple[tuple[int, int], ...]] = {}  # of a file with holes
        self._whiteouts: dict[int, set[bytes]] = {}
        self._last: tuple[Parts, int] = ((), ROOT)

    def add(self, entry: Entry) -> int | None:
        """The entry's node; None for a mark. Raise BadLayer for what no layer may say."""
        parts, kind = entry.parts, entry.kind
        if not parts:
            # Taking "/" for anything else re-roots the whole layer: CVE-2021-29136.
            if kind != DIRECTORY:
                raise BadLayer("the root is not a directory")
            self._dress(ROOT, entry)
            return ROOT
        if any(part.startswith(_WH) for part in parts):
            self._mark(parts)
            return None
        if kind == SYMLINK and (not entry.link or b"\0" in entry.link):
            raise BadLayer("symlink without a target")
        if kind == CHAR and not entry.device:
            raise BadLayer("device 0:0, which overlayfs takes for a whiteout")
        if os.major(entry.device) > _MAJOR_MAX:
            raise BadLayer(f"device of major number {os.major(entry.device)}")
        file = self._linked(entry) if kind == HARDLINK else None
        parent, name = self._directory(parts[:-1]), parts[-1]
        there = self.kids[parent].get(name)
        if there is not None:
            if kind == DIRECTORY and self.kinds[there] == _DIRECTORY:
                self._dress(there, entry)
                return there
            self._last = ((), ROOT)
        node = self._append(parent, name, entry)
        self.kids[parent][name] = node
        if file is not None:
            self.same[node] = self.same.get(file, file)
        return node

    def bring(self, entry: Entry) -> None:
        """Add a lower layer's file, because this layer links to it."""
        node = self.add(entry)
        if node is not None:
            self.flags[node] |= _BELOW

    def find(self, parts: Parts) -> int | None:
        """The node under a name, whose parents may be links; None when there is none."""
        if not parts:
            return ROOT
        directory = self._resolve(parts[:-1])
        return None if directory is None else self.kids[directory].get(parts[-1])

    def entry(self, node: int) -> Entry:
        """A node as an archive would have it, under the name where it is."""
        return Entry(
            self.path(node), bytes(self.kinds[node : node + 1]), self.modes[node], self.uids[node],
            self.gids[node], self.sizes[node], self.times[node], self.links.get(node, b""),
            self.devices.get(node, 0), self.xattrs.get(node, ()), self.offsets[node],
        )  # fmt: skip

    def path(self, node: int) -> Parts:
        parts: list[bytes] = []
        while node != ROOT:
            parts.append(self.names[node])
            node = self.parents[node]
        return tuple(reversed(parts))

    def is_opaque(self, node: int) -> bool:
        return bool(self.flags[node] & _OPAQUE)

    def is_whiteout(self, node: int) -> bool:
        return bool(self.flags[node] & _WHITEOUT)

    def brought(self) -> list[int]:
        """The regular files that are lower layers'."""
        file = FILE[0]
        return [n for n, f in enumerate(self.flags) if f & _BELOW and self.kinds[n] == file]

    def hidden(self, node: int) -> bool:
        """Whether nothing of the layers below can show at a directory's names."""
        while not self.flags[node] & _OPAQUE:
            if node == ROOT:
                return False
            node = self.parents[node]
        return True

    def hides(self, parts: Parts) -> bool:
        """Whether the layer, as far as it was read, keeps a name of below from being seen."""
        node = ROOT
        for part in parts:
            if self.flags[node] & _OPAQUE or part in self._whiteouts.get(node, ()):
                return True
            below = self.kids[node].get(part)
            if below is None:
                return False
            if below not in self.kids:
                return True
            node = below
        return False

    def finish(self, inherited: Callable[[Parts], Entry | None]) -> bool:
        """Make the marks real, and omitted directories what `inherited` says they are below.

        Return whether the layer depends on those below: whether it omits directories, or links to
        their files.
        """
        cut: set[int] = set()
        order = list(self.order())
        for node in order:
            for name in self._whiteouts.get(node, ()):
                there = self.kids[node].get(name)
                if there is not None:
                    if there in self.kids:  # two directories would merge
                        self.flags[there] |= _OPAQUE
                        cut.add(there)
                elif not self.hidden(node):
                    # Inside an opaque directory it has nothing to hide, and readdir(3) shows it.
                    mark = Entry((), CHAR, 0)
                    self.kids[node][name] = made = self._append(node, name, mark)
                    self.flags[made] = _WHITEOUT
        self._whiteouts.clear()
        dependent = False
        for node in order:
            flags = self.flags[node]
            dependent = dependent or bool(flags & _BELOW)
            if flags & _IMPLICIT and node != ROOT:
                dependent = True
                hidden = node in cut or self.hidden(self.parents[node])
                entry = None if hidden else inherited(self.path(node))
                if entry is not None and entry.kind == DIRECTORY:
                    self._dress(node, entry)
                    self.flags[node] = flags
        for node, kids in self.kids.items():
            self.kids[node] = dict(sorted(kids.items()))  # once: sorting them again costs little
        return dependent

    def order(self) -> Iterator[int]:
        """Every node: level by level, the children of one directory together, sorted by name.

        So a directory's children are a range, and can be searched by halves.
        """
        yield ROOT
        level = [ROOT]
        while level:
            below: list[int] = []
            for directory in level:
                kids = self.kids[directory]
                for name in sorted(kids):
                    node = kids[name]
                    yield node
                    if node in self.kids:
                        below.append(node)
            level = below

    def _append(self, parent: int, name: bytes, entry: Entry) -> int:
        node = len(self.names)
        self.names.append(name)
        self.parents.append(parent)
        self.kinds += entry.kind
        self.flags.append(0)
        self.modes.append(entry.mode)
        self.uids.append(entry.uid)
        self.gids.append(entry.gid)
        self.sizes.append(entry.size)
        self.times.append(entry.mtime)
        self.offsets.append(entry.offset)
        if entry.kind == DIRECTORY:
            self.kids[node] = {}
        elif entry.kind == SYMLINK:
            self.links[node] = entry.link
        if entry.segments is not None:
            self.segments[node] = entry.segments
        if entry.device:
            self.devices[node] = entry.device
        if entry.xattrs:
            self.xattrs[node] = entry.xattrs
        return node

    def _dress(self, node: int, entry: Entry) -> None:
        self.flags[node] &= ~_IMPLICIT
        self.modes[node], self.times[node] = entry.mode, entry.mtime
        self.uids[node], self.gids[node] = entry.uid, entry.gid
        self.xattrs.pop(node, None)
        if entry.xattrs:
            self.xattrs[node] = entry.xattrs

    def _linked(self, entry: Entry) -> int:
        """The file that a hard link names."""
        target = entry.target
        if not target or target == entry.parts:
            raise BadLayer(f"hard link to {entry.link!r}")
        if target[: len(entry.parts)] == entry.parts:
            raise BadLayer("hard link into what it replaces")
        file = self.find(target)
        if file is None:
            raise BadLayer(f"hard link to {entry.link!r}, which is not there")
        if file in self.kids:
            raise BadLayer("hard link to a directory")
        return file

    def _mark(self, parts: Parts) -> None:
        name, above = parts[-1], any(part.startswith(_WH) for part in parts[:-1])
        if name == _WH_OPAQUE and not above:
            self.flags[self._directory(parts[:-1])] |= _OPAQUE
        elif any(part.startswith(_WH_AUFS) for part in parts):
            return  # its own notes in old layers: they say nothing about files
        elif above:
            raise BadLayer("a whiteout used as a directory")
        else:
            hidden = name.removeprefix(_WH)
            if hidden in (b"", b".", b".."):
                raise BadLayer("a whiteout of nothing")
            self._whiteouts.setdefault(self._directory(parts[:-1]), set()).add(hidden)

    def _directory(self, parts: Parts) -> int:
        """The directory under this name, made when it is missing."""
        known, node = self._last
        if parts == known:
            return node
        node = ROOT
        for depth, part in enumerate(parts):
            there = self.kids[node].get(part)
            if there is not None and self.kinds[there] == _SYMLINK:
                # Within its layer a link is followed, as the kernel would inside the container.
                led = self._resolve(parts[: depth + 1])
                if led is None:
                    raise BadLayer(f"{os.fsdecode(part)!r} is a link to no directory of the layer")
                node = led
                continue
            if there is None or there not in self.kids:
                self.kids[node][part] = there = self._append(node, part, _PLAIN)
                self.flags[there] = _IMPLICIT
            node = there
        self._last = (parts, node)
        return node

    def _resolve(self, parts: Parts) -> int | None:
        """The directory where these names lead, every link followed as if chrooted in the layer."""
        node, links = ROOT, 0
        todo = list(reversed(parts))
        while todo:
            part = todo.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                node = self.parents[node]
                continue
            there = self.kids[node].get(part)
            if there is None:
                return None
            if there in self.kids:
                node = there
                continue
            links += 1
            if self.kinds[there] != _SYMLINK or links > _LINKS:
                return None
            target = self.links[there]
            todo.extend(reversed(target.split(b"/")))
            if target.startswith(b"/"):
                node = ROOT
        return node
