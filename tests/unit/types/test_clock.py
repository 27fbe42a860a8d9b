"""Times, and spans for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import clock

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1.5, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 5, "10m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR, "3h"),
        (5 * HOUR + 12 * MINUTE, "5h12m"),
        (8 * HOUR + MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (2 * DAY, "2d"),
        (3 * DAY + 4 * HOUR, "3d4h"),
        (8 * DAY + HOUR, "8d"),
        (729 * DAY, "729d"),
        (730 * DAY, "2y"),
        (830 * DAY, "2y100d"),
        (8 * 365 * DAY + 5 * DAY, "8y"),
    ],
)
def test_duration_as_kubectl(seconds: float, text: str) -> None:
    assert clock.duration(seconds) == text


def test_age() -> None:
    assert clock.age("2026-01-01T00:00:00Z", clock.parse("2026-01-01T05:12:33Z")) == "5h12m"
    assert clock.age(None) == "<unknown>"


@given(st.integers(0, 4102444800))
def test_seconds_are_read_back(seconds: int) -> None:
    assert clock.parse(clock.format(seconds)) == seconds


@given(st.integers(0, 4102444800 * 10**6))
def test_microseconds_are_read_back(micro: int) -> None:
    text = clock.format_micro(micro / 10**6)
    assert text.endswith("Z")
    assert clock.parse(text) == pytest.approx(micro / 10**6, abs=1e-6)


def test_now_takes_a_clock() -> None:
    assert clock.now(lambda: 1767225600.9) == "2026-01-01T00:00:00Z"
    assert clock.now_micro(lambda: 1767225600.5) == "2026-01-01T00:00:00.500000Z"


def test_nanoseconds_as_container_logs_have_them() -> None:
    second = clock.parse("2026-01-01T00:00:00Z")
    assert clock.parse("2026-01-01T00:00:00.123456789Z") == pytest.approx(second + 0.123456)


def test_offsets() -> None:
    assert clock.parse("2026-01-01T02:00:00+02:00") == clock.parse("2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-13-01T00:00:00Z",
        "20260101T000000Z",
        "2026-W01-1T00:00:00Z",
    ],
)
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339") as caught:
        clock.parse(text)
    assert repr(text) in str(caught.value)
