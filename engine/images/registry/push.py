"""Pushing an image: only blobs that the registry lacks travel, and the manifest comes last.

So a name in the registry never stands for an image that is not all there. Blobs that came from
another repository of the same registry are mounted from it and do not travel at all.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from engine.images.errors import BadImage, BadReference
from engine.images.reference import Reference
from engine.images.registry.client import Fetched, Repository
from engine.images.registry.errors import Denied, LocalOnly, Unreachable
from engine.images.registry.http import ATTEMPTS, CHUNK, Http
from engine.images.registry.network import Url
from engine.images.registry.progress import BlobProgress, Meter, Resolved, State
from engine.images.registry.session import Session, refuse_local
from engine.images.registry.workers import together
from engine.images.store import ImageStore
from engine.images.types import MANIFEST_LIMIT, Digest, Image, Manifest, Platform

_HOST_LABEL = "io.podarium.host"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Pushed:
    """`transferred` counts the bytes of blobs that travelled."""

    reference: str
    digest: Digest
    transferred: int
    seconds: float


def push(store: ImageStore, reference: str, session: Session, *, destination: str = "") -> Pushed:
    """Give a registry a stored image, under its own name or another. Blocks.

    Raise ImageNotFound, BadReference, LocalOnly for an image made from this machine's files, or
    RegistryError.
    """
    started = session.clock.now()
    with ExitStack() as open_files:
        with store.busy():
            image = store.resolve(reference)
            target = _target(image, destination or reference)
            raw = store.blobs.read(image.digest, MANIFEST_LIMIT)
            manifest = Manifest.parse(raw, image.digest)
            blobs = _opened(store, manifest, open_files)
        # Open files stay readable, so that removing images need not wait for somebody's network.
        with session.http() as http:
            work = _Push(session, http, target, _source(store, image, target))
            work.send(image, blobs)
            work.name(Fetched(raw, image.digest, manifest.media_type))
    return Pushed(target.familiar, image.digest, work.transferred, session.clock.now() - started)


def _target(image: Image, name: str) -> Reference:
    target = Reference.parse(name)
    if target.tag is None:
        raise BadReference(f"{target.familiar}: an image is pushed under a tag, not a digest")
    if (image.config.labels or {}).get(_HOST_LABEL) == "true":
        raise LocalOnly(
            f"{image.reference}: is made from this machine's own files, whose licences and"
            " particulars are not for others; it is not pushed"
        )
    refuse_local(target)
    return target


@dataclass(frozen=True, slots=True)
class _Blob:
    """A blob to send, open for reading."""

    digest: Digest
    kind: str
    size: int
    descriptor: int


def _opened(store: ImageStore, manifest: Manifest, files: ExitStack) -> list[_Blob]:
    """Every blob once."""
    kinds = {layer.digest: "layer" for layer in manifest.layers}
    kinds[manifest.config.digest] = "config"
    found = []
    for digest, kind in kinds.items():
        descriptor = store.blobs.open(digest)
        files.callback(os.close, descriptor)
        found.append(_Blob(digest, kind, store.blobs.size(digest), descriptor))
    return found


def _source(store: ImageStore, image: Image, target: Reference) -> str:
    """Another repository of the same registry that has the blobs, or nothing."""
    for name in map(Reference.parse, store.references()):
        alike = name.host == target.host and name.path != target.path
        if alike and store.named(name) == image.digest:
            return name.path
    return ""


class _Push:
    def __init__(self, session: Session, http: Http, target: Reference, source: str) -> None:
        self._session = session
        self._http = http
        self._target = target
        self._source = source
        credential = session.keychain.find(target.host, target.path)
        endpoint = session.network.endpoint(target.host)
        place = partial(Repository, http, endpoint, target.path, credential, actions="pull,push")
        self._repository = place()
        # Whoever may not read there gets no token for both: the blobs travel then.
        self._mounting = place(source=source)
        self.transferred = 0

    def send(self, image: Image, blobs: list[_Blob]) -> None:
        """Send every blob that is not there."""
        watch, now = self._session.watch, self._session.clock.now
        meters = [Meter(BlobProgress(b.digest, b.kind, b.size), watch, now) for b in blobs]
        platform = Platform(os=image.os, architecture=image.architecture)
        shown = tuple(meter.blob for meter in meters)
        watch(Resolved(self._target.familiar, image.digest, platform, shown))
        calls = [partial(self._blob, *each) for each in zip(blobs, meters, strict=True)]
        together(calls, self._http.stop)
        sent = [meter.blob for meter in meters if meter.blob.state is State.DONE]
        self.transferred = sum(blob.size for blob in sent)

    def name(self, manifest: Fetched) -> None:
        tag = self._target.tag or ""
        self._tried(lambda: self._repository.put_manifest(tag, manifest))

    def _blob(self, blob: _Blob, meter: Meter) -> None:
        if self._repository.has_blob(blob.digest):
            meter.end(State.PRESENT)
            return

        def read(start: int, count: int) -> Iterator[bytes]:
            meter.begin(start)
            return _read(blob, start, count, meter.add)

        def upload() -> State:
            place = self._begin(blob.digest)
            if place is None:
                return State.PRESENT
            self._repository.upload(place, blob.digest, blob.size, read)
            return State.DONE

        meter.end(self._tried(upload))

    def _begin(self, digest: Digest) -> Url | None:
        if self._source:
            try:
                return self._mounting.begin_upload(digest, self._source)
            except Denied:
                self._source = ""
        return self._repository.begin_upload(digest)

    def _tried(self, action: Callable[[], _T]) -> _T:
        for attempt in range(1, ATTEMPTS):
            try:
                return action()
            except Unreachable as error:
                self._http.pause(attempt, str(error))
        return action()


def _read(blob: _Blob, start: int, count: int, sent: Callable[[int], None]) -> Iterator[bytes]:
    while count:
        chunk = os.pread(blob.descriptor, min(CHUNK, count), start)
        if not chunk:
            raise BadImage(f"blob {blob.digest}: shorter on disk than its {blob.size} bytes")
        yield chunk
        sent(len(chunk))
        start, count = start + len(chunk), count - len(chunk)
