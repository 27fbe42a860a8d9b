"""Commands that end objects: each tells what follows, and asks."""

from __future__ import annotations

from functools import partial

from engine.types import registry
from engine.types.core import Pod
from engine.types.meta import Object

from ..render.numbers import plural
from . import kubectl
from .changing import Subject, each
from .command import command
from .desk import Choice, Desk

KEPT = ("nodes", "events", "images", "leases")
"""A node comes back by itself, and the others are nobody's to delete."""
DELETABLE = tuple(
    resource.plural
    for resource in registry.RESOURCES
    if "delete" in resource.verbs and resource.plural not in KEPT
)
PODS = ("list:pods", "pod")
_SHOWN = 6


@command(
    "delete",
    "ctrl+d",
    title="Delete",
    help="Delete it, or all that are marked, after asking",
    hint="delete",
    rank=10,
    on=(*(f"list:{kind}" for kind in DELETABLE), "pod"),
    group="Object",
    changes=True,
)
async def delete(desk: Desk) -> None:
    subjects = desk.subjects()
    if not subjects:
        desk.flash("nothing is chosen here", "warn")
        return
    title, lines = _question("Delete", subjects), _consequences(desk, subjects)
    if await _agreed(desk, title, lines, "Delete"):
        await each(
            desk,
            subjects,
            lambda subject: kubectl.about("delete", subject[0], [subject[1]]),
            partial(_delete, desk, None),
            ("is being deleted", "are being deleted"),
        )
        desk.clear_marks()


@command(
    "kill",
    "ctrl+k",
    title="Kill",
    help="Delete it at once, without the time to end in peace, after asking",
    on=PODS,
    group="Object",
    changes=True,
)
async def kill(desk: Desk) -> None:
    subjects = [subject for subject in desk.subjects() if isinstance(subject[2], Pod)]
    if not subjects:
        desk.flash("choose a pod first", "warn")
        return
    lines = ["Its processes get SIGKILL now.", *_consequences(desk, subjects)]
    if await _agreed(desk, _question("Kill", subjects), lines, "Kill"):
        await each(
            desk,
            subjects,
            lambda subject: kubectl.about("delete", subject[0], [subject[1]], "--now"),
            partial(_delete, desk, 1),
            ("is being killed", "are being killed"),
        )
        desk.clear_marks()


async def _agreed(desk: Desk, title: str, lines: list[str], word: str) -> bool:
    choices = [Choice("cancel", "Cancel"), Choice("do", word, "bad")]
    return await desk.ask(title, lines, choices, "cancel") == "do"


async def _delete(desk: Desk, grace_period: int | None, subject: Subject) -> None:
    meta = subject[2].metadata
    await desk.cluster.client.delete(
        type(subject[2]),
        meta.name,
        meta.namespace or None,
        grace_period=grace_period,
        uid=meta.uid or None,
    )


def _question(verb: str, subjects: list[Subject]) -> str:
    noun = kubectl.singular(subjects[0][0])
    if len(subjects) == 1:
        return f"{verb} {noun} {subjects[0][2].metadata.name}?"
    return f"{verb} {plural(len(subjects), noun)}?"


def _consequences(desk: Desk, subjects: list[Subject]) -> list[str]:
    """What a deletion brings about, in words."""
    if len(subjects) == 1:
        return [_consequence(desk, subjects[0][2])]
    lines = [f"{key}: {_consequence(desk, obj)}" for _, key, obj in subjects[:_SHOWN]]
    rest = len(subjects) - _SHOWN
    return [*lines, f"and {rest} more"] if rest > 0 else lines


def _consequence(desk: Desk, obj: Object) -> str:
    if isinstance(obj, Pod):
        ref = next((ref for ref in obj.metadata.owner_references if ref.controller), None)
        if obj.status.phase in ("Succeeded", "Failed"):
            return "It has ended; its log goes with it."
        if ref is not None:
            return f"{ref.kind} {ref.name} will make a new pod in its place."
        return "Nothing will make it again."
    if obj.kind == "Namespace":
        return "Everything in it will be deleted with it."
    pods = desk.cluster.pods_of(obj)
    if pods:
        return f"Its {plural(len(pods), 'pod')} will be deleted with it."
    return "It cannot be brought back."
