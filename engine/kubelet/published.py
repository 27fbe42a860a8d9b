"""The machine's image store, shown through the API as Image objects: names, layers, sharing."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable

from engine.client.client import Client
from engine.client.errors import Unreachable
from engine.images.store import ImageStore
from engine.images.types import Digest
from engine.images.types import Image as Stored
from engine.kubelet.changes import changes
from engine.linux.inotify import IN
from engine.types import codec
from engine.types.images import Image, ImageConfig, ImageLayer
from engine.types.meta import ObjectMeta
from engine.types.status import AlreadyExists, NotFound, StatusError

log = logging.getLogger(__name__)


async def publish_images(client: Client, store: ImageStore) -> None:
    """Make the API's Image objects equal to what the store holds.

    Raise StatusError, Unreachable.
    """
    wanted = {obj.metadata.name: obj for obj in described(await asyncio.to_thread(store.images))}
    listing = await client.list(Image)
    for obj in listing.items:
        if obj.metadata.name not in wanted:
            try:
                await client.delete(Image, obj.metadata.name)
            except NotFound:
                continue  # somebody was faster
    known = {obj.metadata.name: obj for obj in listing.items}
    for name, obj in wanted.items():
        if name not in known:
            try:
                await client.create(obj)
            except AlreadyExists:
                continue  # somebody was faster, from the same store
        elif _content(known[name]) != _content(obj):
            await client.patch(Image, name, None, _content(obj))


async def follow_images(client: Client, store: ImageStore, changed: Callable[[], None]) -> None:
    """Publish, and again whenever an image or a layer comes or goes; tell `changed` of it too."""
    with changes(IN.MOVED_TO | IN.DELETE, store.root, store.root / "layers") as moved:
        while True:
            try:
                await publish_images(client, store)
            except (StatusError, Unreachable) as error:
                log.warning("images: %s", error)
            await moved.wait()
            moved.clear()
            changed()


def _content(obj: Image) -> dict[str, object]:
    return {key: value for key, value in codec.to_dict(obj).items() if key != "metadata"}


def described(images: Iterable[Stored]) -> list[Image]:
    """One object for each digest; of each layer, which other images stand on it. Pure."""
    by_digest: dict[Digest, list[Stored]] = defaultdict(list)
    users: dict[Digest, set[str]] = defaultdict(set)
    for image in images:
        by_digest[image.digest].append(image)
        for layer in image.layers:
            users[layer.diff_id].add(image.reference)
    return [_described(same, users) for same in by_digest.values()]


def _described(same: list[Stored], users: dict[Digest, set[str]]) -> Image:
    image = same[0]
    own = {each.reference for each in same}
    config = image.config
    return Image(
        metadata=ObjectMeta(name=str(image.digest).replace(":", "-")),
        references=sorted(own),
        digest=str(image.digest),
        size=image.size,
        # 1970 is what a reproducible build says instead of a time.
        created=image.created if image.created > "1971" else None,
        config=ImageConfig(
            env=list(config.env),
            entrypoint=list(config.entrypoint),
            cmd=list(config.cmd),
            working_dir=config.working_dir,
            user=config.user,
            exposed_ports=list(config.exposed_ports),
            stop_signal=config.stop_signal,
            labels=dict(config.labels or {}),
        ),
        layers=[
            ImageLayer(
                digest=str(layer.digest),
                diff_id=str(layer.diff_id),
                size=layer.size,
                unpacked_size=layer.unpacked_size or 0,
                media_type=layer.media_type,
                created_by=layer.created_by,
                entries=layer.entries or 0,
                shared_with=sorted(users[layer.diff_id] - own),
            )
            for layer in image.layers
        ],
    )
