"""Where in a Containerfile something is, and what is wrong with it there."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.images.errors import ImageError

_SHOWN = 160  # columns of a source line


@dataclass(frozen=True, slots=True)
class Place:
    """A character of a file. Lines and columns count from 1; `source` is the line's text."""

    file: str
    line: int
    column: int
    source: str


class ContainerfileError(ImageError):
    """What is wrong, with the line it is in and a caret under the character."""

    def __init__(self, place: Place, reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(f"{place.file}:{place.line}:{place.column}: {reason}\n{_pointed(place)}")


def _pointed(place: Place) -> str:
    # A tab stays one, so that the caret stands under its character in any terminal.
    begin = max(0, place.column - 1 - _SHOWN // 2)
    shown = "".join(c if c == "\t" or c.isprintable() else "�" for c in place.source)
    shown = shown[begin : begin + _SHOWN]
    pad = "".join("\t" if c == "\t" else " " for c in shown[: place.column - 1 - begin])
    number = str(place.line)
    return f"  {number} | {shown}\n  {' ' * len(number)} | {pad}^"


def nearest(word: str, known: Sequence[str]) -> str:
    """ " (did you mean X?)" when one of the known words is close; else nothing."""
    from difflib import get_close_matches

    found = get_close_matches(word, known, n=1)
    return f" (did you mean {found[0]}?)" if found else ""
