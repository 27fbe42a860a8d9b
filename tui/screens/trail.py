"""How one came to where one is: places, and where the cursor was in each."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.place import OVERVIEW, Place


@dataclass
class Visit:
    """A place, and where the cursor was."""

    place: Place
    key: str = ""
    top: int = 0
    filter: str = ""


class Trail:
    """The visits from the overview to here; it is never empty."""

    def __init__(self) -> None:
        self.visits = [Visit(OVERVIEW)]

    @property
    def here(self) -> Visit:
        """The visit one is at."""
        return self.visits[-1]

    @property
    def at_start(self) -> bool:
        """Whether there is nowhere to go back to."""
        return len(self.visits) == 1

    def push(self, place: Place) -> bool:
        """One step further; the overview begins anew. False when one is there already."""
        if place == OVERVIEW:
            self.visits = [Visit(OVERVIEW)]
            return True
        if place == self.here.place:
            return False
        self.visits.append(Visit(place))
        return True

    def start_at(self, place: Place) -> None:
        """A place as the only step after the overview."""
        self.visits = [self.visits[0], Visit(place)]

    def replace(self, place: Place) -> None:
        """Another place instead of this one."""
        self.visits[-1] = Visit(place)

    def pop(self) -> bool:
        """One step back; False at the start."""
        if self.at_start:
            return False
        self.visits.pop()
        return True
