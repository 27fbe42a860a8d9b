"""How long an image takes to open in the explorer: its tables, the first page, marks and waste.

Nothing is waited for, so it is the processor's time that counts. Layers are mapped indexes as a
store has them, three to an image: a base, a middle that replaces a tenth of the base's files and
adds as many new ones, and a top that removes a directory.
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from pathlib import Path

from engine.images.explore.compare import Comparison
from engine.images.explore.indexed import IndexedTable
from engine.images.explore.stack import Stack
from engine.images.explore.waste import waste
from engine.images.layers.index import LayerIndex, write_index
from engine.images.layers.tree import Tree
from engine.images.tar import FILE, Entry
from tests.bench.table import Row

SMALL, LARGE = 20_000, 100_000
_PER_FOLDER = 10


def measure(runs: int) -> list[Row]:
    """Seconds of a processor to open, and to answer for one directory of a large image."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = _image(folder, SMALL)
        large = _image(folder, LARGE)
        answers = [_answer(large) for _ in range(runs)]
        tracemalloc.start()
        _answer(large)
        peak = tracemalloc.get_traced_memory()[1] / (1 << 20)
        tracemalloc.stop()
        opened = [_open(small) for _ in range(runs)]
    return [
        Row(f"open an image of {SMALL:,} entries", "CPU s", opened, 0.2),
        Row(f"a page of one of {LARGE:,} entries", "CPU s", answers, 0.2),
        Row(f"memory for a page of {LARGE:,} entries", "MiB", [peak], 10.0),
    ]


def _open(paths: list[Path]) -> float:
    """The layers, the root with what the top layer changed, everything that is wasted."""
    began = time.process_time()
    stack = _stack(paths)
    comparison = Comparison(stack, stack.upto(2))
    comparison.rows(comparison.root())
    assert waste(stack).hidden
    return time.process_time() - began


def _answer(paths: list[Path]) -> float:
    """One directory, with the sizes of those in it."""
    began = time.process_time()
    stack = _stack(paths)
    comparison = Comparison(stack, stack.upto(2))
    found = comparison.find(b"usr/lib/part3")
    assert found is not None
    assert comparison.rows(found)
    return time.process_time() - began


def _stack(paths: list[Path]) -> Stack:
    return Stack([IndexedTable(LayerIndex.open(path)) for path in paths])


def _image(folder: Path, entries: int) -> list[Path]:
    folders = entries // (_PER_FOLDER + 2)
    base, middle, top = Tree(), Tree(), Tree()
    for number in range(folders):
        at = (b"usr", b"lib", b"part%d" % (number % 50), b"dir%d" % number)
        for file in range(_PER_FOLDER):
            base.add(Entry((*at, b"file%d" % file), FILE, size=1000 + file))
        middle.add(Entry((*at, b"file0"), FILE, size=2000))
        middle.add(Entry((b"opt", *at[2:], b"new"), FILE, size=500))
    top.add(Entry((b"usr", b"lib", b".wh.part7"), FILE))
    paths = []
    for name, tree in (("base", base), ("middle", middle), ("top", top)):
        tree.finish(lambda parts: None)
        paths.append(folder / f"{name}-{entries}")
        write_index(tree, paths[-1])
    return paths
