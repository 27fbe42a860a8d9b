"""A pod beside its list, and the small blocks that other previews share."""

from __future__ import annotations

from engine.types.core import Pod
from engine.types.meta import Object

from ..model import events as event_list
from ..model.cluster import Cluster
from ..model.pods import status
from ..render import cells as parts
from ..render.page import Page
from ..render.spans import EMPTY, Block, Line, crop, crop_middle, rule, spread, wrapped
from ..render.text import inert
from .pod import charts, container_state, facts, missing_page, waiting_message


def preview(cluster: Cluster, key: str, width: int, height: int) -> Page:
    """A pod beside its list: the same facts in a narrow column."""
    pod = cluster.pods().get(key)
    if pod is None:
        return missing_page(key)
    page = Page()
    word, meaning = status(cluster, pod)
    summary = cluster.summary(pod)
    page.add(
        [
            ((crop_middle(inert(pod.metadata.name), width), "bright bold"),),
            (*parts.state(word, meaning), (f"  {summary.ready}/{summary.total} ready", "dim")),
        ]
    )
    for text in wrapped(inert(pod.status.message or waiting_message(pod)), width - 2)[:4]:
        if text:
            page.add([((text, "warn"),)])
    page.add([EMPTY])
    column: Block = []
    for name, value in facts(cluster, pod):
        column.append(((f"{name:<9}", "faint"), (crop(value, width - 9), "text")))
    page.add(column)
    tall = 9 if height >= 50 else 7
    page.add(charts(cluster, pod, width, tall if width < 70 else tall + 2))
    page.add(brief_containers(cluster, pod, width))
    room = max(3, height - len(page.lines))
    page.add(brief_events(cluster, pod, width, room))
    return page


def brief_containers(cluster: Cluster, pod: Pod, width: int) -> Block:
    block: Block = [rule(width, (("containers", "text bold"),))]
    for state in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        word, meaning, last = container_state(cluster, state)
        block.append(
            spread(
                ((f"{crop(inert(state.name), 14)} ", "text"), *parts.state(word, meaning)),
                ((f"↻{state.restart_count} ", "dim"),),
                width,
            )
        )
        if last:
            block.append((("  " + crop(last, width - 2), "dim" if meaning == "done" else "warn"),))
    return block


def brief_events(cluster: Cluster, pod: Object, width: int, rows: int) -> Block:
    block: Block = [rule(width, (("events", "text bold"),))]
    for event in cluster.events_about(pod)[: max(0, rows - 1)]:
        line: Line = (
            (f"{event_list.age(cluster, event):>5} ", "faint"),
            *event_list.reason(event, min(18, width - 6)),
        )
        used = sum(len(text) for text, _ in line) + 1
        block.append((*line, (" " + crop(inert(event.message), max(0, width - used)), "dim")))
    return block
