"""Layers on top of each other, read without a mount: what is visible, and which layer it is from.

The same rules as overlayfs: the topmost layer that has a name decides, a whiteout or anything that
is no directory hides what is below, directories merge until one of them is opaque. A directory of
the stack is the list of the layers that merge in it, so only directories that are asked for are
read; and what only one layer has is answered from that layer's own sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from engine.images.errors import BadImage
from engine.images.explore.node import Kind, Names, Node, Table, join, shown, split

_LINKS = 40  # MAXSYMLINKS

Live = tuple[int, ...]
"""The layers that merge in one directory, lowest first."""


@dataclass(frozen=True, slots=True)
class Found:
    """A visible name: what the topmost layer that has it, `layer`, says. `live` is empty for what
    is no directory."""

    node: Node
    layer: int
    live: Live = ()


class Stack:
    """`tables` are lowest first. Two stacks may share tables, and one may end where another goes
    on."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tuple(tables)
        self._sums: dict[tuple[bytes, Live], tuple[int, int]] = {}

    def upto(self, count: int) -> Stack:
        """The lowest `count` layers alone."""
        return self if count >= len(self.tables) else Stack(self.tables[:count])

    def root(self) -> Found:
        found = [(layer, table.root) for layer, table in enumerate(self.tables)]
        return settle(found) or Found(Node(Kind.DIRECTORY, mode=0o755, implicit=True), 0)

    def names(self, path: bytes, live: Live) -> dict[bytes, Found]:
        """What is visible in a directory, by name, in order."""
        if len(live) == 1:
            # Most directories: nothing to merge.
            layer = live[0]
            return {
                name: Found(node, layer, live if node.is_directory else ())
                for name, node in self.tables[layer].directory(path).items()
                if node.kind is not Kind.WHITEOUT
            }
        visible = {}
        for name, found in self.occurrences(path, live).items():
            top = settle(found)
            if top is not None:
                visible[name] = top
        return visible

    def occurrences(self, path: bytes, live: Live) -> dict[bytes, list[tuple[int, Node]]]:
        """Every layer's word on every name in a directory, lowest first, by name in order."""
        found: dict[bytes, list[tuple[int, Node]]] = {}
        for layer in live:
            for name, node in self.tables[layer].directory(path).items():
                found.setdefault(name, []).append((layer, node))
        return dict(sorted(found.items())) if len(live) > 1 else found

    def find(self, path: bytes) -> Found | None:
        """What is at a path; no link is followed, not even of a directory on the way."""
        here, at = self.root(), b""
        for name in split(path):
            found = self._child(at, here.live, name)
            if found is None:
                return None
            here, at = found, join(at, name)
        return here

    def resolve(self, path: bytes) -> bytes:
        """The path with every symlink followed inside the stack, as the container would.

        Raise BadImage when links go in circles.
        """
        done: list[bytes] = []
        todo, links = list(reversed(split(path))), 0
        while todo:
            part = todo.pop()
            if part == b"..":
                del done[-1:]
                continue
            found = self.find(b"/".join((*done, part)))
            if found is None or found.node.kind is not Kind.SYMLINK:
                done.append(part)
                continue
            links += 1
            if links > _LINKS:
                raise BadImage(f"{shown(path)}: too many levels of symbolic links")
            target = found.node.link
            if target.startswith(b"/"):
                done = []
            todo.extend(reversed(split(target)))
        return b"/".join(done)

    def history(self, path: bytes) -> list[tuple[int, Node]]:
        """Every layer's word on one path, lowest first; "removed" also by what hides its parent."""
        words: list[tuple[int, Node]] = []
        parts = split(path)
        for layer, table in enumerate(self.tables):
            said = _said(table, parts)
            if said is not None and (words or said.kind is not Kind.WHITEOUT):
                words.append((layer, said))
        return words

    def sums(self, path: bytes, found: Found) -> tuple[int, int]:
        """Bytes and names below a directory, as far as they are visible."""
        if len(found.live) == 1:
            return found.node.total, found.node.count
        key = (path, found.live)
        known = self._sums.get(key)
        if known is None:
            known = self._sums[key] = self._add_up(path, found.live)
        return known

    def size(self, path: bytes, found: Found) -> int:
        """Bytes of a file, or of all visible files below a directory."""
        return self.sums(path, found)[0] if found.live else found.node.size

    def walk(self, path: bytes, live: Live) -> Iterator[tuple[bytes, Found]]:
        """Everything visible below a directory, each directory before what is in it, in order."""
        pending = list(reversed(self._paths(path, live)))
        while pending:
            at, found = pending.pop()
            yield at, found
            if found.live:
                pending.extend(reversed(self._paths(at, found.live)))

    def _paths(self, path: bytes, live: Live) -> list[tuple[bytes, Found]]:
        return [(join(path, name), found) for name, found in self.names(path, live).items()]

    def _child(self, path: bytes, live: Live, name: bytes) -> Found | None:
        words = []
        for layer in live:
            node = self.tables[layer].directory(path).get(name)
            if node is not None:
                words.append((layer, node))
        return settle(words)

    def _add_up(self, path: bytes, live: Live) -> tuple[int, int]:
        """What each of the layers has there, but for the names that several of them have."""
        total = count = 0
        pending = [(path, self._nodes(path, live))]
        while pending:
            at, merged = pending.pop()
            tables = [(layer, self.tables[layer].directory(at)) for layer, _ in merged]
            total += sum(node.total for _, node in merged)
            count += sum(node.count for _, node in merged)
            for name in _shared(names for _, names in tables):
                words = [(layer, names[name]) for layer, names in tables if name in names]
                for _, node in words:
                    total -= node.total + node.size
                    count -= node.count + (node.kind is not Kind.WHITEOUT)
                top = settle(words)
                if top is not None:
                    count += 1
                    total += top.node.size
                    pending.append((join(at, name), [w for w in words if w[0] in top.live]))
        return total, count

    def _nodes(self, path: bytes, live: Live) -> list[tuple[int, Node]]:
        if not path:
            return [(layer, self.tables[layer].root) for layer in live]
        parent, _, name = path.rpartition(b"/")
        return [(layer, self.tables[layer].directory(parent)[name]) for layer in live]


def _shared(listings: Iterable[Names]) -> set[bytes]:
    """The names that are in more than one listing."""
    seen: set[bytes] = set()
    shared: set[bytes] = set()
    for names in listings:
        shared |= seen & names.keys()
        seen |= names.keys()
    return shared


def settle(words: Sequence[tuple[int, Node]]) -> Found | None:
    """What of one name's words, lowest first, is visible; None when the last one removes it."""
    visible: Found | None = None
    for layer, node in words:
        if node.kind is Kind.WHITEOUT:
            visible = None
        elif node.kind is not Kind.DIRECTORY:
            visible = Found(node, layer)
        elif visible is None or not visible.live or node.opaque:
            visible = Found(node, layer, (layer,))
        elif node.implicit:  # it says nothing about the directory itself
            visible = Found(visible.node, visible.layer, (*visible.live, layer))
        else:
            visible = Found(node, layer, (*visible.live, layer))
    return visible


def _said(table: Table, parts: tuple[bytes, ...]) -> Node | None:
    """A layer's word on a path: also that a directory above it goes, or becomes something else."""
    node, at = table.root, b""
    for depth, part in enumerate(parts):
        if node.kind is not Kind.DIRECTORY:
            return Node(Kind.WHITEOUT)
        below = table.directory(at).get(part)
        if below is None:
            return Node(Kind.WHITEOUT) if node.opaque else None
        node, at = below, join(at, part)
        if node.kind is Kind.WHITEOUT and depth < len(parts):
            return node
    return node
