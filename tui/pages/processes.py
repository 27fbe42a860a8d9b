"""The processes of a container as a tree: the pid that it says of itself, and the node's."""

from __future__ import annotations

from typing import Any

from ..render import numbers
from ..render.spans import Block, Line, crop
from ..render.text import inert

MOST = 30
_STATES = {"R": "ok", "D": "warn", "Z": "bad", "T": "warn"}


def process_tree(processes: list[dict[str, Any]], width: int) -> Block:
    """Children below their parents; what has no parent here stands at the left."""
    children: dict[int, list[dict[str, Any]]] = {}
    here = {process["pid"] for process in processes}
    for process in processes:
        parent = process.get("parent", 0)
        children.setdefault(parent if parent in here else 0, []).append(process)
    rows: Block = []

    def draw(parent: int, lead: str) -> None:
        group = children.get(parent, [])
        for index, process in enumerate(group):
            last = index == len(group) - 1
            branch = ("└─ " if last else "├─ ") if parent else ""
            rows.append(_row(process, lead + branch, width))
            draw(process["pid"], lead + ("   " if last else "│  ") if parent else "")

    draw(0, "")
    if len(rows) > MOST:
        rows[MOST:] = [((f"and {len(rows) - MOST} more", "dim"),)]
    return rows


def _row(process: dict[str, Any], lead: str, width: int) -> Line:
    pids = f"{process.get('inner')} · {process['pid']}"
    size = numbers.size(float(process.get("rss") or 0))
    room = width - len(lead) - len(pids) - len(size) - 4
    return (
        (lead, "faint"),
        (pids, "accent"),
        (f"  {crop(inert(str(process.get('command', ''))), max(4, room))}", "text"),
        (f"  {size}", _STATES.get(str(process.get("state")), "dim")),
    )
