"""Commands on images: into their files, what they waste, what differs, and work on them."""

from __future__ import annotations

from engine.types.images import Image

from ..model.images import reference
from ..model.imagework import ImageWork
from ..model.place import Place
from .command import command
from .desk import Choice, Desk
from .objects import pod_of

IMAGES = ("list:images", "image")
INSIDE = (*IMAGES, "files")


def _image(desk: Desk) -> tuple[str, Image] | None:
    place = desk.place
    key = place.key if place.view == "files" else ""
    found = desk.cluster.get("images", key) if key else None
    if isinstance(found, Image):
        return key, found
    subject = desk.subject()
    if subject is not None and isinstance(subject[2], Image):
        return subject[1], subject[2]
    desk.flash("choose an image first", "warn")
    return None


@command(
    "files",
    "f",
    title="Files",
    help="The tree of an image's files, layer by layer",
    hint="files",
    rank=2,
    on=IMAGES,
    group="Images",
)
def files(desk: Desk) -> None:
    if (found := _image(desk)) is not None:
        desk.go(Place("files", "images", found[0]))


@command(
    "waste",
    "w",
    title="Waste",
    help="Bytes it carries for nothing, by instruction and by path; equal files",
    hint="waste",
    rank=4,
    on=IMAGES,
    group="Images",
)
def waste(desk: Desk) -> None:
    if (found := _image(desk)) is not None:
        desk.go(Place("waste", "images", found[0]))


@command(
    "compare",
    "c",
    title="Compare",
    help="Two marked images, or this one with another that you name",
    hint="compare",
    rank=7,
    on=INSIDE,
    group="Images",
)
async def compare(desk: Desk) -> None:
    marked = [obj for _, _, obj in desk.subjects() if isinstance(obj, Image)]
    if desk.place.view == "list" and len(marked) == 2:
        base, now = marked
        desk.go(Place("diff", "images", base.metadata.name, now.digest))
        return
    if (found := _image(desk)) is None:
        return
    others = [
        image.references[0]
        for image in desk.cluster.objects("images").values()
        if isinstance(image, Image) and image.references and image is not found[1]
    ]
    words = f"Its name, as {others[0]}:" if others else "Its name:"
    other = await desk.ask_text(f"Compare {reference(found[1])} with", words)
    if other:
        desk.go(Place("diff", "images", found[0], other))


@command(
    "image-against-container",
    "equals_sign",
    title="Against its image",
    help="What a running container has that its image has not",
    on=("list:pods", "pod"),
    group="Images",
)
def against(desk: Desk) -> None:
    if (found := pod_of(desk)) is None:
        return
    key, pod = found
    container = next(
        (c for c in pod.spec.containers if c.name == desk.place.part), pod.spec.containers[0]
    )
    status = next((s for s in pod.status.container_statuses if s.name == container.name), None)
    names = {container.image, status.image_id if status is not None else ""}
    for name, image in desk.cluster.objects("images").items():
        if isinstance(image, Image) and names & {image.digest, *image.references}:
            desk.go(Place("diff", "images", name, f"pod:{key}/{container.name}"))
            return
    desk.flash(f"{container.image} is not among the images of this machine", "warn")


# -- inside the tree -------------------------------------------------------------------------


@command("fold", "space", title="Fold or unfold", hint="fold", rank=2, on=("files",), group="Files")
def fold(desk: Desk) -> None:
    desk.images.fold()


@command(
    "layer-up",
    "right_square_bracket",
    title="Layer above",
    help="What the next layer up did",
    hint="layer",
    rank=3,
    on=("files",),
    group="Files",
)
def layer_up(desk: Desk) -> None:
    desk.images.layer(1)


@command("layer-down", "left_square_bracket", title="Layer below", on=("files",), group="Files")
def layer_down(desk: Desk) -> None:
    desk.images.layer(-1)


@command(
    "all-changes",
    "a",
    "ctrl+a",
    title="All changes",
    help="Marks of all layers above the lowest, or of this layer alone",
    hint="all",
    rank=5,
    on=("files",),
    group="Files",
)
def all_changes(desk: Desk) -> None:
    desk.images.toggle("whole")


@command(
    "only-changed",
    "m",
    "ctrl+u",
    title="Only changes",
    help="Leave out what is the same",
    hint="changed",
    rank=4,
    on=("files",),
    group="Files",
)
def only_changed(desk: Desk) -> None:
    desk.images.toggle("changed")


@command(
    "files-by-size",
    "S",
    "ctrl+o",
    title="Sort by size",
    help="The largest first, or by name again",
    hint="size",
    rank=6,
    on=("files",),
    group="Files",
)
def by_size(desk: Desk) -> None:
    desk.images.toggle("size")


@command(
    "least-size",
    "b",
    title="Smallest size",
    help="Leave out what is smaller than 10 KiB, 1 MiB, 10 MiB, nothing",
    on=("files",),
    group="Files",
)
def least_size(desk: Desk) -> None:
    desk.images.toggle("least")


@command(
    "which",
    "w",
    title="Which layers",
    help="Which layers have this path, and what each did with it",
    hint="which",
    rank=7,
    on=("files",),
    group="Files",
)
def which(desk: Desk) -> None:
    path = desk.images.path()
    if path:
        desk.go(Place("which", "images", desk.place.key, path))


@command(
    "change",
    "D",
    title="What changed in it",
    help="A file's lines, before the layer that changed it last and after",
    hint="change",
    rank=8,
    on=("files",),
    group="Files",
)
def change(desk: Desk) -> None:
    path, number = desk.images.path(), desk.images.number
    if path:
        desk.go(Place("change", "images", desk.place.key, f"{number}:{path}"))


@command(
    "extract",
    "e",
    "ctrl+e",
    title="Extract",
    help="Save a file of the image, also one that was removed, to a folder of yours",
    on=("files",),
    group="Files",
)
async def extract(desk: Desk) -> None:
    await desk.images.extract()


@command("waste-of-files", "W", title="Waste", on=("files",), group="Files")
def waste_of_files(desk: Desk) -> None:
    desk.go(Place("waste", "images", desk.place.key))


# -- work ------------------------------------------------------------------------------------


@command(
    "pull",
    "p",
    title="Pull",
    help="Get an image from a registry; a pull that broke is gone on with",
    hint="pull",
    rank=9,
    on=("list:images",),
    group="Images",
    changes=True,
)
async def pull(desk: Desk) -> None:
    name = await desk.ask_text("Pull an image", "Its name, as debian:12:")
    if name:
        desk.record(f"podarium pull {name}")
        desk.images.start_work(ImageWork("pull", name))


@command(
    "push",
    "P",
    title="Push",
    help="Give an image to a registry",
    on=IMAGES,
    group="Images",
    changes=True,
)
async def push(desk: Desk) -> None:
    if (found := _image(desk)) is None:
        return
    name = reference(found[1])
    to = await desk.ask_text(f"Push {name}", "Under which name, with the registry's host:")
    if to:
        desk.record(f"podarium push {name} {to}")
        desk.images.start_work(ImageWork("push", name), {"to": to})


@command(
    "remove-image",
    "ctrl+d",
    title="Remove",
    help="Remove an image's name, and with its last one the image, after asking",
    hint="remove",
    rank=10,
    on=IMAGES,
    group="Images",
    changes=True,
)
async def remove(desk: Desk) -> None:
    if (found := _image(desk)) is None:
        return
    image = found[1]
    name = reference(image)
    lines = ["Pods that run keep their files; a new one would need to pull it."]
    if len(image.references) > 1:
        others = ", ".join(image.references[1:])
        lines = [f"Only this name goes: it is still {others}."]
    choices = [Choice("cancel", "Cancel"), Choice("do", "Remove", "bad")]
    if await desk.ask(f"Remove image {name}?", lines, choices, "cancel") == "do":
        desk.record(f"podarium rmi {name}")
        desk.images.start_work(ImageWork("remove", image.references[0]))


@command(
    "prune",
    "R",
    title="Prune",
    help="Remove blobs and layers that no image needs, after asking",
    on=("list:images",),
    group="Images",
    changes=True,
)
async def prune(desk: Desk) -> None:
    choices = [Choice("cancel", "Cancel"), Choice("do", "Prune", "bad")]
    lines = ["Blobs and unpacked layers that no image needs go.", "Images and containers stay."]
    if await desk.ask("Prune the image store?", lines, choices, "cancel") == "do":
        desk.record("podarium image prune")
        desk.images.start_work(ImageWork("prune", ""))
