"""Thresholds of probes, with answers from a script and a clock that runs by itself."""

import asyncio
import selectors
from collections.abc import Iterator

import pytest

from engine.kubelet.handlers import Outcome
from engine.kubelet.probes import Kind, watch
from engine.types.containers import Probe


async def verdicts(kind: Kind, answers: str, **probe: int) -> tuple[str, int]:
    """What is decided over answers like "yyn", and how many failures were told.

    Each verdict is placed under the answer that led to it: y, n, or a dot for none.
    """
    asked: Iterator[str] = iter(answers)
    decided: list[str] = []
    failures: list[str] = []
    enough = asyncio.Event()

    async def question() -> Outcome:
        answer = next(asked, "")
        if not answer:
            enough.set()
            await asyncio.Event().wait()
        decided.append(".")
        return Outcome(answer == "y", "why")

    def decide(verdict) -> None:
        decided[-1] = "y" if verdict.ok else "n"

    task = asyncio.create_task(
        watch(kind, Probe(period_seconds=1, **probe), question, decide, failures.append)
    )
    over = asyncio.create_task(enough.wait())
    await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    over.cancel()
    await asyncio.gather(task, over, return_exceptions=True)
    return "".join(decided), len(failures)


class _Instant(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__(selectors.DefaultSelector())
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self._now = max(self._now, self._scheduled[0]._when)
        super()._run_once()


def run(work):
    with asyncio.Runner(loop_factory=_Instant) as runner:
        return runner.run(work)


@pytest.mark.parametrize(
    ("kind", "answers", "thresholds", "expected"),
    [
        (Kind.LIVENESS, "ynnyn", {}, ("y..y.", 3)),
        (Kind.LIVENESS, "ynnnn", {}, ("y..n", 3)),
        (Kind.LIVENESS, "n", {"failure_threshold": 1}, ("n", 1)),
        (Kind.READINESS, "ynnnyn", {}, ("y..ny.", 4)),
        (Kind.READINESS, "yynyy", {"success_threshold": 2, "failure_threshold": 1}, (".yn.y", 1)),
        (Kind.STARTUP, "yyy", {}, ("y", 0)),
    ],
)
def test_thresholds(
    kind: Kind, answers: str, thresholds: dict[str, int], expected: tuple[str, int]
) -> None:
    assert run(verdicts(kind, answers, **thresholds)) == expected


def test_early_noes_are_not_counted() -> None:
    assert run(verdicts(Kind.READINESS, "nny")) == ("..y", 0)
    assert run(verdicts(Kind.STARTUP, "nnnny", failure_threshold=1)) == ("....y", 0)
    found, failures = run(verdicts(Kind.STARTUP, "n" * 20, failure_threshold=2))
    assert found.rstrip(".").endswith("n")
    assert failures == 2


def test_liveness_has_no_early_tries() -> None:
    assert run(verdicts(Kind.LIVENESS, "nnn")) == ("..n", 3)
