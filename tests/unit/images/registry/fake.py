"""A registry in a thread, which does what it should until it is told not to."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from engine.images.archive import host_platform

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    size: int = 0


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    registry: "FakeRegistry"

    def log_message(self, *_: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            pass  # whoever asked has heard enough

    def serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(size)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.registry.seen.append(Seen(self.command, self.path, headers, size))
        self.registry.act(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = serve

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """An answer; header names are spelled with underscores."""
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given.setdefault("Content-Length", str(len(body)))
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def raw(self, *pieces: bytes) -> None:
        """Bytes as they are, and then the end."""
        self.close_connection = True
        for piece in pieces:
            self.wfile.write(piece)

    def endless(self, head: bytes, again: bytes) -> None:
        """Never stops by itself."""
        self.raw(head)
        while True:
            self.wfile.write(again)


Action = Callable[[Handler], None]


@dataclass
class _Rule:
    method: str
    path: re.Pattern[str]
    action: Action
    left: int


@dataclass
class FakeRegistry:
    """`auth` is "", "basic" or "token"; the right name and password are u and p."""

    auth: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    tokens: int = 0
    expired: int = 0
    lifetime: int = 300
    _rules: list[_Rule] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def host(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, action: Action, times: int = 1 << 30) -> None:
        """Do this instead for so many requests whose path matches."""
        self._rules.append(_Rule(method, re.compile(path), action, times))

    def asked(self, method: str, path: str) -> list[Seen]:
        """What came of this kind."""
        return [s for s in self.seen if s.method == method and re.search(path, s.path)]

    # What it has

    def blob(self, data: bytes, kind: str, **more: Any) -> dict[str, Any]:
        self.blobs[digest(data)] = data
        return {"mediaType": kind, "digest": digest(data), "size": len(data), **more}

    def manifest(self, name: str, document: Any, kind: str = "", **more: Any) -> dict[str, Any]:
        """Something under a name and under its digest."""
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        kind = kind or document["mediaType"]
        for tag in (name, digest(raw)):
            self.manifests[tag] = (kind, raw)
        return {"mediaType": kind, "digest": digest(raw), "size": len(raw), **more}

    def image(self, layers: Sequence[bytes], name: str = "1", **more: Any) -> dict[str, Any]:
        """A good image; `more` goes into its manifest."""
        here = host_platform()
        config = {
            "architecture": here.architecture,
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        }
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(json.dumps(config).encode(), CONFIG),
            "layers": [self.blob(layer, LAYER) for layer in layers],
        }
        return self.manifest(name, document | more)

    # What it does

    def act(self, handler: Handler) -> None:
        for rule in self._rules:
            if rule.left and rule.method == handler.command and rule.path.search(handler.path):
                rule.left -= 1
                rule.action(handler)
                return
        if handler.path.startswith("/token"):
            self._token(handler)
        elif self._welcome(handler):
            self._route(handler)

    def _welcome(self, handler: Handler) -> bool:
        sent = handler.headers.get("Authorization", "")
        scope = "repository:x:pull"
        challenge = {
            "": "",
            "basic": 'Basic realm="us"',
            "token": f'Bearer realm="http://{self.host}/token",service="s",scope="{scope}"',
        }[self.auth]
        good = {f"Bearer t{number + 1}" for number in range(self.expired, self.tokens)}
        if sent in {"": {sent}, "basic": {"Basic dTpw"}, "token": good}[self.auth]:
            return True
        handler.reply(401, b'{"errors":[{"code":"UNAUTHORIZED"}]}', WWW_Authenticate=challenge)
        return False

    def _token(self, handler: Handler) -> None:
        sent = handler.headers.get("Authorization", "")
        form = parse_qs(handler.body.decode())
        if sent not in ("", "Basic dTpw") or form.get("refresh_token", ["i"]) != ["i"]:
            handler.reply(401)
            return
        self.tokens += 1
        token = {"token": f"t{self.tokens}", "expires_in": self.lifetime}
        handler.reply(200, json.dumps(token).encode())

    def _route(self, handler: Handler) -> None:
        path = urlsplit(handler.path).path
        if path == "/v2/":
            handler.reply(200)
        elif "/blobs/uploads/" in path:
            self._upload(handler, path)
        elif "/manifests/" in path:
            self._manifest(handler, path.rpartition("/")[2])
        elif "/blobs/" in path:
            self._blob(handler, path.rpartition("/")[2])
        else:
            handler.reply(404)

    def _manifest(self, handler: Handler, tag: str) -> None:
        if handler.command == "PUT":
            self.manifests[tag] = (handler.headers["Content-Type"], handler.body)
            handler.reply(201, Docker_Content_Digest=digest(handler.body))
        elif tag not in self.manifests:
            handler.reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such tag"}]}')
        else:
            kind, raw = self.manifests[tag]
            handler.reply(200, raw, Content_Type=kind, Docker_Content_Digest=digest(raw))

    def _blob(self, handler: Handler, name: str) -> None:
        data = self.blobs.get(name)
        if data is None:
            handler.reply(404)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if wanted is None:
            handler.reply(200, data)
            return
        start = int(wanted[1])
        part = f"bytes {start}-{len(data) - 1}/{len(data)}"
        handler.reply(206, data[start:], Content_Range=part)

    def _upload(self, handler: Handler, path: str) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(handler.path).query).items()}
        if handler.command == "POST":
            if query.get("mount") in self.blobs:
                handler.reply(201, Location=f"/v2/x/blobs/{query['mount']}")
                return
            name = f"u{len(self.uploads)}"
            self.uploads[name] = b""
            handler.reply(202, Location=f"/v2/x/blobs/uploads/{name}?state=a%2Fb")
            return
        name = path.rpartition("/")[2]
        self.uploads[name] += handler.body
        if handler.command == "PATCH":
            there = f"0-{len(self.uploads[name]) - 1}"
            handler.reply(202, Location=f"{name}?state=next", Range=there)
        elif handler.command == "GET":
            handler.reply(204, Range=f"0-{max(0, len(self.uploads[name]) - 1)}")
        elif digest(self.uploads[name]) == query["digest"]:
            self.blobs[query["digest"]] = self.uploads[name]
            handler.reply(201)
        else:
            handler.reply(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"no match"}]}')

    @contextmanager
    def running(self) -> Iterator["FakeRegistry"]:
        handler = type("Bound", (Handler,), {"registry": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
