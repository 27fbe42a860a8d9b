"""Images in files: docker-archive (of any age), oci-archive, and OCI layout folders.

An archive is read once, as a stream: every file goes, hashed, to a folder of its own under a
number, and names only look them up. So it does not matter in which order members come, whether
layers are links to each other, or what the names are; and what turns out to be a blob is moved into
the store, not copied.

Since Docker 25 one archive has both forms. The OCI one is preferred: it keeps the manifest's bytes,
which are the image's identity; names are looked up in both.
"""

import hashlib
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from engine.images import stream
from engine.images.blobs import BlobStore, HashedFile
from engine.images.errors import BadImage, BadLayer
from engine.images.staging import staging
from engine.images.tar import FILE, HARDLINK, SYMLINK, Parts, Reader
from engine.images.types import (
    CONFIG_LIMIT,
    INDEXES,
    MANIFEST_LIMIT,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    ConfigFile,
    Descriptor,
    Digest,
    Index,
    Manifest,
    Platform,
)
from engine.linux.path import openat2

_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_DEPTH = 4  # of indexes within indexes
_LINKS = 40


@dataclass(frozen=True, slots=True)
class File:
    """A file of a source, and its bytes' identity."""

    path: Path | None
    digest: Digest
    size: int
    magic: bytes


class Source(Protocol):
    """Files by name. Names come from strangers; none leads out of the source."""

    def read(self, name: str, limit: int) -> bytes | None:
        """A document's bytes; None when there is none. Raise BadImage when it is over the limit."""

    def find(self, name: str) -> File | None:
        """What there is under a name."""

    def store(self, name: str, blob: Descriptor, blobs: BlobStore) -> None:
        """Put a file into the store; raise BadImage when it is missing or not the blob."""


def load(path: Path, blobs: BlobStore) -> Iterator[tuple[str, Digest]]:
    """For each image in `path` its name and its manifest, once all its blobs are stored.

    Raise BadImage when `path` is not an image archive, or what it holds is damaged.
    """
    if path.is_dir():
        with _folder(path) as source:
            yield from _images(source, path, blobs)
        return
    with staging(blobs.tmp) as folder:
        yield from _images(_Archive(path, folder), path, blobs)


def host_platform() -> Platform:
    """This machine, in the words that images use."""
    machine = platform.machine()
    return Platform(os="linux", architecture=_ARCHITECTURES.get(machine, machine))


class _Archive:
    """A tar archive's files, spread out in `folder`."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._files: dict[Parts, File] = {}
        self._links: dict[Parts, Parts] = {}
        self._path = path
        try:
            with open(path, "rb", buffering=0) as file:
                self._spread(stream.inflated(stream.read(file.fileno()), str(path)), folder)
        except BadLayer as error:
            raise BadImage(f"{path}: not an image archive: {error}") from None
        except OSError as error:
            raise BadImage(f"{path}: {error.strerror}") from error

    def _spread(self, chunks: Iterator[bytes], folder: Path) -> None:
        reader = Reader(chunks)
        for entry in reader:
            if entry.kind == FILE:
                path = folder / str(len(self._files))
                file = HashedFile(path)
                try:
                    reader.copy(file.write)
                finally:
                    digest = file.close()
                self._files[entry.parts] = File(path, digest, file.size, file.magic)
            elif entry.kind == HARDLINK:
                self._links[entry.parts] = entry.target
            elif entry.kind == SYMLINK:
                self._links[entry.parts] = _joined(entry.parts[:-1], entry.link)

    def find(self, name: str) -> File | None:
        parts = _joined((), os.fsencode(name))
        for _ in range(_LINKS):
            if parts in self._files:
                return self._files[parts]
            if parts not in self._links:
                return None
            parts = self._links[parts]
        return None

    def read(self, name: str, limit: int) -> bytes | None:
        file = self.find(name)
        if file is None or file.path is None:
            return None
        if file.size > limit:
            raise BadImage(f"{self._path}: {name}: {file.size} bytes, the limit is {limit}")
        return file.path.read_bytes()

    def store(self, name: str, blob: Descriptor, blobs: BlobStore) -> None:
        file = self.find(name)
        if file is None or file.path is None:
            raise BadImage(f"{self._path}: {name}: missing in the archive")
        if (file.digest, file.size) != (blob.digest, blob.size):
            raise BadImage(
                f"{self._path}: {name}: is {file.digest}, {file.size} bytes, not {blob.digest}"
            )
        blobs.adopt(file.path, blob.digest)


class _Folder:
    """An OCI layout, or an unpacked docker-archive, in a folder."""

    def __init__(self, path: Path, root: int) -> None:
        self._path = path
        self._root = root

    def _open(self, name: str) -> int | None:
        try:
            return openat2(self._root, os.fsencode(name), os.O_RDONLY | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BadImage(f"{self._path}/{name}: {error.strerror}") from error

    def find(self, name: str) -> File | None:
        descriptor = self._open(name)
        if descriptor is None:
            return None
        with open(descriptor, "rb") as file:
            magic = file.read(8)
            file.seek(0)
            digest = Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
            return File(None, digest, file.tell(), magic)

    def read(self, name: str, limit: int) -> bytes | None:
        descriptor = self._open(name)
        if descriptor is None:
            return None
        with open(descriptor, "rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise BadImage(f"{self._path}/{name}: more than {limit} bytes")
        return data

    def store(self, name: str, blob: Descriptor, blobs: BlobStore) -> None:
        descriptor = self._open(name)
        if descriptor is None:
            raise BadImage(f"{self._path}/{name}: missing in the layout")
        with open(descriptor, "rb", buffering=0) as file:
            blobs.write(stream.read(file.fileno()), blob.digest, blob.size)


@contextmanager
def _folder(path: Path) -> Iterator[_Folder]:
    root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _Folder(path, root)
    finally:
        os.close(root)


def _joined(folder: Parts, target: bytes) -> Parts:
    """A link's target as a member's name: ".." goes up by text, and never above the archive."""
    parts = [] if target.startswith(b"/") else list(folder)
    for part in target.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return tuple(parts)


def _images(source: Source, path: Path, blobs: BlobStore) -> Iterator[tuple[str, Digest]]:
    docker = _docker_images(source, path)
    index = source.read("index.json", MANIFEST_LIMIT)
    if index is not None:
        yield from _layout(source, Index.parse(index, f"{path}: index.json"), docker, path, blobs)
    elif docker:
        for image in docker:
            digest = _docker(source, image, path, blobs)
            for name in image.repo_tags or [_unnamed(path)]:
                yield name, digest
    else:
        raise BadImage(
            f"{path}: neither an OCI layout (index.json) nor a docker-archive (manifest.json)"
        )


# OCI


def _layout(
    source: Source, index: Index, docker: list["_DockerImage"], path: Path, blobs: BlobStore
) -> Iterator[tuple[str, Digest]]:
    tags: dict[Digest, list[str]] = {}
    for image in docker:
        config = source.read(image.config, CONFIG_LIMIT)
        if config is not None:
            tags[Digest.of(config)] = image.repo_tags or []
    for entry in _runnable(index.manifests):
        digest, manifest = _oci(source, entry, path, blobs, _DEPTH)
        for name in _names(entry, tags.get(manifest.config.digest, []), path):
            yield name, digest


def _oci(
    source: Source, entry: Descriptor, path: Path, blobs: BlobStore, depth: int
) -> tuple[Digest, Manifest]:
    name = _blob_name(entry.digest)
    raw = source.read(name, MANIFEST_LIMIT)
    if raw is None:
        raise BadImage(f"{path}: {name}: missing in the layout")
    if Digest.of(raw) != entry.digest or len(raw) != entry.size:
        raise BadImage(f"{path}: {name}: the bytes are not {entry.size} bytes of {entry.digest}")
    if entry.media_type in INDEXES:
        choices = _runnable(Index.parse(raw, entry.digest).manifests)
        if len(choices) != 1 or not depth:
            names = ", ".join(_platform_name(c.platform) for c in choices) or "nothing"
            raise BadImage(
                f"{path}: {entry.digest}: no image for {_platform_name(host_platform())},"
                f" only for {names}"
            )
        return _oci(source, choices[0], path, blobs, depth - 1)
    manifest = Manifest.parse(raw, entry.digest)
    for blob in (manifest.config, *manifest.layers):
        if not blobs.has(blob.digest):
            source.store(_blob_name(blob.digest), blob, blobs)
    return blobs.put(raw), manifest


def _runnable(entries: list[Descriptor]) -> list[Descriptor]:
    """Those for this machine; when none is, those that are for some machine."""
    here = host_platform()
    fitting, foreign = [], []
    for entry in entries:
        there = entry.platform
        if there is None or (there.os, there.architecture) == (here.os, here.architecture):
            fitting.append(entry)
        elif there.os != "unknown":  # BuildKit's attestations
            foreign.append(entry)
    return fitting or foreign


def _platform_name(there: Platform | None) -> str:
    return f"{there.os}/{there.architecture}" if there else "an unnamed platform"


def _blob_name(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def _names(entry: Descriptor, tags: list[str], path: Path) -> list[str]:
    notes = entry.annotations or {}
    name = notes.get(_CONTAINERD_NAME) or notes.get(_NAME, "")
    if ":" in name or "/" in name:
        return [name]
    if tags:
        return tags
    # A bare word is only a tag, by the annotation's definition (annotations.md).
    return [f"{_unnamed(path)}:{name}" if name else _unnamed(path)]


def _unnamed(path: Path) -> str:
    """A name for an image that has none: its file's."""
    stem = path.absolute().name.split(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-") or "image"


# Docker


class _DockerImage(msgspec.Struct, frozen=True, rename="pascal"):
    """An element of a docker-archive's manifest.json."""

    config: str
    layers: list[str]
    repo_tags: list[str] | None = None


def _docker_images(source: Source, path: Path) -> list[_DockerImage]:
    raw = source.read("manifest.json", MANIFEST_LIMIT)
    if raw is None:
        return []
    try:
        return msgspec.json.decode(raw, type=list[_DockerImage])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadImage(f"{path}: manifest.json: {error}") from None


def _docker(source: Source, image: _DockerImage, path: Path, blobs: BlobStore) -> Digest:
    """Store a docker-archive's image, with a manifest of our own, since it has none."""
    raw = source.read(image.config, CONFIG_LIMIT)
    if raw is None:
        raise BadImage(f"{path}: {image.config}: missing in the archive")
    ConfigFile.parse(raw, image.config)
    config = blobs.put(raw)
    layers = []
    for name in image.layers:
        file = source.find(name)
        if file is None:
            raise BadImage(f"{path}: {name}: missing in the archive")
        kind = OCI_LAYER + stream.suffix(file.magic)
        blob = Descriptor(media_type=kind, digest=file.digest, size=file.size)
        if not blobs.has(blob.digest):
            source.store(name, blob, blobs)
        layers.append(blob)
    config_blob = Descriptor(media_type=OCI_CONFIG, digest=config, size=len(raw))
    return blobs.put(manifest_bytes(config_blob, layers))


def manifest_bytes(config: Descriptor, layers: list[Descriptor]) -> bytes:
    """A new image manifest; the same for the same blobs."""
    return msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _point(config),
            "layers": [_point(layer) for layer in layers],
        }
    )


def _point(blob: Descriptor) -> dict[str, str | int]:
    return {"mediaType": blob.media_type, "digest": str(blob.digest), "size": blob.size}
