"""Probes: is the container up (startup), alive (liveness), ready for work (readiness)?

One task per probe and life. Thresholds count answers in a row. Liveness and readiness wait until
the container counts as started. A container that has just begun is asked for readiness and startup
in short, growing steps within its first period, and these early noes are not counted: otherwise a
server that needs half a second to listen would only be seen as ready a whole period later.
"""

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from engine.kubelet.handlers import Handlers, Outcome
from engine.types.containers import Probe

EARLY_STEP_S = 0.05
DEFAULT_PERIOD_S = 10
DEFAULT_TIMEOUT_S = 1
DEFAULT_FAILURES = 3


class Kind(enum.Enum):
    STARTUP = "Startup"
    READINESS = "Readiness"
    LIVENESS = "Liveness"


class Verdict(NamedTuple):
    """A threshold was reached."""

    kind: Kind
    ok: bool
    message: str


async def ask(handlers: Handlers, probe: Probe) -> Outcome:
    """One question, as the probe describes it. Raise KeeperLost when nobody can be asked."""
    timeout_s = probe.timeout_seconds or DEFAULT_TIMEOUT_S
    if probe.exec:
        return await handlers.exec(probe.exec, timeout_s)
    if probe.http_get:
        return await handlers.http(probe.http_get, timeout_s)
    if probe.tcp_socket:
        return await handlers.tcp(probe.tcp_socket, timeout_s)
    return Outcome(False, "the probe names no action that is supported: exec, httpGet, tcpSocket")


async def watch(
    kind: Kind,
    probe: Probe,
    question: Callable[[], Awaitable[Outcome]],
    decided: Callable[[Verdict], None],
    failed: Callable[[str], None],
) -> None:
    """Ask for ever; tell `failed` of each counted failure and `decided` of each reached threshold.

    A startup probe ends with its first verdict, a liveness probe with its first failure.
    """
    period_s = probe.period_seconds or DEFAULT_PERIOD_S
    await asyncio.sleep(probe.initial_delay_seconds)
    outcome = await question()
    if kind is not Kind.LIVENESS:
        outcome = await _early(outcome, question, period_s)
    run, previous = 0, None
    while True:
        run = run + 1 if outcome.ok == previous else 1
        previous = outcome.ok
        if not outcome.ok:
            failed(f"{kind.value} probe failed: {outcome.message}")
        if run >= _threshold(probe, outcome.ok):
            decided(Verdict(kind, outcome.ok, outcome.message))
            if kind is Kind.STARTUP or (kind is Kind.LIVENESS and not outcome.ok):
                return
        await asyncio.sleep(period_s)
        outcome = await question()


async def _early(
    outcome: Outcome, question: Callable[[], Awaitable[Outcome]], period_s: float
) -> Outcome:
    step_s = EARLY_STEP_S
    while not outcome.ok and step_s < period_s / 2:
        await asyncio.sleep(step_s)
        step_s *= 2
        outcome = await question()
    return outcome


def _threshold(probe: Probe, ok: bool) -> int:
    return (probe.success_threshold or 1) if ok else (probe.failure_threshold or DEFAULT_FAILURES)
