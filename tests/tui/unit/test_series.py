"""Rings stay aligned on the ticks, whatever comes late, goes or comes back."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from tui.model.series import HISTORY, Book, Ring, grouped, total

NAN = math.nan


def sample(cpu: float, **more: Any) -> Any:
    fields = dict.fromkeys(
        ("memory", "anon", "file", "kernel", "pids", "throttled", "rx", "tx"), 0.0
    )
    pressure = dict.fromkeys(("cpu_pressure", "memory_pressure", "io_pressure"), 0.0)
    return SimpleNamespace(cpu=cpu, **fields | pressure | more)


def same(left: list[float], right: list[float]) -> bool:
    return len(left) == len(right) and all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(left, right, strict=True)
    )


def test_a_ring_fills_what_it_missed() -> None:
    ring = Ring()
    ring.put(3, 1.0)
    ring.put(6, 2.0)
    assert same(ring.last(5, 6), [NAN, 1.0, NAN, NAN, 2.0])
    assert same(ring.last(3, 8), [2.0, NAN, NAN])
    assert same(ring.last(2, 9), [NAN, NAN])


def test_a_ring_forgets() -> None:
    ring = Ring()
    for tick in range(3 * HISTORY):
        ring.put(tick, float(tick))
    assert len(ring._data) <= 2 * HISTORY
    assert ring.last(2, 3 * HISTORY - 1) == [3 * HISTORY - 2, 3 * HISTORY - 1]


def test_a_pods_numbers_are_the_sums_of_its_containers() -> None:
    book = Book()
    book.begin(100.0, {})
    book.take({"ns/pod/a": sample(0.5)}.items())
    book.begin(101.0, {})
    book.take({"ns/pod/a": sample(0.25), "ns/pod/b": sample(0.5)}.items())
    assert book.containers("ns/pod") == ["ns/pod/a", "ns/pod/b"]
    assert book.pod_values("ns/pod", "cpu", 2) == [0.5, 0.75]
    assert book.pod_now("ns/pod", "cpu") == 0.75


def test_what_is_not_in_a_tick_has_no_number_now() -> None:
    book = Book()
    book.begin(100.0, {})
    book.take({"ns/pod/a": sample(0.5)}.items())
    book.begin(101.0, {})
    assert math.isnan(book.pod_now("ns/pod", "cpu"))
    assert same(book.values("ns/pod/a", "cpu", 2), [0.5, NAN])
    assert math.isnan(book.now("nobody", "cpu"))


def test_a_gap_in_time_is_a_gap_in_the_rings() -> None:
    book = Book()
    book.begin(100.0, {})
    book.take({"k": sample(1.0)}.items())
    book.begin(103.1, {})
    book.take({"k": sample(2.0)}.items())
    assert same(book.values("k", "cpu", 4), [1.0, NAN, NAN, 2.0])


def test_kills_for_memory_are_marked_once() -> None:
    book = Book()
    for second, kills in enumerate((0, 1, 1, 2)):
        book.begin(100.0 + second, {})
        book.take({"k": sample(0.0, oom_kills=kills)}.items())
    assert book.ooms("k", 10) == [2, 0]


def test_what_is_silent_for_long_is_forgotten() -> None:
    book = Book()
    book.begin(0.0, {})
    book.take({"ns/pod/a": sample(1.0)}.items())
    for second in range(1, 2 * HISTORY + 1):
        book.begin(float(second), {})
        book.take({"ns/other/b": sample(1.0)}.items())
    assert book.containers("ns/pod") == []
    assert book.containers("ns/other") == ["ns/other/b"]


def test_totals_and_groups_skip_what_is_missing() -> None:
    assert math.isnan(total([NAN]))
    assert total([NAN, 1.0, 2.0]) == 3.0
    assert same(grouped([1.0, 3.0, NAN, NAN], 2), [2.0, NAN])


def test_the_hottest_of_a_tick() -> None:
    book = Book()
    book.begin(100.0, {})
    book.take({"n/p/a": sample(0.9, memory=10.0, memory_limit=100)}.items())
    book.take({"n/q/b": sample(0.1, memory=90.0, memory_limit=100)}.items())
    assert book.hot_cpu == ("n/p/a", 0.9)
    assert book.hot_memory == ("n/q/b", 0.9)
    book.begin(101.0, {})
    assert book.hot_cpu == ("", 0.0)
