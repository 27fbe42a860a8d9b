"""Comparing stacks, against comparing what they show file by file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.images.explore.compare import Comparison, Mark
from engine.images.explore.stack import Stack
from tests.unit.images.explore.layers import (
    STACKS,
    Layer,
    file,
    folder,
    gone,
    shown,
    tables,
)


def files(comparison: Comparison) -> dict[bytes, Mark]:
    return {
        row.path: row.mark
        for row in comparison.changes()
        if any(found and not found.live for found in (row.now, row.base))
    }


def expected(now: list[Layer], base: list[Layer]) -> dict[bytes, Mark]:
    ours = {path: size for path, (size, _) in shown(now).items()}
    theirs = {path: size for path, (size, _) in shown(base).items()}
    marks = dict.fromkeys(theirs.keys() - ours.keys(), Mark.REMOVED)
    for path, size in ours.items():
        if path not in theirs:
            marks[path] = Mark.ADDED
        elif theirs[path] != size:
            marks[path] = Mark.CHANGED
    return marks


def resolved(marks: dict[bytes, Mark], wanted: dict[bytes, Mark]) -> dict[bytes, Mark]:
    """A file that became a directory, or was one, is CHANGED to us and ADDED or REMOVED there."""
    return {
        path: wanted[path] if mark is Mark.CHANGED and path in wanted else mark
        for path, mark in marks.items()
    }


@given(STACKS, st.data())
def test_any_two_stacks_differ_in_what_they_show(layers: list[Layer], data: st.DataObject) -> None:
    built = tables(*layers)
    cut = data.draw(st.integers(0, len(layers)))
    now, base = Stack(built), Stack(built[:cut])
    wanted = expected(layers, layers[:cut])
    found = files(Comparison(now, base))
    assert resolved(found, wanted) == wanted
    other = data.draw(STACKS)
    strange = expected(layers, other)
    found = files(Comparison(now, Stack(tables(*other))))
    assert resolved(found, strange) == strange


def test_a_directory_is_changed_by_what_is_in_it_and_told_only_for_itself() -> None:
    base = [folder("etc"), file("etc/a", 1), file("etc/b", 1), folder("var"), folder("srv")]
    layer = [folder("etc"), file("etc/a", 2), gone("etc/b"), folder("var", uid=5), file("x/y/z")]
    built = tables(base, layer)
    comparison = Comparison(Stack(built), Stack(built[:1]))
    rows = {row.path: row.mark for row in comparison.rows(comparison.root())}
    assert rows == {
        b"etc": Mark.CHANGED,
        b"srv": Mark.SAME,
        b"var": Mark.CHANGED,
        b"x": Mark.ADDED,
    }
    assert [(row.path, row.mark, row.size) for row in comparison.changes()] == [
        (b"etc/a", Mark.CHANGED, 2),
        (b"etc/b", Mark.REMOVED, 1),
        (b"var", Mark.CHANGED, 0),
        (b"x", Mark.ADDED, 1),
        (b"x/y", Mark.ADDED, 1),
        (b"x/y/z", Mark.ADDED, 1),
    ]
    etc = comparison.find(b"/etc/")
    assert etc is not None
    assert [row.path for row in comparison.rows(etc)] == [b"etc/a", b"etc/b"]


def test_the_same_file_written_again_is_no_change() -> None:
    built = tables([folder("etc"), file("etc/a", 1)], [folder("etc"), file("etc/a", 1)])
    comparison = Comparison(Stack(built), Stack(built[:1]))
    assert list(comparison.changes()) == []
    assert comparison.root().mark is Mark.SAME
    copied = Comparison(Stack(built), Stack(tables([folder("etc"), file("etc/a", 1)])))
    assert list(copied.changes()) == []


def test_without_a_base_nothing_is_marked() -> None:
    comparison = Comparison(Stack(tables([file("a/b", 3)])))
    (row,) = comparison.rows(comparison.root())
    assert (row.path, row.mark, row.size, row.count) == (b"a", Mark.SAME, 3, 1)
    assert comparison.find(b"zz") is None
