"""Words about where one is: the crumbs of the key bar, the mode of the status bar."""

from __future__ import annotations

from engine.types.images import Image

from ..commands.all import COMMANDS
from ..commands.command import Command
from ..model.cluster import Cluster
from ..model.images import reference
from ..model.log_range import EVERYTHING
from ..model.place import OF_IMAGES, TEXTS, Place
from ..model.view import View
from ..widgets.log_view import LogView


def crumb(place: Place, cluster: Cluster, namespace: str, view: View | None = None) -> str:
    """A place in few words; `view` is the list that is in sight there."""
    if place.view == "list":
        where = f" of {place.within.title}" if place.within else ""
        space = f" in {namespace}" if namespace else ""
        hidden = f" /{view.filter}" if view is not None and view.filter else ""
        count = f" {len(view.order)}" if view is not None else ""
        if view is not None and view.only_problems:
            count += " with problems"
        if view is not None and view.marks:
            count += f" · {len(view.marked())} marked"
        return f"{place.kind}{count}{where}{space}{hidden}"
    if place.view == "logs":
        words = ["previous logs" if place.previous else "logs", place.part or "all"]
        return " ".join(words if place.range is EVERYTHING else [*words, place.range.name])
    if place.view == "overview":
        return f"overview{f' of {namespace}' if namespace else ''}"
    if place.view == "work":
        return f"{place.part} {place.key}".strip()
    if place.kind == "images" and place.view in ("image", "files", *OF_IMAGES):
        image = cluster.get("images", place.key)
        name = reference(image) if isinstance(image, Image) else place.name
        return name if place.view == "image" else f"{place.view} of {name}"
    if place.view == "container":
        return f"inside {place.part}"
    if place.view == "xray":
        return f"x-ray of {place.name}"
    if place.view == "forwards":
        return "port-forwards"
    if place.view == "journal":
        return "command log"
    return place.view if place.view in TEXTS else place.name


def hints(scopes: frozenset[str], *, at_start: bool, read_only: bool) -> list[Command]:
    """The commands that the key bar names, the most useful first."""
    hidden = "back" if at_start else "leave"
    here = [
        command
        for command in COMMANDS.applying(scopes)
        if command.hint and command.keys and command.id != hidden
    ]
    if read_only:
        here = [command for command in here if not command.changes]
    return sorted(here, key=lambda command: command.rank)


def log_mode(view: LogView) -> str:
    """How the log is shown."""
    states = (("follow", view.following), ("wrap", view.wrap), ("times", view.timestamps))
    words = [f"{name}:{'on' if on else 'off'}" for name, on in states]
    return "  ".join([*words, f"json:{view.json}"] if view.json != "raw" else words)
