"""Lines keep their promised widths, whatever is in them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tui.render import spans

TEXT = st.text(alphabet=st.sampled_from("ab 世界é…█"), max_size=40)
LINES = st.lists(st.tuples(TEXT, st.just("text")), max_size=6).map(tuple)
WIDTHS = st.integers(1, 60)


@given(LINES, WIDTHS)
def test_a_padded_line_has_exactly_its_width(line: spans.Line, width: int) -> None:
    assert spans.width_of(spans.pad(line, width)) == width
    assert spans.width_of(spans.pad(line, width, right=True)) == width


@given(LINES, WIDTHS)
def test_a_clipped_line_is_never_wider(line: spans.Line, width: int) -> None:
    assert spans.width_of(spans.clip(line, width)) <= width


@given(LINES, LINES, st.integers(2, 80))
def test_spread_fills_the_width(left: spans.Line, right: spans.Line, width: int) -> None:
    size = spans.width_of(spans.spread(left, right, width))
    assert size == width or (spans.width_of(right) >= width and size <= width)


@given(TEXT, WIDTHS)
def test_wrapped_rows_fit_and_lose_nothing(text: str, width: int) -> None:
    width = max(width, 4)
    rows = spans.wrapped(text, width)
    assert all(spans.cells(row) <= width for row in rows)
    assert "".join(rows).replace(" ", "") == text.replace(" ", "")


@given(LINES, st.integers(0, 50))
def test_shifted_drops_that_many_cells(line: spans.Line, left: int) -> None:
    size = spans.width_of(line)
    assert spans.width_of(spans.shifted(line, left)) == max(0, size - left)


def test_crop_in_the_middle_keeps_both_ends() -> None:
    text = spans.crop_middle("web-6d4b75cb6d-x7k2p", 14)
    assert len(text) == 14
    assert text.startswith("web-")
    assert text.endswith("-x7k2p")


def test_a_box_is_a_rectangle_with_its_title() -> None:
    box = spans.boxed([spans.line("a"), spans.line("bb")], 20, title=spans.line("T"), height=6)
    assert {spans.width_of(row) for row in box} == {20}
    assert spans.plain(box).splitlines() == [
        "╭─ T ──────────────╮",
        "│ a                │",
        "│ bb               │",
        "│                  │",
        "│                  │",
        "╰──────────────────╯",
    ]


def test_a_box_leaves_out_a_note_that_has_no_room() -> None:
    box = spans.boxed([], 14, title=spans.line("title"), note=spans.line("a long note"))
    assert spans.plain(box[:1]) == "╭─ title ────╮"


def test_beside_pads_the_shorter_block() -> None:
    block = spans.beside([[spans.line("a")], [spans.line("b"), spans.line("c")]], [3, 3])
    assert [spans.width_of(row) for row in block] == [7, 7]
    assert spans.plain(block) == "a   b\n    c"


def test_marked_puts_a_ground_under_each_match() -> None:
    found = spans.marked((("one two one", "text"),), re.compile("one"))
    assert [text for text, role in found if "@match" in role] == ["one", "one"]
    assert "".join(text for text, _ in found) == "one two one"
