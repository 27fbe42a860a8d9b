"""One repository of one registry, by the distribution protocol (distribution-spec 1.1).

Bytes are the identity: a manifest is what the registry sent, byte for byte, and is believed only if
its digest, its media type and the registry's own words about it agree (CVE-2021-41190).
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import msgspec

from engine.images.errors import BadDigest
from engine.images.registry.auth import Authenticator
from engine.images.registry.credentials import Credential
from engine.images.registry.errors import (
    BadAnswer,
    Denied,
    NotInRegistry,
    RegistryError,
    Unreachable,
    words,
)
from engine.images.registry.http import Answer, Body, Http, Lost, Request, allowance
from engine.images.registry.network import Endpoint, Url
from engine.images.types import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEXES,
    MANIFEST_LIMIT,
    MANIFESTS,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Digest,
    Index,
)

# All of them: docker-registry answers 404 to who does not accept what it has.
_ACCEPT = {"Accept": ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX))}
_ERROR_LIMIT = 64 << 10
_VAGUE = {"", "application/json", "application/octet-stream", "text/plain"}
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_SENT = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_NEXT = re.compile(r'<([^>]{1,2000})>\s*;\s*rel="?next"?')  # RFC 8288
_PAGES = 100
_SLACK = 1 << 20
PART = 64 << 20
"""Larger blobs are pushed in parts of so many bytes, so that a break costs no more than one."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or an index, as it came."""

    raw: bytes
    digest: Digest
    media_type: str
    allowance: str = ""  # what the registry says of its limit, as "97 of 100 pulls in 6 h left"


class _Complaint(msgspec.Struct, frozen=True):
    code: str = ""
    message: str | None = None


class _Complaints(msgspec.Struct, frozen=True):
    errors: list[_Complaint] | None = None


class _Kind(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str | None = None
    schema_version: int | None = None


class Repository:
    """`path` on the registry at `endpoint`. `actions` is "pull" or "pull,push"; `source` another
    repository there to mount from. Used by several threads."""

    def __init__(
        self,
        http: Http,
        endpoint: Endpoint,
        path: str,
        credential: Credential | None,
        *,
        actions: str = "pull",
        source: str = "",
    ) -> None:
        self.host = endpoint.host
        self.path = path
        self._http = http
        self._credential = credential
        self._endpoint = endpoint
        self._scope = f"repository:{path}:{actions}"
        if source:
            self._scope += f" repository:{source}:pull"
        self._lock = threading.Lock()
        self._origin = endpoint.origins[0]
        self._sure = len(endpoint.origins) == 1
        self._auth = Authenticator(http, self._origin, credential)

    # Requests

    def _url(self, rest: str) -> Url:
        if not self._sure:
            with self._lock:
                if not self._sure:
                    self.ping()
        return Url(self._origin, f"/v2/{self.path}/{rest}")

    def _send(self, method: str, url: Url, **more: object) -> Answer:
        """The answer to a request with credentials, where they belong."""
        request = Request(method, url, **{"headers": {}, **more})  # type: ignore[arg-type]
        home = url.origin == self._origin
        sent = self._auth.header(self._scope) if home else None
        for last in (False, True):
            answer = self._http.send(replace(request, authorization=sent))
            if answer.status != 401:
                break
            with answer:
                if not home or answer.url.origin != self._origin:
                    raise Denied(
                        f"registry {self.host}: leads to {answer.url.origin.netloc}, which asks"
                        " for credentials; they are only for the registry itself"
                    )
                if last:
                    how = "with" if self._credential else "without"
                    raise Denied(self._said(answer, f"denies access {how} credentials"))
                sent = self._auth.answer(answer, sent, self._scope)
        return answer

    def _expect(self, answer: Answer, what: str, *statuses: int) -> None:
        """Raise the error that an answer with another status is; the answer is then closed."""
        if answer.status in statuses:
            return
        with answer:
            if answer.status in (401, 403):
                raise Denied(self._said(answer, f"denies access to {what}"))
            if answer.status == 404:
                raise NotInRegistry(self._said(answer, f"has no {what}"))
            text = self._said(answer, f"says {answer.status} for {what}")
            raise Unreachable(self.host, text) if answer.status >= 500 else BadAnswer(text)

    def _said(self, answer: Answer, ours: str) -> str:
        """Our words and the registry's (distribution-spec, "Error Codes")."""
        try:
            found = msgspec.json.decode(answer.read(_ERROR_LIMIT, "error"), type=_Complaints)
        except (RegistryError, Lost, msgspec.MsgspecError, UnicodeDecodeError):
            found = _Complaints()
        complaints = [f"{each.code}: {each.message or ''}" for each in found.errors or []]
        theirs = words("; ".join(complaints).strip(": "))
        return f"registry {self.host}: {ours}" + (f" ({theirs})" if theirs else "")

    def ping(self) -> None:
        """See that a registry answers; of an insecure one, whether by https or by http.

        Raise Unreachable, or BadAnswer when it is something else.
        """
        failure: RegistryError | None = None
        for origin in self._endpoint.origins:
            try:
                with self._http.send(Request("GET", Url(origin, "/v2/"), {})) as answer:
                    answer.read(_ERROR_LIMIT, f"registry {self.host}")
                    if answer.status in (200, 401, 403):
                        self._origin, self._sure = origin, True
                        self._auth = Authenticator(self._http, origin, self._credential)
                        return
                    failure = BadAnswer(
                        f"registry {self.host}: says {answer.status} to /v2/: no registry"
                    )
            except Unreachable as error:
                failure = error
            except Lost as error:
                failure = Unreachable(self.host, str(error))
        assert failure is not None, "an endpoint has an origin"
        raise failure

    # Manifests

    def head(self, tag: str | Digest) -> Digest | None:
        """The digest behind a tag, when the registry tells without sending the manifest.

        Raise NotInRegistry, Denied. It does not count against Docker Hub's limit.
        """
        with self._send("HEAD", self._url(f"manifests/{tag}"), headers=_ACCEPT) as answer:
            self._expect(answer, f"image {self.path}:{tag}", 200)
            try:
                return Digest(answer.header("Docker-Content-Digest"))
            except BadDigest:
                return None

    def manifest(self, tag: str | Digest) -> Fetched:
        """A manifest or index, checked against its digest and its own words.

        Raise NotInRegistry, Denied, BadAnswer, Unreachable.
        """
        what = f"manifest of {self.path}:{tag}"
        for attempt in (1, 2, 3):
            with self._send("GET", self._url(f"manifests/{tag}"), headers=_ACCEPT) as answer:
                self._expect(answer, f"image {self.path}:{tag}", 200)
                try:
                    raw = answer.read(MANIFEST_LIMIT, f"registry {self.host}: {what}")
                except Lost as error:
                    if attempt == 3:
                        raise Unreachable(self.host, f"{what}: {error}") from error
                    self._http.pause(attempt, str(error))
                    continue
                return self._checked(answer, raw, tag, what)
        raise AssertionError("the last attempt returns or raises")

    def _checked(self, answer: Answer, raw: bytes, tag: str | Digest, what: str) -> Fetched:
        who, digest = f"registry {self.host}: {what}", Digest.of(raw)
        claimed = answer.header("Docker-Content-Digest")
        if isinstance(tag, Digest) and digest != tag:
            raise BadAnswer(f"{who}: the bytes have digest {digest}")
        if claimed.startswith("sha256:") and claimed != str(digest):
            raise BadAnswer(f"{who}: said to be {words(claimed)}, the bytes are {digest}")
        try:
            inside = msgspec.json.decode(raw, type=_Kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadAnswer(f"{who}: {error}") from None
        outside = answer.header("Content-Type").partition(";")[0].strip().lower()
        kind = inside.media_type or outside
        if inside.media_type and outside not in _VAGUE and outside != inside.media_type:
            raise BadAnswer(
                f"{who}: is {words(inside.media_type)!r} inside and {words(outside)!r} outside"
            )
        if inside.schema_version == 1:
            raise BadAnswer(f"{who}: of the first version, which proves nothing; push it again")
        if kind not in MANIFESTS | INDEXES:
            raise BadAnswer(f"{who}: is {words(kind)!r}, not an image")
        return Fetched(raw, digest, kind, allowance(answer))

    def referrers(self, digest: Digest) -> list[Descriptor]:
        """What says of itself that it is about a manifest: signatures, bills of material. An older
        registry keeps the list under a tag (distribution-spec, "Listing Referrers").

        Raise Denied, BadAnswer, BadImage, Unreachable.
        """
        found: list[Descriptor] = []
        url: Url | None = self._url(f"referrers/{digest}")
        what = f"referrers of {self.path}@{digest}"
        for _ in range(_PAGES):
            assert url is not None
            with self._send("GET", url, headers={"Accept": OCI_INDEX}) as answer:
                if answer.status == 404:
                    return self._tagged(digest)
                self._expect(answer, what, 200)
                try:
                    raw = answer.read(MANIFEST_LIMIT, f"registry {self.host}: {what}")
                except Lost as error:
                    raise Unreachable(self.host, f"{what}: {error}") from error
                found += Index.parse(raw, f"of {what}").manifests
                more = _NEXT.match(answer.header("Link"))
                url = Url.parse(more[1], answer.url) if more else None
            if url is None:
                return found
            if url.origin != self._origin:
                raise BadAnswer(f"registry {self.host}: {what} go on at {url.origin.netloc}")
        raise BadAnswer(f"registry {self.host}: {what}: more than {_PAGES} pages")

    def _tagged(self, digest: Digest) -> list[Descriptor]:
        try:
            found = self.manifest(str(digest).replace(":", "-"))
        except NotInRegistry:
            return []
        return Index.parse(found.raw, found.digest).manifests

    def put_manifest(self, tag: str | Digest, manifest: Fetched) -> None:
        """Name what was pushed. Raise BadAnswer when the registry takes it for something else."""
        body = Body(len(manifest.raw), lambda: [manifest.raw], manifest.media_type)
        with self._send("PUT", self._url(f"manifests/{tag}"), body=body) as answer:
            self._expect(answer, f"manifest of {self.path}:{tag}", 200, 201)
            claimed = answer.header("Docker-Content-Digest")
            if claimed and claimed != str(manifest.digest):
                raise BadAnswer(f"registry {self.host}: stored {words(claimed)} instead")

    # Blobs

    @contextmanager
    def blob(self, digest: Digest, size: int, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """(where the bytes begin, the bytes) of a blob from `start` on, or from 0 on when the
        registry sends no parts. The bytes are not verified.

        Raise NotInRegistry, Denied, BadAnswer, and Lost while reading.
        """
        what = f"blob {digest}"
        headers = {"Range": f"bytes={start}-"} if start else {}
        url = self._url(f"blobs/{digest}")
        most = 2 * (size - start) + _SLACK
        with self._send("GET", url, headers=headers, most=most) as answer:
            if start and answer.status == 416:
                start = 0
            elif answer.status != 206 or not start:
                self._expect(answer, what, 200)
                self._same(answer.length(), size, what)
                yield 0, answer.chunks()
                return
            else:
                part = _RANGE.fullmatch(answer.header("Content-Range"))
                if part is None or int(part[1]) != start or part[3] not in ("*", str(size)):
                    told = words(answer.header("Content-Range"))
                    raise BadAnswer(f"registry {self.host}: {what}: sends {told!r} from {start} on")
                yield start, answer.chunks()
                return
        with self._send("GET", url, most=2 * size + _SLACK) as answer:
            self._expect(answer, what, 200)
            self._same(answer.length(), size, what)
            yield 0, answer.chunks()

    def _same(self, length: int | None, size: int, what: str) -> None:
        if length is not None and length != size:
            raise BadAnswer(f"registry {self.host}: {what}: {length} bytes, not {size}")

    def has_blob(self, digest: Digest) -> bool:
        with self._send("HEAD", self._url(f"blobs/{digest}")) as answer:
            if answer.status == 404:
                return False
            self._expect(answer, f"blob {digest}", 200)
            return True

    def begin_upload(self, digest: Digest, source: str = "") -> Url | None:
        """Where to send a blob; None when it was mounted from `source` and is there already."""
        rest = "blobs/uploads/"
        if source:
            rest += "?" + urlencode({"mount": str(digest), "from": source})
        with self._send("POST", self._url(rest)) as answer:
            if source and answer.status == 201:
                return None
            self._expect(answer, f"place for blobs of {self.path}", 202)
            return Url.parse(answer.header("Location"), answer.url)

    def upload(
        self, place: Url, digest: Digest, size: int, read: Callable[[int, int], Iterable[bytes]]
    ) -> None:
        """Send a blob: `read(start, count)` gives its bytes. Small ones go in one request.

        Raise BadAnswer, Denied, Unreachable.
        """
        sent = 0
        if size > PART:
            while sent < size:
                place, sent = self._part(place, sent, min(PART, size - sent), read)
        body = Body(size - sent, lambda: read(sent, size - sent))
        url = place.with_query(urlencode({"digest": str(digest)}))
        with self._send("PUT", url, body=body) as answer:
            self._expect(answer, f"room for blob {digest}", 201, 204)

    def _part(
        self, place: Url, start: int, count: int, read: Callable[[int, int], Iterable[bytes]]
    ) -> tuple[Url, int]:
        """Send one part; (where the next goes, how much is there). A part that was cut is gone on
        with from where the registry says it has come."""
        body = Body(count, lambda: read(start, count))
        headers = {"Content-Range": f"{start}-{start + count - 1}"}
        try:
            with self._send("PATCH", place, body=body, headers=headers) as answer:
                self._expect(answer, "next part", 202)
                return self._next(answer, place), start + count
        except Unreachable as error:
            self._http.pause(1, str(error))
        with self._send("GET", place) as answer:
            self._expect(answer, "upload that was interrupted", 204)
            told = _SENT.fullmatch(answer.header("Range"))
            there = int(told[1]) + 1 if told and answer.header("Range") != "0-0" else 0
            if there < start or there > start + count:
                raise BadAnswer(f"registry {self.host}: has {there} bytes of an upload at {start}")
            return self._next(answer, place), there

    def _next(self, answer: Answer, place: Url) -> Url:
        location = answer.header("Location")
        return Url.parse(location, answer.url) if location else place
