"""The same content under several names or in several layers.

Two files are the same when their content's digest is. Only files that have their size in common
with another are read, the large ones first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from engine.images.explore.node import Kind, Table, join
from engine.images.explore.stack import Stack


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Files of equal content: `size` bytes each, at `copies` of (layer, path), lowest first."""

    digest: str
    size: int
    copies: tuple[tuple[int, bytes], ...]

    @property
    def surplus(self) -> int:
        """Bytes of all copies but one."""
        return self.size * (len(self.copies) - 1)


def duplicates(
    stack: Stack, digest_of: Callable[[int, bytes], str], *, least: int = 1
) -> list[Duplicate]:
    """Files of at least `least` bytes that occur more than once in any of the layers, the largest
    surplus first. `digest_of` reads the file of a layer at a path."""
    by_size: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for layer, table in enumerate(stack.tables):
        for path, size in _files(table):
            if size >= least:
                by_size[size].append((layer, path))
    found = []
    for size, places in by_size.items():
        if len(places) < 2:
            continue
        same: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for layer, path in places:
            same[digest_of(layer, path)].append((layer, path))
        found += [Duplicate(d, size, tuple(each)) for d, each in same.items() if len(each) > 1]
    return sorted(found, key=lambda each: (-each.surplus, each.copies))


def _files(table: Table) -> list[tuple[bytes, int]]:
    files, pending = [], [b""]
    while pending:
        at = pending.pop()
        for name, node in table.directory(at).items():
            if node.is_directory:
                pending.append(join(at, name))
            elif node.kind is Kind.FILE:
                files.append((join(at, name), node.size))
    return files
