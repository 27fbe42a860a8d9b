"""Where one is in the dashboard: a value that can be kept, gone back to, and shown as crumbs."""

from __future__ import annotations

from dataclasses import dataclass

from .log_range import EVERYTHING, Range


@dataclass(frozen=True)
class Within:
    """Narrows a list to what belongs to one object."""

    relation: str
    """`node`, `owner`, `image` or `about`."""
    value: str
    """The node's name, the owner's uid, the image's reference, the uid of what events are about."""
    title: str
    """Name of the object, for the crumbs."""


@dataclass(frozen=True)
class Place:
    """A view and what it shows."""

    view: str
    """overview, list, pod, container, node, image, files, logs, xray, forwards, or one of TEXTS."""
    kind: str = ""
    """Plural of the kind of a list or an object."""
    key: str = ""
    """`namespace/name` or `name` of the object."""
    part: str = ""
    """The container of a log; empty for all of them. Of an image: a layer's number, a path, or what
    it is compared with."""
    within: Within | None = None
    previous: bool = False
    """The log of the container that ran before."""
    range: Range = EVERYTHING
    """The part of a log."""

    @property
    def namespace(self) -> str:
        return self.key.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    @property
    def scopes(self) -> frozenset[str]:
        """What commands call this place."""
        if self.view == "list":
            return frozenset({"list", f"list:{self.kind}"})
        if self.view in TEXTS:
            return frozenset({self.view, "text"})
        return frozenset({self.view})


OF_IMAGES = ("waste", "which", "diff", "file", "change", "work")
TEXTS = ("describe", "yaml", "journal", *OF_IMAGES)
"""Views that are a text to read."""
OVERVIEW = Place("overview")
JOURNAL = Place("journal")
FORWARDS = Place("forwards")
