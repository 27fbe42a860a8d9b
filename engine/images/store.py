"""The image store: what `ImageStore(root)` promises to the rest of the engine.

    oci-layout, index.json, blobs/   an OCI image layout, valid at every moment for any other tool
    images.sqlite                    names, and the edges from images to blobs and layers
    layers/                          unpacked layers, shared by diff id
    tmp/  locks/  leases/            unfinished work, and who is at it

Any number of processes may use one store. Nothing is visible before it is complete, so a process
that is killed anywhere leaves only folders in `tmp`, which the next one sweeps. The folder is
closed to other users: an unpacked layer holds set-uid files (CVE-2021-41091).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from engine.images import archive, stream
from engine.images.blobs import BlobStore
from engine.images.catalog import Catalog, ImageRow
from engine.images.checking import Finding, check
from engine.images.collecting import Garbage, Reclaimed, Usage, garbage, usage
from engine.images.errors import BadImage, BadLayer, BadReference, ImageNotFound
from engine.images.layers.apart import Maker
from engine.images.layers.index import LayerIndex
from engine.images.layers.mounts import trees
from engine.images.layers.pool import LayerPool
from engine.images.reference import Reference
from engine.images.staging import locked, replace, staging, sweep
from engine.images.tar import Limits
from engine.images.types import (
    CONFIG_LIMIT,
    MANIFEST_LIMIT,
    OCI_INDEX,
    ConfigFile,
    Digest,
    Image,
    Layer,
    Manifest,
    chain_ids,
)

_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'


class ImageStore:
    """The images under `root`, made when it is not there. Safe to use from several threads.

    `driver` makes layers ready: one of layers.drivers.WANTED; `apart`, in a process of its own, as
    is right for strangers' bytes (see layers/apart.py).
    """

    def __init__(
        self, root: Path, *, driver: str = "auto", apart: bool = True, limits: Limits | None = None
    ) -> None:
        self.root = root.absolute()
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(self.root, 0o700)
        for name in ("blobs", "blobs/sha256", "layers", "tmp", "locks", "leases"):
            (self.root / name).mkdir(mode=0o700, exist_ok=True)
        self.blobs = BlobStore(self.root)
        self._apart = apart
        self.layers = LayerPool(self.root, driver, limits or Limits())
        with locked(self.root / "locks" / "catalog"):  # SQLite does not wait for who makes a WAL
            self._catalog = Catalog(self.root / "images.sqlite")
        self._parsed: dict[Digest, tuple[Manifest, ConfigFile]] = {}
        sweep(self.root / "tmp")
        if not (self.root / "oci-layout").exists():
            self._write_index(self._catalog.names())
            replace(self.root / "oci-layout", _LAYOUT)

    def close(self) -> None:
        """Unmount what this process mounted, unless others need it too."""
        self.layers.close()
        self._catalog.close()

    def resolve(self, reference: str) -> Image:
        """The image under a name in any spelling, a digest, or Docker's image id.

        Raise ImageNotFound, or BadReference when it is no name at all.
        """
        if reference.startswith("sha256:"):
            digest: Digest | None = Digest(reference)
        else:
            name = Reference.parse(reference)
            named = self.named(name)
            if named is not None:
                return self._image(name.familiar, named)
            digest = name.digest
        manifest = self._catalog.find_digest(digest) if digest else None
        if manifest is None:
            raise ImageNotFound(reference, self.references())
        shown = self._catalog.name_of(manifest)
        return self._image(Reference.parse(shown).familiar if shown else reference, manifest)

    def references(self) -> list[str]:
        """The familiar names of all images."""
        return [Reference.parse(name).familiar for name in self._catalog.names()]

    def images(self) -> list[Image]:
        """Every image, once for each of its names, ordered by full name."""
        names = self._catalog.names()
        return [
            self._image(Reference.parse(name).familiar, digest) for name, digest in names.items()
        ]

    def load(self, path: Path) -> list[Image]:
        """Store the images of a docker-archive, an oci-archive, or an OCI layout's folder.

        Raise BadImage naming what is wrong; images found before it stay stored.
        """
        with self.busy():
            return [self.add(name, digest) for name, digest in archive.load(path, self.blobs)]

    def named(self, name: Reference) -> Digest | None:
        """The manifest that is stored under just this name."""
        return self._catalog.find(str(name))

    def add(self, reference: str, digest: Digest, *, chosen_from: Digest | None = None) -> Image:
        """Let a name stand for the manifest `digest`, whose blobs must all be stored.

        A name by digest must be the manifest's, or that of the index it was `chosen_from`. Call it,
        and what stores the blobs, within busy().
        """
        name = Reference.parse(reference)
        if name.digest not in (None, digest, chosen_from):
            raise BadReference(f"{reference!r}: the image's digest is {digest}")
        manifest, config = self._parse(digest)
        layers = tuple(
            zip(
                (layer.digest for layer in manifest.layers),
                config.diff_ids,
                chain_ids(config.diff_ids),
                strict=True,
            )
        )
        for layer in manifest.layers:
            if self.blobs.size(layer.digest) != layer.size:
                raise BadImage(
                    f"layer {layer.digest}: {self.blobs.size(layer.digest)} bytes, not {layer.size}"
                )
        size = (
            self.blobs.size(digest) + manifest.config.size + sum(la.size for la in manifest.layers)
        )
        row = ImageRow(digest, manifest.config.digest, size, layers)
        self._catalog.put(str(name), row, self._write_index)
        return self._image(name.familiar, digest)

    def remove(self, reference: str) -> Reclaimed:
        """Forget a name, and with an image's last name all that only it needed.

        Raise ImageNotFound. Layers that a container stands on stay until a later gc().
        """
        if not self._catalog.remove(str(Reference.parse(reference)), self._write_index):
            raise ImageNotFound(reference, self.references())
        return self.gc()

    def prepare(self, image: Image, *, keeper: int | None = None) -> list[Path]:
        """Make every layer ready; return the overlay's lower directories, top first.

        They can be fewer than the layers: below one with an opaque root nothing shows. They are
        seen by this process, and by the containers of the process `keeper`, until close().

        Raise BadImage or BadLayer when a layer is not what the image says, or cannot be unpacked,
        ImageError when it cannot be mounted.
        """
        with self.busy():
            return self.layers.mount(self.ready(image), keeper)

    def adopt(self, keeper: int) -> None:
        """See to it that what a keeper's containers stand on can be looked into."""
        with self.busy():
            self.layers.mount(self.layers.used(), keeper)

    @contextmanager
    def opened(self, image: Image) -> Iterator[list[Path]]:
        """As prepare(), for this process to read from while the context lasts."""
        with self.busy():
            layers = self.ready(image)
        with trees(layers, self.layers.choice.way) as found:
            yield found

    def ready(self, image: Image) -> list[Path]:
        """Make every layer ready, without mounting any; return their folders, top first.

        Call it within busy(). Raise as prepare() does.
        """

        def packed(number: int) -> Iterator[bytes]:
            return self._blob(image.layers[number])

        try:
            return self.ready_stack([layer.diff_id for layer in image.layers], packed)
        except (BadImage, BadLayer) as error:
            raise type(error)(f"{image.reference}: {error}") from error

    def ready_stack(
        self, diff_ids: Sequence[Digest], packed: Callable[[int], Iterable[bytes]]
    ) -> list[Path]:
        """As ready(), by the layers' diff ids, and by what gives the bytes of each one's blob."""
        layers: list[Path] = []
        pairs = zip(diff_ids, chain_ids(tuple(diff_ids)), strict=True)
        with Maker(apart=self._apart) as maker:
            for number, (diff_id, chain_id) in enumerate(pairs):
                blob = partial(packed, number)
                try:
                    path = self.layers.prepare(diff_id, chain_id, layers, blob, maker)
                except (BadImage, BadLayer) as error:
                    raise type(error)(f"layer {number + 1} ({diff_id}): {error}") from error
                facts = self.layers.facts(diff_id, chain_id)
                layers = [path, *([] if facts and facts.opaque else layers)]
        return layers

    def indexes(self, image: Image) -> list[LayerIndex]:
        """What is in each layer, the lowest first; makes ready what is not. Close them.

        Raise as prepare() does.
        """
        with self.busy():
            self.ready(image)
        chain = chain_ids(tuple(layer.diff_id for layer in image.layers))
        pairs = zip(image.layers, chain, strict=True)
        return [self.layers.index(layer.diff_id, chain_id) for layer, chain_id in pairs]

    def gc(self) -> Reclaimed:
        """Remove the blobs and layers that no named image needs and nobody has on lease. Waits for
        loads to finish."""
        with locked(self.root / "locks" / "store"):
            self._catalog.prune(self._holders())
            return self._garbage().discard(self.blobs, self.layers)

    def garbage(self) -> Garbage:
        """What gc() would remove, were it called now; it removes nothing."""
        with self.busy():
            return self._garbage()

    def _garbage(self) -> Garbage:
        return garbage(self.blobs, self.layers, self._catalog.needed(self._holders()))

    def usage(self) -> dict[Digest, Usage]:
        """What each image takes, alone and together with others."""
        return usage(self._catalog.edges(), self.blobs, self.layers)

    def check(self, *, repair: bool = False) -> list[Finding]:
        """Read everything again and say what is not as it should be; `repair` removes it.

        Damaged layers are then made again when they are needed, and images that miss a blob have no
        name any more: they are to be pulled or loaded again.
        """
        with locked(self.root / "locks" / "store", shared=not repair):
            findings = check(self._catalog.edges(), self._named(), self.blobs, self.layers)
            if repair:
                for finding in findings:
                    finding.repair(self.blobs, self.layers)
                for name in {name for finding in findings for name in finding.names}:
                    self._catalog.remove(name, self._write_index)
                self._parsed.clear()
        return findings

    def _named(self) -> dict[Digest, list[str]]:
        names: dict[Digest, list[str]] = {}
        for name, digest in self._catalog.names().items():
            names.setdefault(digest, []).append(name)
        return names

    @contextmanager
    def lease(self, digests: Iterable[Digest]) -> Iterator[None]:
        """While this is held these blobs and layers are not collected, be they there or not yet.

        A lease ends with its process, however that ends.
        """
        with staging(self.root / "leases") as holder:
            with self.busy():
                self._catalog.lease(holder.name, digests)
            try:
                yield
            finally:
                self._catalog.release(holder.name)

    def _holders(self) -> list[str]:
        """Who holds a lease and lives."""
        sweep(self.root / "leases")
        return os.listdir(self.root / "leases")

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While this is held nothing is collected: between storing blobs and naming their image."""
        with locked(self.root / "locks" / "store", shared=True):
            yield

    def _blob(self, layer: Layer) -> Iterator[bytes]:
        descriptor = self.blobs.open(layer.digest)
        try:
            yield from stream.verified(stream.read(descriptor), layer.digest, layer.size, "blob")
        finally:
            os.close(descriptor)

    def _parse(self, digest: Digest) -> tuple[Manifest, ConfigFile]:
        parsed = self._parsed.get(digest)
        if parsed is None:
            manifest = Manifest.parse(self.blobs.read(digest, MANIFEST_LIMIT), digest)
            raw = self.blobs.read(manifest.config.digest, CONFIG_LIMIT)
            config = ConfigFile.parse(raw, manifest.config.digest)
            if len(manifest.layers) != len(config.diff_ids):
                raise BadImage(
                    f"image {digest}: {len(manifest.layers)} layers in its manifest,"
                    f" {len(config.diff_ids)} diff ids in its config"
                )
            self._parsed[digest] = parsed = (manifest, config)
        return parsed

    def _image(self, reference: str, digest: Digest) -> Image:
        manifest, config = self._parse(digest)
        layers = []
        stack = zip(
            manifest.layers,
            config.diff_ids,
            chain_ids(config.diff_ids),
            config.made_by(),
            strict=True,
        )
        for blob, diff_id, chain_id, made_by in stack:
            facts = self.layers.facts(diff_id, chain_id)
            layers.append(
                Layer(
                    digest=blob.digest,
                    diff_id=diff_id,
                    size=blob.size,
                    media_type=blob.media_type,
                    created_by=made_by,
                    entries=facts.entries if facts else None,
                    unpacked_size=facts.size if facts else None,
                )
            )
        return Image(
            reference=reference,
            digest=digest,
            config_digest=manifest.config.digest,
            architecture=config.architecture,
            os=config.os,
            created=config.created,
            config=config.config,
            layers=tuple(layers),
            size=manifest.config.size + sum(layer.size for layer in layers),
        )

    def _write_index(self, names: dict[str, Digest]) -> None:
        manifests = [
            {
                "mediaType": self._parse(digest)[0].media_type,
                "digest": str(digest),
                "size": self.blobs.size(digest),
                "annotations": {"org.opencontainers.image.ref.name": name},
            }
            for name, digest in names.items()
        ]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
        replace(self.root / "index.json", msgspec.json.encode(index))
