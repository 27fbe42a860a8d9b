"""The rule is the kubelet's: at once, then 10 s, doubled up to 5 min, forgotten after 10 min."""

import pytest

from engine.kubelet.backoff import Backoff
from engine.kubelet.waiting import duration


def test_each_crash_doubles_the_wait_up_to_five_minutes() -> None:
    backoff, now, waits = Backoff(), 1000.0, []
    for _ in range(8):
        waits.append(backoff.remaining("c", now, now))
        now += waits[-1]
        backoff.advance("c", now, now)
        now += 1  # it lives for a second
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]


def test_the_wait_counts_from_the_end_of_the_last_try() -> None:
    backoff = Backoff()
    backoff.advance("c", 0.0, 0.0)
    assert backoff.remaining("c", 50.0, 53.0) == 7.0
    assert backoff.remaining("c", 50.0, 60.0) == 0.0


def test_ten_quiet_minutes_forget_everything() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.advance("c", 0.0, 0.0)
    assert backoff.remaining("c", 601.0, 601.0) == 0.0
    backoff.advance("c", 601.0, 601.0)
    assert backoff.delay("c") == 10.0


def test_keys_do_not_know_each_other() -> None:
    backoff = Backoff()
    backoff.advance("a", 0.0, 0.0)
    assert backoff.remaining("b", 0.0, 0.0) == 0.0
    backoff.forget("a")
    assert backoff.remaining("a", 0.0, 0.0) == 0.0


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
def test_a_wait_is_written_as_go_writes_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text
