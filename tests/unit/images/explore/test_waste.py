"""Waste, against a plain telling of dive's definition and of what nothing shows."""

from __future__ import annotations

from hypothesis import given

from engine.images.explore.stack import Stack
from engine.images.explore.waste import waste
from tests.unit.images.explore.layers import (
    STACKS,
    Layer,
    file,
    folder,
    gone,
    shown,
    tables,
)


@given(STACKS)
def test_what_is_hidden_is_all_that_is_not_shown(layers: list[Layer]) -> None:
    stack = Stack(tables(*layers))
    found = waste(stack)
    everything = sum(table.root.total for table in stack.tables)
    assert found.hidden == everything - sum(size for size, _ in shown(layers).values())
    assert sum(layer.hidden for layer in found.layers) == found.hidden
    assert sum(layer.hides for layer in found.layers) == found.hidden
    assert 0 <= found.efficiency <= 1
    assert found.hidden or all(not each.hidden for each in found.paths)


def test_the_score_is_dives() -> None:
    # 10 + 4 written twice, 6 removed: the least is 4 + 0 + 5, all is 14 + 6 + 5.
    layers = tables(
        [file("a", 10), file("b", 6), file("d/e", 5)],
        [file("a", 4), gone("b")],
    )
    found = waste(Stack(layers))
    assert found.efficiency == 9 / 25
    assert found.wasted == 14 + 6
    assert found.hidden == 10 + 6
    assert found.wasted_user_share == 20 / 4
    assert [(w.path, w.copies, w.total, w.hidden, w.layers) for w in found.paths] == [
        (b"a", 2, 14, 10, (0, 1)),
        (b"b", 2, 6, 6, (0, 1)),
    ]
    assert [(w.hidden, w.hides) for w in found.layers] == [(16, 0), (0, 16)]


def test_a_removed_directory_is_one_copy_of_its_size_to_dive_and_hidden_to_us() -> None:
    layers = tables(
        [folder("cache"), file("cache/x", 30), file("app", 50)],
        [file("cache/x", 20)],
        [gone("cache")],
    )
    found = waste(Stack(layers))
    # x: 30 + 20, least 20. The whiteout: 20 in both sums.
    assert found.efficiency == (20 + 50 + 20) / (50 + 50 + 20)
    assert found.hidden == 50
    assert {(w.path, w.hidden) for w in found.paths} == {(b"cache", 20), (b"cache/x", 30)}
    assert [(w.hidden, w.hides) for w in found.layers] == [(30, 0), (20, 30), (0, 20)]


def test_nothing_is_wasted_in_a_single_layer_or_in_none() -> None:
    assert waste(Stack(tables([file("a", 5)]))).efficiency == 1
    assert waste(Stack([])).efficiency == 1
