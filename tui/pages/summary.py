"""The preview of kinds without a page of their own: facts, their pods, their events."""

from __future__ import annotations

from engine.types.core import Event
from engine.types.meta import controller_of

from ..model.cluster import Cluster
from ..model.columns import listing
from ..model.pods import key_of, status
from ..render import cells as parts
from ..render import numbers
from ..render.chart import AXIS, chart
from ..render.page import Page
from ..render.spans import EMPTY, Block, crop, crop_middle, pad, rule, wrapped
from ..render.text import inert
from .pod import missing_page
from .pod_preview import brief_events


def summary(cluster: Cluster, kind: str, key: str, width: int, height: int) -> Page:
    """An object beside its list."""
    obj = cluster.get(kind, key)
    if obj is None:
        return missing_page(key)
    page = Page()
    if isinstance(obj, Event):
        return _event(obj, width)
    page.add([((crop_middle(inert(obj.metadata.name), width), "bright bold"),)])
    facts: Block = []
    for column in listing(kind).columns:
        if column.head in ("", "NAME", "NAMESPACE") or column.live:
            continue
        cell = column.cell(cluster, obj, min(width - 14, 40))
        facts.append(((f"{column.head.lower():<13}", "faint"), *cell))
    ref = controller_of(obj.metadata)
    if ref is not None:
        facts.append((("owner        ", "faint"), (inert(f"{ref.kind}/{ref.name}"), "text")))
    page.add(facts)
    pods = sorted(cluster.pods_of(obj), key=key_of)
    names = [name for pod in pods for name in cluster.book.containers(key_of(pod))]
    count = (width - 4 - AXIS) * 2
    if any(value == value for value in cluster.book.sums(names, "cpu", count)):
        page.add(
            chart(
                cluster.book.sums(names, "cpu", count),
                width,
                8,
                title="CPU",
                unit="cores",
                scale="cpu",
                show=numbers.cores,
            )
        )
        page.add(
            chart(
                cluster.book.sums(names, "memory", count),
                width,
                8,
                title="Memory",
                scale="memory",
                show=numbers.size,
                floor=1 << 20,
            )
        )
    if pods:
        page.add([rule(width, (("pods ", "text bold"), (str(len(pods)), "accent")))])
        for pod in pods[: max(3, height - len(page.lines) - 6)]:
            word, meaning = status(cluster, pod)
            state = parts.state(crop(word, 18), meaning)
            name = crop_middle(inert(pod.metadata.name), width - 22)
            page.add([(*pad(((name, "text"),), width - 21), *state)])
    page.add(brief_events(cluster, obj, width, max(3, height - len(page.lines))))
    return page


def _event(event: Event, width: int) -> Page:
    about = event.involved_object
    page = Page([((inert(event.reason), "bright bold"),), EMPTY])
    page.add([((row, "text"),) for row in wrapped(inert(event.message), width)])
    page.add([EMPTY])
    for name, value in (
        ("object", f"{about.kind.lower()}/{about.name}"),
        ("namespace", about.namespace),
        ("field", about.field_path),
        ("type", event.type),
        ("count", str(max(1, event.count))),
        ("first", event.first_timestamp or ""),
        ("last", event.last_timestamp or ""),
        ("source", event.source.component or event.reporting_component),
    ):
        if value:
            page.add([((f"{name:<11}", "faint"), (crop(inert(value), width - 11), "text"))])
    return page
