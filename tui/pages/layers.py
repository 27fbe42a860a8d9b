"""Layers drawn as what they are: a stack, the lowest at the bottom, each as wide as its share."""

from __future__ import annotations

from engine.types.images import Image, ImageLayer

from ..model.cluster import Cluster
from ..model.images import created, reference, shared_bytes, users
from ..render.bars import STEPS, slim, stacked
from ..render.numbers import size
from ..render.page import Hit, Page
from ..render.spans import Block, Line, Span, crop, crop_middle, pad, rule, spread, wrapped
from ..render.text import inert


def colour(index: int, count: int) -> str:
    """The colour of a layer by its place in the stack."""
    return f"layer.{round(index / max(1, count - 1) * (STEPS - 1))}"


def slab(title: str, role: str, width: int, right: str, body: list[Line] | None = None) -> Block:
    """One layer: a coloured edge, its name, its size, and words below."""
    head = spread(
        (("▌", role), (f" {title}", "text bold")), ((right, "text"), (" ", "text")), width
    )
    return [head, *(((("▌", role), ("   ", "text"), *row)) for row in body or [])]


def _image_layer(layer: ImageLayer, index: int, count: int, largest: int, width: int) -> Block:
    command = inert(layer.created_by) or "layer without a history"
    shared = len(layer.shared_with)
    words: list[Span] = [
        *slim(
            layer.size / largest if largest else 0.0,
            min(24, width // 4),
            "net",
            role=colour(index, count),
        ),
        (f"  {layer.entries} entries", "dim"),
        (f"  {inert(layer.digest).removeprefix('sha256:')[:12]}", "faint"),
    ]
    if shared:
        names = ", ".join(inert(name) for name in layer.shared_with[:3])
        more = f" +{shared - 3}" if shared > 3 else ""
        words.append((f"  shared with {names}{more}", "accent"))
    return slab(
        f"{index + 1}  {crop(command, width - 18)}",
        colour(index, count),
        width,
        size(layer.size),
        [pad(words, width - 4)],
    )


def image_page(cluster: Cluster, key: str, width: int, height: int, target: str) -> Page:
    """An image: what it is, its layers from top to bottom, who runs it."""
    image = cluster.get("images", key)
    if not isinstance(image, Image):
        from .pod import missing_page

        return missing_page(key)
    page = Page()
    page.add(_identity(cluster, image, width))
    page.add([_whole(image, width)])
    page.add([rule(width, (("layers ", "text bold"), ("top first", "faint")))])
    layers = list(enumerate(image.layers))
    largest = max((layer.size for layer in image.layers), default=1)
    for index, layer in reversed(layers):
        name = f"layer:{index + 1}"
        block = _image_layer(layer, index, len(layers), largest, width)
        if name == target:
            block = [tuple((text, f"{role} @cursor") for text, role in row) for row in block]
        page.add(block, [Hit(0, 0, width, name)])
    page.add(_shared_picture(cluster, width))
    page.add(*_users(cluster, image, width, target))
    return page


def _whole(image: Image, width: int) -> Line:
    """The image as one bar, each layer as wide as its share, the lowest at the left."""
    total = max(1, sum(layer.size for layer in image.layers))
    count = len(image.layers)
    shares = [(layer.size / total, colour(at, count)) for at, layer in enumerate(image.layers)]
    return ((" ", "text"), *stacked(shares, width - 2))


def _identity(cluster: Cluster, image: Image, width: int) -> Block:
    shared = shared_bytes(image)
    rows: Block = [
        ((" ", "text"), (crop_middle(reference(image), width - 2), "bright bold")),
        (
            (" size ", "faint"),
            (size(image.size), "text"),
            ("   shared ", "faint"),
            (size(shared), "text"),
            ("   own ", "faint"),
            (size(image.size - shared), "text"),
            ("   created ", "faint"),
            (created(cluster, image), "text"),
        ),
    ]
    config = image.config
    for name, value in (
        ("runs", " ".join([*config.entrypoint, *config.cmd])),
        ("env", " ".join(config.env)),
        ("digest", image.digest),
    ):
        if value:
            rows.append(
                ((f" {name} ", "faint"), (crop(inert(value), width - len(name) - 3), "dim"))
            )
    return rows


def _shared_picture(cluster: Cluster, width: int) -> Block:
    """All images side by side as columns of their layers: equal letters are the same layer."""
    images = [image for image in cluster.objects("images").values() if isinstance(image, Image)]
    if len(images) < 2:
        return []
    letters: dict[str, str] = {}
    block: Block = [rule(width, (("shared among all images", "text bold"),))]
    for image in sorted(images, key=reference):
        spans: list[Span] = [(" ", "text")]
        spans += pad(((crop_middle(reference(image), 30), "text"),), 32)
        for layer in image.layers:
            letter = letters.setdefault(layer.diff_id, chr(ord("A") + len(letters) % 26))
            role = f"layer.{(ord(letter) - ord('A')) * 3 % STEPS}"
            spans += [(f" {letter} ", f"ink @{role}"), (" ", "text")]
        block.append(tuple(spans))
    return block


def _users(cluster: Cluster, image: Image, width: int, target: str) -> tuple[Block, list[Hit]]:
    count = users(cluster, image)
    block: Block = [rule(width, (("run by ", "text bold"), (f"{count} pods", "dim")))]
    hits: list[Hit] = []
    names = set(image.references)
    for key, pod in sorted(cluster.pods().items()):
        if any(container.image in names for container in pod.spec.containers):
            role = "bright underline" if target == f"pods:{key}" else "text"
            hits.append(Hit(len(block), 3, len(key), f"pods:{key}"))
            block.append((("   ", "text"), (inert(key), role)))
    return block, hits


def preview(cluster: Cluster, key: str, width: int, height: int) -> Page:
    """An image beside its list."""
    image = cluster.get("images", key)
    if not isinstance(image, Image):
        from .pod import missing_page

        return missing_page(key)
    page = Page()
    page.add([((line, "bright bold"),) for line in wrapped(reference(image), width)])
    page.add([((f"{size(image.size)}  {len(image.layers)} layers", "dim"),)])
    page.add([rule(width, (("layers", "text bold"),))])
    largest = max((layer.size for layer in image.layers), default=1)
    for index, layer in reversed(list(enumerate(image.layers))):
        command = inert(layer.created_by) or "layer"
        shared = f"  shared ×{len(layer.shared_with) + 1}" if layer.shared_with else ""
        page.add(
            slab(
                crop(command, width - 14),
                colour(index, len(image.layers)),
                width,
                size(layer.size),
                [
                    (
                        *slim(
                            layer.size / largest if largest else 0.0,
                            max(6, width // 3),
                            "net",
                            role=colour(index, len(image.layers)),
                        ),
                        (f"  {layer.entries} entries{shared}", "dim"),
                    )
                ],
            )
        )
    return page
