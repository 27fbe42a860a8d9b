"""Images written to files: docker-archive, oci-archive, and OCI layout folders.

What is written are the store's own bytes, so that every digest is the same wherever it is loaded. A
docker-archive is both, as Docker's own are since 25: an OCI layout, and a manifest.json that older
readers know. The same images give the same file: sorted, of root, and with the time 0.
"""

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.images import stream
from engine.images.erase import erase_path
from engine.images.reference import Reference
from engine.images.staging import sync_folder
from engine.images.store import ImageStore
from engine.images.tar import DIRECTORY, FILE, Entry
from engine.images.tarwriter import Writer
from engine.images.types import (
    MANIFEST_LIMIT,
    OCI_INDEX,
    Descriptor,
    Digest,
    Image,
    Manifest,
)

Format = Literal["docker-archive", "oci-archive", "oci-dir"]
FORMATS: tuple[Format, ...] = ("docker-archive", "oci-archive", "oci-dir")
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_BLOBS = "blobs/sha256"


@dataclass(frozen=True, slots=True)
class _Saved:
    """An image under the full name it is saved by; "" when it has none."""

    name: str
    image: Image
    manifest: Manifest
    size: int


def save(
    store: ImageStore, references: Sequence[str], write: Callable[[bytes], object], form: Format
) -> None:
    """Write an archive with these images. Raise ImageNotFound before anything is written,
    BadImage for what is damaged."""
    with store.busy():
        saved = _resolved(store, references)
        writer = Writer(write)
        for name in ("blobs", _BLOBS):
            writer.add(Entry(tuple(name.encode().split(b"/")), DIRECTORY, 0o755))
        for blob in _blobs(saved):
            parts = (b"blobs", b"sha256", blob.digest.hex.encode())
            writer.add(Entry(parts, FILE, 0o644, size=blob.size), _bytes(store, blob))
        for name, data in _documents(saved, docker=form == "docker-archive"):
            writer.add(Entry((name.encode(),), FILE, 0o644, size=len(data)), [data])
        writer.close()


def save_file(store: ImageStore, references: Sequence[str], path: Path, form: Format) -> None:
    """Write a file, or with "oci-dir" a folder, that appears when it is complete.

    Raise FileExistsError for a folder that is there.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        if form == "oci-dir":
            if path.exists():
                raise FileExistsError(17, "is there already", str(path))
            _save_folder(store, references, temporary)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o644), "wb") as file:
                save(store, references, file.write, form)
                file.flush()
                os.fsync(file.fileno())
        temporary.rename(path)
        sync_folder(path.parent)
    finally:
        erase_path(os.fsencode(temporary))


def _save_folder(store: ImageStore, references: Sequence[str], path: Path) -> None:
    with store.busy():
        saved = _resolved(store, references)
        (path / _BLOBS).mkdir(parents=True)
        for blob in _blobs(saved):
            with open(path / _BLOBS / blob.digest.hex, "wb") as file:
                file.writelines(_bytes(store, blob))
        for name, data in _documents(saved, docker=False):
            (path / name).write_bytes(data)


def _resolved(store: ImageStore, references: Sequence[str]) -> list[_Saved]:
    found = []
    for reference in references:
        image = store.resolve(reference)
        raw = store.blobs.read(image.digest, MANIFEST_LIMIT)
        named = not reference.startswith("sha256:")
        name = str(Reference.parse(reference)) if named else ""
        found.append(_Saved(name, image, Manifest.parse(raw, image.digest), len(raw)))
    return found


def _blobs(saved: Iterable[_Saved]) -> list[Descriptor]:
    """Every blob once, in the order of their digests."""
    blobs: dict[Digest, Descriptor] = {}
    for each in saved:
        own = Descriptor(digest=each.image.digest, size=each.size)
        for blob in (own, each.manifest.config, *each.manifest.layers):
            blobs[blob.digest] = blob
    return [blobs[digest] for digest in sorted(blobs, key=str)]


def _bytes(store: ImageStore, blob: Descriptor) -> Iterator[bytes]:
    descriptor = store.blobs.open(blob.digest)
    try:
        what = f"blob {blob.digest}"
        yield from stream.verified(stream.read(descriptor), blob.digest, blob.size, what)
    finally:
        os.close(descriptor)


def _documents(saved: Sequence[_Saved], *, docker: bool) -> Iterator[tuple[str, bytes]]:
    manifests = []
    for each in saved:
        point: dict[str, Any] = {
            "mediaType": each.manifest.media_type,
            "digest": str(each.image.digest),
            "size": each.size,
        }
        if each.name:
            point["annotations"] = {
                "io.containerd.image.name": each.name,
                "org.opencontainers.image.ref.name": each.name,
            }
        manifests.append(point)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    yield "index.json", msgspec.json.encode(index)
    if docker:
        yield "manifest.json", msgspec.json.encode(_docker(saved))
    yield "oci-layout", _LAYOUT


def _docker(saved: Sequence[_Saved]) -> list[dict[str, Any]]:
    """manifest.json: an image once, with all its names."""
    images: dict[Digest, dict[str, Any]] = {}
    for each in saved:
        image = images.setdefault(
            each.image.digest,
            {
                "Config": f"{_BLOBS}/{each.manifest.config.digest.hex}",
                "RepoTags": [],
                "Layers": [f"{_BLOBS}/{layer.digest.hex}" for layer in each.manifest.layers],
            },
        )
        if each.name and "@" not in each.name:
            image["RepoTags"].append(Reference.parse(each.name).familiar)
    return list(images.values())
