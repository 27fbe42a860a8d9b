"""The list of images: size, what is theirs alone, what they share, who runs them."""

from __future__ import annotations

from engine.types import clock
from engine.types.images import Image

from ..render.numbers import size
from ..render.spans import crop_middle
from ..render.text import inert
from .cluster import Cluster
from .column import Column, quiet

MEANINGFUL = 1_000_000_000.0
"""No image is older than this (2001): an earlier date is the fixed one of a reproducible build."""


def reference(image: Image) -> str:
    """The name of an image, its digest when it has none."""
    return inert(image.references[0]) if image.references else f"<none>@{image.digest[:19]}"


def created(cluster: Cluster, image: Image) -> str:
    """How long ago it was made; images made to be the same each time carry no true date."""
    if not image.created or clock.parse(image.created) < MEANINGFUL:
        return "–"
    return clock.age(image.created, cluster.now())


def shared_bytes(image: Image) -> int:
    """Bytes of layers that other images have too."""
    return sum(layer.size for layer in image.layers if layer.shared_with)


def users(cluster: Cluster, image: Image) -> int:
    """How many pods use an image."""
    names = set(image.references) | {
        ref.removeprefix("docker.io/library/") for ref in image.references
    }
    return sum(
        any(container.image in names for container in pod.spec.containers)
        for pod in cluster.pods().values()
    )


COLUMNS = (
    Column(
        "IMAGE",
        0,
        lambda c, i: reference(i),
        lambda c, i, w: ((crop_middle(reference(i), w), "text"),),
        key="N",
    ),
    Column(
        "SIZE",
        8,
        lambda c, i: i.size,
        lambda c, i, w: ((size(i.size), "text"),),
        right=True,
        key="Z",
        down=True,
    ),
    Column(
        "SHARED",
        8,
        lambda c, i: shared_bytes(i),
        lambda c, i, w: quiet(size(shared_bytes(i)) if shared_bytes(i) else "–", w),
        right=True,
        rank=3,
        down=True,
    ),
    Column(
        "OWN",
        8,
        lambda c, i: i.size - shared_bytes(i),
        lambda c, i, w: quiet(size(i.size - shared_bytes(i)), w),
        right=True,
        rank=3,
        down=True,
    ),
    Column(
        "LAYERS",
        6,
        lambda c, i: len(i.layers),
        lambda c, i, w: ((str(len(i.layers)), "text"),),
        right=True,
        rank=2,
        down=True,
    ),
    Column(
        "PODS",
        4,
        users,
        lambda c, i, w: ((str(users(c, i)), "ok" if users(c, i) else "faint"),),
        right=True,
        down=True,
    ),
    Column(
        "DIGEST",
        12,
        lambda c, i: i.digest,
        lambda c, i, w: quiet(inert(i.digest).removeprefix("sha256:")[:12], w),
        rank=5,
    ),
    Column(
        "CREATED",
        8,
        lambda c, i: i.created or "",
        lambda c, i, w: quiet(created(c, i), w),
        right=True,
        rank=4,
    ),
)
