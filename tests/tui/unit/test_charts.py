"""Braille, bars and charts say what their numbers say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.render import bars, braille, chart, numbers
from tui.render.spans import plain, width_of

NAN = math.nan
VALUES = st.lists(st.one_of(st.just(NAN), st.floats(0, 1000)), max_size=200)


def test_dots_count_from_nothing_to_the_top() -> None:
    assert braille.dots(0, 10, 2) == 0
    assert braille.dots(0.001, 10, 2) == 1
    assert braille.dots(5, 10, 2) == 4
    assert braille.dots(10, 10, 2) == 8
    assert braille.dots(99, 10, 2) == 8
    assert braille.dots(NAN, 10, 2) == 0


def test_an_area_is_drawn_from_its_bottom_right_corner() -> None:
    assert braille.area([1, 2, 3, 4], 2, 1, 4) == ["⣠⣾"]
    assert braille.area([8, 8], 2, 2, 8) == ["⠀⣿", "⠀⣿"]
    assert braille.area([4, 4], 1, 2, 8) == ["⠀", "⣿"]
    assert braille.area([4, 4], 1, 2, 8, down=True) == ["⣿", "⠀"]


@given(VALUES, st.integers(1, 60), st.integers(1, 12))
def test_an_area_has_its_size(values: list[float], width: int, height: int) -> None:
    rows = braille.area(values, width, height, 100)
    assert [len(row) for row in rows] == [width] * height


@given(VALUES, st.integers(1, 40))
def test_a_sparkline_has_its_width(values: list[float], width: int) -> None:
    assert len(braille.spark(values, width, 100)) == width


def test_a_sparkline_tells_nothing_from_missing() -> None:
    assert braille.spark([NAN, 0, 50, 100], 5, 100) == "  ▁▄▇"


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.9, 1), (1.1, 1.2), (7, 8), (101, 120), (0.031, 0.04)]
)
def test_axes_end_at_round_numbers(value: float, top: float) -> None:
    assert braille.nice_top(value) == pytest.approx(top)


def test_axes_of_bytes_are_round_in_their_unit() -> None:
    assert chart.scale_top([70 * 2**20], None, 2**20, binary=True) == 80 * 2**20


def test_the_limit_is_in_sight_when_it_is_near_and_left_out_when_far() -> None:
    assert chart.scale_top([0.29], 0.3, 0.1) == pytest.approx(0.36)
    assert chart.scale_top([0.01], 0.5, 0.1) == pytest.approx(0.1)


@given(st.floats(-1, 3), st.integers(2, 60), st.one_of(st.none(), st.floats(0, 2)))
def test_bars_have_their_width(fraction: float, width: int, tick: float | None) -> None:
    assert width_of(bars.bar(fraction, width, "cpu", tick=tick)) == width
    assert width_of(bars.slim(fraction, width, "cpu", tick=tick)) == width


@given(st.lists(st.tuples(st.floats(0, 1), st.just("ok")), max_size=5), st.integers(3, 60))
def test_stacked_bars_have_their_width(parts: list[tuple[float, str]], width: int) -> None:
    assert width_of(bars.stacked(parts, width)) == width


def test_a_bar_shows_something_for_a_little_and_is_full_at_the_limit() -> None:
    assert bars.slim(0.001, 10, "cpu")[0][0] == "╸"
    assert bars.slim(1.0, 10, "cpu") == (("━" * 10, "cpu.7"),)
    assert bars.bar(NAN, 4, "cpu") == (("    ", "cpu.0 @track"),)


def test_a_chart_draws_its_limit_and_its_marks() -> None:
    block = chart.chart(
        [0.1] * 40,
        40,
        8,
        title="CPU",
        scale="cpu",
        show=numbers.cores,
        limit=0.3,
        marks=[4],
    )
    text = plain(block)
    assert {width_of(row) for row in block} == {40}
    assert "CPU  0.10" in text
    assert "╌" in text
    assert "✖" in text
    assert "now" in text


def test_a_chart_without_numbers_says_so() -> None:
    block = chart.chart([NAN] * 9, 44, 6, title="CPU", scale="cpu", show=numbers.cores)
    assert "no numbers yet" in plain(block)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0B"), (900, "900B"), (1536, "1.50Ki"), (64 << 20, "64.0Mi"), (3 << 30, "3.00Gi")],
)
def test_sizes(value: float, text: str) -> None:
    assert numbers.size(value) == text


@given(st.floats(0, 2**45))
def test_sizes_stay_narrow(value: float) -> None:
    assert len(numbers.size(value)) <= 8


def test_small_numbers() -> None:
    assert numbers.cores(0.3) == "0.30"
    assert numbers.cores(12.34) == "12.3"
    assert numbers.milliseconds(12.4) == "12 ms"
    assert numbers.milliseconds(1500) == "1.50 s"
    assert numbers.plural(1, "pod") == "1 pod"
