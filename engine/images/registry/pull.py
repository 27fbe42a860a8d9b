"""Pulling an image: only what is missing travels, and nothing is seen before all of it is there.

Blobs come in parallel into `ingest`, each checked for size and digest in the stream; the manifest's
bytes are kept as they came. Only the last step, into the store and under the name, excludes the
collector, so that removing an image never waits for somebody's network.
"""

from contextlib import nullcontext
from dataclasses import dataclass

from engine.images.archive import host_platform
from engine.images.errors import BadImage
from engine.images.reference import Reference
from engine.images.registry import platforms
from engine.images.registry.arriving import Arrivals
from engine.images.registry.client import Fetched
from engine.images.registry.download import Download
from engine.images.registry.ingest import Ingest
from engine.images.registry.progress import BlobProgress, Meter, Resolved
from engine.images.registry.session import Session, Sources, refuse_local
from engine.images.store import ImageStore
from engine.images.types import (
    CONFIG_LIMIT,
    INDEXES,
    MANIFEST_LIMIT,
    ConfigFile,
    Descriptor,
    Digest,
    Image,
    Index,
    Manifest,
    Platform,
)

LAYERS_MAX = 500  # what overlayfs can stack (fs/overlayfs/params.h)
_DEPTH = 3  # of indexes within indexes
_LAYERS = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
}


@dataclass(frozen=True, slots=True)
class Pulled:
    """`digest` is what the registry has under the name: the image's, or its index's. `transferred`
    counts the bytes of blobs that travelled; `new` says whether the name meant another image."""

    image: Image
    digest: Digest
    transferred: int
    seconds: float
    new: bool


def pull(
    store: ImageStore,
    reference: str,
    session: Session,
    *,
    platform: Platform | None = None,
    ready: bool = False,
) -> Pulled:
    """Store the image that a registry has under a name. Blocks; end it by `session.stop`.

    With `ready` its layers are made ready too, while they arrive. Raise BadReference,
    RegistryError, BadImage, BadLayer, or OSError when the disk refuses. What was transferred is
    kept, and the next pull goes on with it.
    """
    name = Reference.parse(reference)
    refuse_local(name)
    started = session.clock.now()
    ingest = Ingest(store.root, store.blobs, session.clock)
    ingest.sweep()
    with session.http() as http:
        sources = Sources(session, http, name)
        finding = _Finding(store, sources, name, platform)
        top = finding.ask(name.digest or name.tag or "")
        found, manifest = finding.image_in(top)
        blobs = _blobs(manifest, session)
        watched = tuple(meter.blob for _, meter in blobs)
        here = platform or host_platform()
        session.watch(Resolved(name.familiar, top.digest, here, watched, top.allowance))
        download = Download(store, ingest, sources, http)
        # Before anything is looked for: what is found is not collected then.
        with store.lease({found.digest, *(blob.digest for blob, _ in blobs)}):
            config, meter = blobs[0]
            download.one(config, meter)
            diff_ids = finding.agree(manifest, ingest.read(config.digest, CONFIG_LIMIT))
            arrivals = Arrivals(store, ingest, http.stop)
            with arrivals.unpacked(manifest.layers, diff_ids) if ready else nullcontext():
                download.all(blobs[1:], arrivals.came)
                with store.busy():
                    for blob, _ in blobs:
                        ingest.store(blob.digest)
                    before = store.named(name)
                    store.blobs.put(found.raw)
                    image = store.add(str(name), found.digest, chosen_from=top.digest)
            if ready:
                with store.busy():
                    store.ready(image)
                image = store.resolve(image.reference)
    seconds = session.clock.now() - started
    return Pulled(image, top.digest, download.transferred, seconds, before != found.digest)


def _blobs(manifest: Manifest, session: Session) -> list[tuple[Descriptor, Meter]]:
    """Each blob once, the config first."""
    kinds = {manifest.config.digest: (manifest.config, "config")}
    for layer in manifest.layers:
        kinds.setdefault(layer.digest, (layer, "layer"))
    return [
        (blob, Meter(BlobProgress(digest, kind, blob.size), session.watch, session.clock.now))
        for digest, (blob, kind) in kinds.items()
    ]


class _Finding:
    """From a name to one image, and whether it is one that can be used."""

    def __init__(
        self, store: ImageStore, sources: Sources, name: Reference, platform: Platform | None
    ) -> None:
        self._store = store
        self._sources = sources
        self._name = name.familiar
        self._platform = platform

    def ask(self, tag: str | Digest) -> Fetched:
        return self._sources.first(lambda repository: repository.manifest(tag))

    def image_in(self, top: Fetched) -> tuple[Fetched, Manifest]:
        """The manifest for the platform, in the index that a name may stand for."""
        found, depth = top, 0
        while found.media_type in INDEXES:
            depth += 1
            if depth > _DEPTH:
                raise BadImage(f"{self._name}: indexes more than {_DEPTH} deep")
            index = Index.parse(found.raw, found.digest)
            found = self._entry(platforms.choose(index.manifests, self._platform, self._name))
        manifest = Manifest.parse(found.raw, found.digest)
        self._check(manifest)
        return found, manifest

    def _entry(self, entry: Descriptor) -> Fetched:
        if entry.size > MANIFEST_LIMIT:
            raise BadImage(f"manifest {entry.digest}: {entry.size} bytes, over {MANIFEST_LIMIT}")
        blobs = self._store.blobs
        if blobs.has(entry.digest):
            raw = blobs.read(entry.digest, MANIFEST_LIMIT)
            found = Fetched(raw, entry.digest, entry.media_type)
        else:
            found = self.ask(entry.digest)
        if len(found.raw) != entry.size or found.media_type != entry.media_type:
            raise BadImage(
                f"manifest {entry.digest}: {len(found.raw)} bytes of {found.media_type}; its index"
                f" says {entry.size} of {entry.media_type}"
            )
        return found

    def _check(self, manifest: Manifest) -> None:
        name, layers = self._name, manifest.layers
        if len(layers) > LAYERS_MAX:
            raise BadImage(f"{name}: {len(layers)} layers, the limit is {LAYERS_MAX}")
        if manifest.config.size > CONFIG_LIMIT:
            raise BadImage(f"{name}: a config of {manifest.config.size} bytes, over {CONFIG_LIMIT}")
        sizes: dict[Digest, int] = {}
        for blob in (manifest.config, *layers):
            if sizes.setdefault(blob.digest, blob.size) != blob.size:
                raise BadImage(f"{name}: blob {blob.digest} has two sizes")
        for layer in layers:
            if layer.media_type not in _LAYERS:
                # Foreign ones too: the addresses they name are strangers', and are never asked.
                raise BadImage(f"{name}: a layer of type {layer.media_type!r} cannot be used")

    def agree(self, manifest: Manifest, raw: bytes) -> tuple[Digest, ...]:
        """The layers' diff ids. Raise BadImage, before layers travel, when the config is not for
        them, or not for the platform that was asked for."""
        config = ConfigFile.parse(raw, manifest.config.digest)
        if len(config.diff_ids) != len(manifest.layers):
            raise BadImage(
                f"{self._name}: {len(manifest.layers)} layers in its manifest,"
                f" {len(config.diff_ids)} diff ids in its config"
            )
        there = Platform(
            os=config.os, architecture=config.architecture, variant=config.variant or ""
        )
        if self._platform is not None and not platforms.fits(there, self._platform):
            wanted = platforms.shown(self._platform)
            raise BadImage(f"{self._name}: is for {platforms.shown(there)}, not for {wanted}")
        return config.diff_ids
