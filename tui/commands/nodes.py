"""Commands on nodes: closed to new pods, opened again, emptied."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.types.core import Node, Pod
from engine.types.registry import resource_for

from ..model import drain as draining
from ..render.numbers import plural
from . import kubectl
from .changing import Subject, carry_out, each
from .command import command
from .desk import Choice, Desk

NODES = ("list:nodes", "node")


def _nodes(desk: Desk) -> list[Subject]:
    found = [subject for subject in desk.subjects() if isinstance(subject[2], Node)]
    if not found:
        desk.flash("choose a node first", "warn")
    return found


async def _close(desk: Desk, verb: str, closed: bool | None, said: tuple[str, str]) -> None:
    nodes = _nodes(desk)
    if nodes:
        patch = {"spec": {"unschedulable": closed}}
        await each(
            desk,
            nodes,
            lambda node: kubectl.words(verb, node[1]),
            lambda node: desk.cluster.client.patch(Node, node[1], None, patch),
            said,
        )
        desk.clear_marks()


@command(
    "cordon",
    "c",
    title="Cordon",
    help="Give it no new pods",
    hint="cordon",
    rank=6,
    on=NODES,
    group="Node",
    changes=True,
)
async def cordon(desk: Desk) -> None:
    await _close(desk, "cordon", True, ("gets no new pods", "get no new pods"))


@command(
    "uncordon",
    "u",
    title="Uncordon",
    help="Let it have new pods again",
    hint="uncordon",
    rank=7,
    on=NODES,
    group="Node",
    changes=True,
)
async def uncordon(desk: Desk) -> None:
    await _close(desk, "uncordon", None, ("is open to new pods", "are open to new pods"))


@command(
    "drain",
    "r",
    title="Drain",
    help="Have its pods leave, after showing where each will go",
    hint="drain",
    rank=8,
    on=NODES,
    group="Node",
    changes=True,
)
async def drain(desk: Desk) -> None:
    found = desk.subject()
    if found is None or not isinstance(found[2], Node):
        desk.flash("choose a node first", "warn")
        return
    node = found[2]
    fates = draining.plan(desk.cluster, node)
    lost = [fate for fate in fates if fate.what == "lost"]
    choices = [Choice("cancel", "Cancel"), Choice("drain", "Drain", "warn")]
    if lost:
        choices.append(Choice("force", f"Drain, and lose {plural(len(lost), 'pod')}", "bad"))
    title = f"Drain {node.metadata.name}?"
    answer = await desk.review(title, draining.page(fates), choices, "cancel")
    if answer not in ("drain", "force"):
        return
    leaving = [f for f in fates if f.leaves and (answer == "force" or f.what != "lost")]
    await _drain(desk, node, leaving, force=answer == "force")


async def _drain(desk: Desk, node: Node, fates: list[draining.Fate], *, force: bool) -> None:
    name, client = node.metadata.name, desk.cluster.client
    options = ["--ignore-daemonsets", "--delete-emptydir-data", *(["--force"] if force else [])]

    async def act() -> None:
        await client.patch(Node, name, None, {"spec": {"unschedulable": True}})
        for fate in fates:
            path, body = _eviction(fate.pod)
            await client.raw("POST", path, body=body)

    said = f"{name}: no new pods, and {plural(len(fates), 'pod')} on the way out"
    await carry_out(desk, kubectl.words("drain", name, *options), act(), said)


def _eviction(pod: Pod) -> tuple[str, bytes]:
    meta = pod.metadata
    body: dict[str, Any] = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": meta.name, "namespace": meta.namespace},
        "deleteOptions": {"preconditions": {"uid": meta.uid}},
    }
    path = resource_for(Pod).path(meta.namespace, meta.name, "eviction")
    return path, msgspec.json.encode(body)
