"""The home whose images a command works on."""

from __future__ import annotations

from pathlib import Path

from engine.home import default_home
from podarium.failure import Failure


def image_home() -> Path:
    """As default_home(). An ordinary user becomes root of his own ids first: the files of a layer
    may belong to any of them. So it is to be called before there is a thread. Raise Failure."""
    from engine.runtime.rootless.enter import NotEntered, ordinary, own_ids

    home = default_home()
    if ordinary():
        try:
            own_ids()
        except NotEntered as error:
            raise Failure(f"images in {home} take a user namespace: {error}") from None
    return home
