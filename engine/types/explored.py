"""What is in an image: answers of /podarium/v1/images/REF/…, and of `podarium image … --json`.

Layers are numbered from 1, the lowest. Sizes are bytes. A path is text in which a byte that is not
UTF-8 is `\\xNN` and a backslash is doubled, so that every name can be told and asked for again.
"""

from __future__ import annotations

from typing import Annotated

from engine.types.declare import F, Type, always


class Step(Type, kw_only=True):
    """One step of an image's history; `layer` is 0 when it only set something."""

    layer: Annotated[int, F("Number of the layer it made.")] = always(int)
    created: Annotated[str, F("When it was made.")] = ""
    created_by: Annotated[str, F("The command.")] = ""
    comment: Annotated[str, F("What its maker remarks.")] = ""
    size: Annotated[int, F("Bytes of the layer's files.")] = always(int)


class LayerFacts(Type, kw_only=True):
    """One layer of an image."""

    number: Annotated[int, F("Its place, 1 is the lowest.")] = always(int)
    diff_id: Annotated[str, F("Digest of the plain archive.")] = ""
    digest: Annotated[str, F("Digest of the stored blob.")] = ""
    size: Annotated[int, F("Bytes of the stored blob.")] = always(int)
    unpacked_size: Annotated[int, F("Bytes of its files.")] = always(int)
    entries: Annotated[int, F("Names in it.")] = always(int)
    whiteouts: Annotated[int, F("Names of lower layers that it removes.")] = always(int)
    created_by: Annotated[str, F("The command that made it.")] = ""
    shared_with: Annotated[list[str], F("References of other images with this layer.")] = always(
        list
    )


class Layers(Type, kw_only=True):
    """An image's layers and history, lowest and first step first."""

    reference: Annotated[str, F("The image.")] = always("")
    digest: Annotated[str, F("Digest of its manifest.")] = ""
    size: Annotated[int, F("Bytes of its blobs.")] = always(int)
    unique: Annotated[int, F("Bytes of layers that no other image has.")] = always(int)
    shared: Annotated[int, F("Bytes of layers that others have too.")] = always(int)
    layers: Annotated[list[LayerFacts], F("The layers.")] = always(list)
    history: Annotated[list[Step], F("The steps.")] = always(list)


class TreeRow(Type, kw_only=True):
    """A name in a directory. What was removed is told as it was."""

    name: Annotated[str, F("Last part of the path.")] = always("")
    path: Annotated[str, F("Absolute.")] = always("")
    kind: Annotated[str, F("file, directory, symlink, hardlink, …")] = always("")
    mark: Annotated[str, F("added, changed, removed or same.")] = always("same")
    size: Annotated[int, F("Bytes; of a directory, of all files below.")] = always(int)
    count: Annotated[int, F("Names below a directory.")] = 0
    layer: Annotated[int, F("Number of the topmost layer that has it.")] = always(int)
    mode: Annotated[int, F("Permission bits.")] = always(int)
    uid: Annotated[int, F("Owner.")] = 0
    gid: Annotated[int, F("Group.")] = 0
    modified: Annotated[float, F("Seconds since 1970.")] = 0.0
    link: Annotated[str, F("Where a link leads.")] = ""


class TreePage(Type, kw_only=True):
    """Some of the names in a directory, or of all that differs below it."""

    reference: Annotated[str, F("The image or container.")] = always("")
    path: Annotated[str, F("The directory.")] = always("/")
    layer: Annotated[int, F("The topmost layer that is looked at.")] = always(int)
    since: Annotated[int, F("The layer it is compared with; 0 is none.")] = 0
    size: Annotated[int, F("Bytes of all files below the directory.")] = always(int)
    count: Annotated[int, F("Names below the directory.")] = always(int)
    rows: Annotated[list[TreeRow], F("The names.")] = always(list)
    offset: Annotated[int, F("How many come before these.")] = 0
    total: Annotated[int, F("How many there are.")] = always(int)


class WastedPath(Type, kw_only=True):
    """A path that several layers have."""

    path: Annotated[str, F("Absolute.")] = always("")
    copies: Annotated[int, F("How many layers have it, removals counted.")] = always(int)
    total: Annotated[int, F("Bytes of all copies.")] = always(int)
    hidden: Annotated[int, F("Bytes of copies that nothing shows.")] = always(int)
    layers: Annotated[list[int], F("Numbers of the layers.")] = always(list)


class WastedLayer(Type, kw_only=True):
    """What one instruction wastes."""

    number: Annotated[int, F("Its layer.")] = always(int)
    created_by: Annotated[str, F("The command.")] = ""
    size: Annotated[int, F("Bytes of its files.")] = always(int)
    hidden: Annotated[int, F("Of these, bytes that later layers hide.")] = always(int)
    hides: Annotated[int, F("Bytes of lower layers that it hides.")] = always(int)


class SameFiles(Type, kw_only=True):
    """Files of the same content."""

    digest: Annotated[str, F("Of the content.")] = always("")
    size: Annotated[int, F("Bytes of one.")] = always(int)
    surplus: Annotated[int, F("Bytes of all but one.")] = always(int)
    paths: Annotated[list[str], F("Where they are.")] = always(list)
    layers: Annotated[list[int], F("In which layer each is.")] = always(list)


class WasteReport(Type, kw_only=True):
    """`efficiency`, `wasted` and `wastedUserPercent` are dive's (see engine.images.explore.waste);
    `hidden` is what an image without the detours would save."""

    reference: Annotated[str, F("The image.")] = always("")
    efficiency: Annotated[float, F("0 to 1.")] = always(float)
    wasted: Annotated[int, F("Bytes of all copies of paths with several.")] = always(int)
    wasted_user_percent: Annotated[
        float, F("These over the bytes above the lowest layer, 0 to 1.")
    ] = always(float)
    hidden: Annotated[int, F("Bytes that nothing shows.")] = always(int)
    paths: Annotated[list[WastedPath], F("The largest first.")] = always(list)
    total: Annotated[int, F("How many paths there are.")] = always(int)
    layers: Annotated[list[WastedLayer], F("By instruction.")] = always(list)
    same: Annotated[list[SameFiles], F("Equal files, when asked for.")] = []


class Word(Type, kw_only=True):
    """What one layer says about a path."""

    number: Annotated[int, F("The layer.")] = always(int)
    created_by: Annotated[str, F("The command that made it.")] = ""
    mark: Annotated[str, F("added, changed or removed.")] = always("")
    kind: Annotated[str, F("file, directory, …; empty when removed.")] = ""
    size: Annotated[int, F("Bytes.")] = always(int)
    mode: Annotated[int, F("Permission bits.")] = always(int)
    uid: Annotated[int, F("Owner.")] = 0
    gid: Annotated[int, F("Group.")] = 0
    link: Annotated[str, F("Where a link leads.")] = ""
    visible: Annotated[bool, F("Whether a container sees this one.")] = always(bool)


class Which(Type, kw_only=True):
    """Which layers have a path; the last visible one owns it."""

    reference: Annotated[str, F("The image.")] = always("")
    path: Annotated[str, F("As asked.")] = always("")
    resolved: Annotated[str, F("With links followed.")] = always("")
    words: Annotated[list[Word], F("Lowest layer first.")] = always(list)


class Difference(Type, kw_only=True):
    """What differs from `base` to `now`: some of the rows; the sums are over all of them."""

    base: Annotated[str, F("An image or a container.")] = always("")
    now: Annotated[str, F("An image or a container.")] = always("")
    added: Annotated[int, F("Names that only `now` has.")] = always(int)
    changed: Annotated[int, F("Names that differ.")] = always(int)
    removed: Annotated[int, F("Names that only `base` has.")] = always(int)
    grown: Annotated[int, F("Bytes of files that `now` has more than `base`.")] = always(int)
    rows: Annotated[list[TreeRow], F("By path.")] = always(list)
    offset: Annotated[int, F("How many come before these.")] = 0
