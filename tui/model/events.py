"""The list of events: what happened, to whom, how often."""

from __future__ import annotations

from engine.types import clock
from engine.types.core import Event

from ..render.spans import Line, crop, crop_middle
from ..render.text import inert
from .cluster import Cluster, event_time
from .column import Column, quiet


def age(cluster: Cluster, event: Event) -> str:
    """How long ago it came last."""
    stamp = event_time(event)
    return clock.age(stamp, cluster.now()) if stamp else "–"


def about(event: Event) -> str:
    """The object, as kubectl names it."""
    return inert(f"{event.involved_object.kind.lower()}/{event.involved_object.name}")


def count(event: Event) -> int:
    """How often it came."""
    return max(1, event.series.count if event.series else event.count)


def reason(event: Event, width: int) -> Line:
    """The reason, marked when it is a warning."""
    warning = event.type == "Warning"
    sign = "▲ " if warning else "· "
    return ((sign + crop(inert(event.reason), width - 2), "warn" if warning else "dim"),)


def _since(cluster: Cluster, event: Event) -> float:
    stamp = event_time(event)
    return cluster.now() - clock.parse(stamp) if stamp else 0.0


COLUMNS = (
    Column("LAST", 6, _since, lambda c, e, w: quiet(age(c, e), w), right=True, key="A"),
    Column("REASON", 20, lambda c, e: inert(e.reason), lambda c, e, w: reason(e, w), key="S"),
    Column(
        "OBJECT",
        28,
        lambda c, e: about(e),
        lambda c, e, w: ((crop_middle(about(e), w), "text"),),
        rank=2,
        key="N",
    ),
    Column(
        "MESSAGE",
        0,
        lambda c, e: inert(e.message),
        lambda c, e, w: ((crop(inert(e.message), w), "text"),),
    ),
    Column(
        "COUNT",
        5,
        lambda c, e: count(e),
        lambda c, e, w: ((f"×{count(e)}" if count(e) > 1 else "", "dim"),),
        right=True,
        rank=3,
        down=True,
    ),
    Column(
        "SOURCE",
        16,
        lambda c, e: inert(e.source.component or e.reporting_component),
        lambda c, e, w: quiet(inert(e.source.component or e.reporting_component), w),
        rank=5,
    ),
)
