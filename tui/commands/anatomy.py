"""Commands on the drawing of a container: look inside, and see again how it was started."""

from __future__ import annotations

from ..model.place import Place
from .command import command
from .desk import Desk
from .objects import PODS, part_of, pod_of

HERE = ("container",)


@command(
    "inside",
    "i",
    title="Inside",
    help="A container drawn whole: namespaces, cgroup, layers, mounts, processes",
    hint="inside",
    rank=4,
    on=(view for view in PODS if view != "container"),
    group="Object",
)
def inside(desk: Desk) -> None:
    found = pod_of(desk)
    if found is not None and "stats" in desk.cluster.missing:
        desk.flash("only a Podarium engine can look inside a container", "warn")
    elif found is not None:
        key, pod = found
        desk.go(Place("container", "pods", key, part_of(desk, pod)))


@command(
    "replay",
    "r",
    title="Replay",
    help="See its start again, step by step; and back to how it is",
    hint="replay",
    rank=1,
    on=HERE,
    group="Replay",
)
async def replay(desk: Desk) -> None:
    await desk.replay("toggle")


@command(
    "play",
    "space",
    title="Play",
    help="Let the replay go on by itself, or stop it",
    hint="play",
    rank=2,
    on=HERE,
    group="Replay",
)
async def play(desk: Desk) -> None:
    await desk.replay("play")


@command("faster", "plus", title="Faster", help="More steps a second", on=HERE, group="Replay")
async def faster(desk: Desk) -> None:
    await desk.replay("faster")


@command("slower", "minus", title="Slower", help="Fewer steps a second", on=HERE, group="Replay")
async def slower(desk: Desk) -> None:
    await desk.replay("slower")
