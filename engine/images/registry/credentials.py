"""Who one is to a registry: the files and helpers of docker and of podman.

The most particular entry wins: for `host/team/app` first that name, then `host/team`, then `host`.
Secrets given to a pod come before the files, the files of containers(5) before docker's.
Sources: docker-credential-helpers' README, containers-auth.json(5), kubernetes.io/dockerconfigjson.
"""

import base64
import binascii
import fnmatch
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from engine.images.reference import DEFAULT_HOST
from engine.images.registry.errors import BadSettings, words

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HELPER_S = 30.0
_LIMIT = 1 << 20
# Docker's own key for its own registry, from before there was a second version.
_DOCKER_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"


@dataclass(frozen=True, slots=True)
class Credential:
    """A name with a password, or an identity token (OAuth2 refresh token) instead."""

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        secret = self.password or self.identity_token
        return f"Basic {base64.b64encode(f'{self.username}:{secret}'.encode()).decode()}"


class _Auth(msgspec.Struct, frozen=True, rename={"identity_token": "identitytoken"}):
    auth: str = ""
    username: str = ""
    password: str = ""
    identity_token: str = ""


class _File(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, _Auth] = {}
    creds_store: str = ""
    cred_helpers: dict[str, str] = {}


class _HelperAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    username: str = ""
    secret: str = ""


@dataclass(frozen=True)
class Keychain:
    """Where to look, in order: documents in docker's format, then files of that format.

    `environment` is what helpers are run with.
    """

    documents: Sequence[tuple[str, bytes]] = field(default=(), repr=False)
    files: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, environment: Mapping[str, str], documents: Sequence[tuple[str, bytes]] = ()
    ) -> "Keychain":
        """The keychain of a process. A document is (name for messages, bytes)."""
        home = Path(environment.get("HOME") or "/root")
        runtime = environment.get("XDG_RUNTIME_DIR")
        files = [Path(runtime) / "containers/auth.json"] if runtime else []
        files.append(home / ".config/containers/auth.json")
        files.append(Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json")
        if chosen := environment.get("REGISTRY_AUTH_FILE"):
            files = [Path(chosen)]
        return cls(documents, files, environment)

    def candidates(self, host: str, path: str) -> Iterator[Credential]:
        """Every credential for a repository, the best first. Raise BadSettings."""
        for name, text in self._texts():
            try:
                file = msgspec.json.decode(text, type=_File)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise BadSettings(f"{name}: {error}") from None
            found = self._in(file, name, host, path)
            if found is not None:
                yield found

    def find(self, host: str, path: str) -> Credential | None:
        """The best credential; None for nobody."""
        return next(self.candidates(host, path), None)

    def _texts(self) -> Iterator[tuple[str, bytes]]:
        yield from self.documents
        for file in self.files:
            try:
                with file.open("rb") as opened:
                    text = opened.read(_LIMIT)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise BadSettings(f"{file}: {error.strerror}") from None
            if text.strip():
                yield str(file), text

    def _in(self, file: _File, name: str, host: str, path: str) -> Credential | None:
        for helper_host, helper in file.cred_helpers.items():
            if _plain(helper_host) == host:
                return self._ask(helper, host)
        parts = f"{host}/{path}".split("/")
        for length in range(len(parts), 0, -1):
            wanted = "/".join(parts[:length])
            for key, auth in file.auths.items():
                if _matches(_plain(key), wanted):
                    found = _credential(auth, f"{name}: {key}")
                    if found is not None:
                        return found
        return self._ask(file.creds_store, host) if file.creds_store else None

    def _ask(self, helper: str, host: str) -> Credential | None:
        """The helper's protocol: the server on its input, a document or a complaint as output."""
        if not _HELPER.fullmatch(helper):
            raise BadSettings(f"credential helper {helper!r}: not a program's name")
        command = [f"docker-credential-{helper}", "get"]
        server = _DOCKER_KEY if host == DEFAULT_HOST else host
        try:
            done = subprocess.run(
                command,
                input=server.encode(),
                capture_output=True,
                timeout=_HELPER_S,
                env=dict(self.environment),
            )
        except FileNotFoundError:
            raise BadSettings(f"{command[0]}: not found; the docker config asks for it") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BadSettings(f"{command[0]}: {error}") from None
        said = words((done.stdout or done.stderr)[:_LIMIT].decode(errors="replace"))
        if done.returncode:
            if "credentials not found" in said:
                return None
            raise BadSettings(f"{command[0]}: {said or f'exit code {done.returncode}'}")
        try:
            answer = msgspec.json.decode(done.stdout[:_LIMIT], type=_HelperAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # What it said may hold the secret: it is not shown.
            raise BadSettings(f"{command[0]}: not the answer of a helper: {error}") from None
        if answer.username == _TOKEN_USER:
            return Credential(_TOKEN_USER, "", answer.secret)
        return Credential(answer.username, answer.secret) if answer.username else None


def _credential(auth: _Auth, name: str) -> Credential | None:
    username, password = auth.username, auth.password
    if auth.auth:
        try:
            pair = base64.b64decode(auth.auth.encode(), validate=True).decode()
        except (binascii.Error, UnicodeError):
            raise BadSettings(f"{name}: auth must be base64 of USER:PASSWORD") from None
        username, colon, password = pair.partition(":")
        if not colon:
            raise BadSettings(f"{name}: auth must be base64 of USER:PASSWORD")
        password = password.rstrip("\0")
    if auth.identity_token:
        return Credential(username or _TOKEN_USER, "", auth.identity_token)
    return Credential(username, password) if username else None


def _plain(key: str) -> str:
    """A key as people and tools write it: https://host/v1/, host, host/path."""
    name = key.partition("://")[2] or key
    host, slash, path = name.rstrip("/").partition("/")
    if path in ("v1", "v2"):
        slash, path = "", ""
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = DEFAULT_HOST
    return f"{host}{slash}{path}"


def _matches(key: str, wanted: str) -> bool:
    """Whether a key means a name; a `*` stands for what is between two dots of the host."""
    if "*" not in key:
        return key == wanted
    host, _, path = key.partition("/")
    there, _, below = wanted.partition("/")
    pattern, labels = host.split("."), there.split(".")
    alike = len(pattern) == len(labels) and path == below
    return alike and all(map(fnmatch.fnmatchcase, labels, pattern))
