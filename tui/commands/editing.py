"""Commands that change an object as a text: its YAML in an editor, its labels and annotations."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from engine.client.errors import Unreachable
from engine.types import registry
from engine.types.status import StatusError

from ..model.draft import Draft, DraftError
from ..render.spans import Block, wrapped
from ..render.text import inert
from . import kubectl
from .changing import Subject, each
from .command import command
from .desk import Choice, Desk
from .objects import OBJECTS, subject_of

EDITABLE = (*(view for view in OBJECTS if view != "image"), "describe", "yaml")
_CANCEL, _AGAIN = Choice("cancel", "Cancel"), Choice("again", "Edit again")


@command(
    "edit",
    "e",
    title="Edit",
    help="Its YAML in $EDITOR; the difference is shown before it is applied",
    hint="edit",
    rank=9,
    on=EDITABLE,
    group="Object",
    changes=True,
)
async def edit(desk: Desk) -> None:
    if (found := subject_of(desk)) is None:
        return
    kind, key, obj = found
    meta = obj.metadata
    try:
        raw = await desk.cluster.client.get_raw(type(obj), meta.name, meta.namespace or None)
    except (StatusError, Unreachable) as error:
        desk.flash(str(error), "bad")
        return
    await _edit(desk, kind, key, Draft(raw))


async def _edit(desk: Desk, kind: str, key: str, draft: Draft) -> None:
    """Again and again until it is applied or given up; what was written is kept meanwhile."""
    problem = ""
    while True:
        text = await desk.edit_text(draft.to_edit(problem), f"{key.replace('/', '-')}.yaml")
        if text is None:
            return
        if not draft.take(text):
            desk.flash(f"{key}: nothing is changed", "text")
            return
        try:
            data = draft.object()
        except DraftError as error:
            problem = str(error)
        else:
            title = f"Apply this to {kubectl.singular(kind)} {key}?"
            choices = [_CANCEL, _AGAIN, Choice("apply", "Apply", "warn")]
            answer = await desk.review(title, draft.difference(), choices, "apply")
            if answer == "again":
                problem = ""
                continue
            if answer != "apply":
                desk.flash(f"{key}: nothing is changed", "text")
                return
            problem = await _put(desk, kind, key, data)
            if not problem:
                return
        title = f"{kubectl.singular(kind)} {key} cannot be that"
        if await desk.review(title, _words(problem), [_AGAIN, _CANCEL], "again") != "again":
            desk.flash(f"{key}: nothing is changed", "text")
            return


async def _put(desk: Desk, kind: str, key: str, data: dict[str, Any]) -> str:
    """Replace the object; what the API has against it, or nothing."""
    resource = registry.find(kind)
    assert resource is not None
    namespace, _, name = key.rpartition("/")
    path = resource.path(namespace or None, name)
    line = kubectl.about("edit", kind, [key])
    try:
        body = msgspec.json.encode(data)
        await desk.cluster.client.raw("PUT", path, body=body)
    except (StatusError, Unreachable) as error:
        desk.record(line, str(error))
        return str(error)
    except TypeError as error:
        return f"JSON has no such value: {error}"
    desk.record(line)
    desk.flash(f"{key}: changed", "ok")
    return ""


def _words(text: str) -> Block:
    return [((f" {row}", "text"),) for row in wrapped(inert(text), 76)]


@command(
    "label",
    "ctrl+l",
    title="Label",
    help="Set key=value, or take key- away, on it or on all that are marked",
    on=("list", "pod", "node"),
    group="Object",
    changes=True,
)
async def label(desk: Desk) -> None:
    await _mark_up(desk, "label", "labels")


@command(
    "annotate",
    title="Annotate",
    help="The same for annotations",
    on=("list", "pod", "node"),
    group="Object",
    changes=True,
)
async def annotate(desk: Desk) -> None:
    await _mark_up(desk, "annotate", "annotations")


_CHANGE = re.compile(r"([^=\s]+)=(\S*)|([^=\s]+)-")


async def _mark_up(desk: Desk, verb: str, field: str) -> None:
    subjects = desk.subjects()
    if not subjects:
        desk.flash("nothing is chosen here", "warn")
        return
    who = subjects[0][1] if len(subjects) == 1 else f"{len(subjects)} objects"
    text = await desk.ask_text(f"{verb.capitalize()} {who}", "key=value sets it, key- removes it")
    if not text:
        return
    match = _CHANGE.fullmatch(text.strip())
    if match is None:
        desk.flash(f"{text!r}: write key=value, or key- to take it away", "warn")
        return
    key, value, gone = match.groups()
    patch = {"metadata": {field: {key or gone: None if gone else value}}}

    def line(subject: Subject) -> str:
        return kubectl.about(verb, subject[0], [subject[1]], text.strip(), "--overwrite")

    async def act(subject: Subject) -> None:
        meta = subject[2].metadata
        client = desk.cluster.client
        await client.patch(type(subject[2]), meta.name, meta.namespace or None, patch)

    await each(desk, subjects, line, act, ("is changed", "are changed"))
    desk.clear_marks()
