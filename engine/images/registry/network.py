"""What is known about the machine's network and the registries on it.

`registries.toml` in the home, read each time it is needed, so that a change needs no restart:

    [registry."docker.io"]
    mirrors = ["https://mirror.example.com"]    # asked first, in this order

    [registry."registry.lan:5000"]
    insecure = true             # http, or https whose certificate nobody vouches for
    ca = "lan-ca.pem"           # certificates to trust; paths are relative to this file
    client_cert = "me.pem"
    client_key = "me.key"

A registry on this machine itself (localhost, 127.0.0.0/8, ::1) is insecure without being listed,
unless a `ca` says otherwise.
"""

import ipaddress
import re
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit
from urllib.request import getproxies_environment

import msgspec

from engine.images.registry.errors import BadAnswer, BadSettings

# Docker Hub is known by one name and lives at another.
_ALIASES = {"docker.io": "registry-1.docker.io"}
_PORTS = {"http": 80, "https": 443}
_VISIBLE = re.compile(r"[\x21-\x7e]*")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom one speaks to. Credentials belong to an origin and never leave it (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https address, taken apart once. `target` is what a request line needs."""

    origin: Origin
    target: str

    @classmethod
    def parse(cls, text: str, base: "Url | None" = None) -> "Url":
        """Raise BadAnswer for what is not one: other schemes, user names, odd characters."""
        try:
            parts = urlsplit(text)
            if base is not None and not parts.scheme:
                parts = _joined(base, parts)
            scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        except ValueError as error:
            raise BadAnswer(f"address {text[:200]!r}: {error}") from None
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        if scheme not in _PORTS or not host or "@" in parts.netloc:
            raise BadAnswer(f"address {text[:200]!r}: must be http(s)://host[:port]/path")
        if not _VISIBLE.fullmatch(target) or not _VISIBLE.fullmatch(host):
            raise BadAnswer(f"address {text[:200]!r}: holds what no address holds")
        return cls(Origin(scheme, host, port or _PORTS[scheme]), target)

    def with_query(self, query: str) -> "Url":
        """The same with one more parameter, already encoded."""
        return Url(self.origin, f"{self.target}{'&' if '?' in self.target else '?'}{query}")

    def __str__(self) -> str:
        return f"{self.origin}{self.target}"


def _joined(base: Url, parts: SplitResult) -> SplitResult:
    if parts.netloc:
        return parts._replace(scheme=base.origin.scheme)
    path = parts.path
    if not path.startswith("/"):
        path = f"{base.target.partition('?')[0].rpartition('/')[0]}/{path}"
    return SplitResult(base.origin.scheme, base.origin.netloc, path, parts.query, "")


class _Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mirrors: list[str] = []
    insecure: bool = False
    ca: str = ""
    client_cert: str = ""
    client_key: str = ""


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    registry: dict[str, _Registry] = {}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place where a registry may answer: the addresses to try, in order."""

    host: str
    origins: tuple[Origin, ...]


@dataclass(frozen=True)
class Network:
    """`proxies` as urllib has them: scheme to address, and under "no" who is not to be proxied."""

    registries: Mapping[str, _Registry] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/")

    @classmethod
    def read(cls, home: Path) -> "Network":
        """The home's registries.toml, if there is one, and the environment's proxies.

        Raise BadSettings.
        """
        path = home / "registries.toml"
        try:
            settings = msgspec.convert(tomllib.loads(path.read_text()), _Settings)
        except FileNotFoundError:
            settings = _Settings()
        except (OSError, ValueError, msgspec.ValidationError) as error:
            raise BadSettings(f"{path}: {error}") from None
        return cls(settings.registry, getproxies_environment(), home)

    def endpoints(self, host: str) -> list[Endpoint]:
        """The mirrors of a registry, then itself. Raise BadSettings for an odd mirror."""
        known = self.registries.get(host, _Registry())
        found = []
        for mirror in known.mirrors:
            try:
                origin = Url.parse(mirror).origin
            except BadAnswer as error:
                raise BadSettings(f"registries.toml: mirror of {host}: {error}") from None
            found.append(Endpoint(origin.netloc, (origin,)))
        return [*found, self.endpoint(host)]

    def endpoint(self, host: str) -> Endpoint:
        """Where the registry itself answers; an insecure one by https or by http."""
        secure = Url.parse(f"https://{_ALIASES.get(host, host)}").origin
        if not self.insecure(host):
            return Endpoint(host, (secure,))
        _, colon, port = host.rpartition(":")
        bare = not colon or not port.isdigit()
        plain = Origin("http", secure.host, 80 if bare else secure.port)
        return Endpoint(host, (secure, plain))

    def insecure(self, netloc: str) -> bool:
        """Whether plain http, or a certificate that proves nothing, is good enough."""
        known = self.registries.get(netloc, _Registry())
        return known.insecure or (_loopback(netloc) and not known.ca)

    def context(self, origin: Origin) -> ssl.SSLContext:
        """What to believe about a server. Raise BadSettings for unreadable certificates."""
        context = ssl.create_default_context()
        known = self.registries.get(origin.netloc) or self.registries.get(
            next((name for name, host in _ALIASES.items() if host == origin.netloc), ""),
            _Registry(),
        )
        try:
            if known.ca:
                context.load_verify_locations(self.folder / known.ca)
            if known.client_cert:
                key = self.folder / known.client_key if known.client_key else None
                context.load_cert_chain(self.folder / known.client_cert, key)
        except (OSError, ssl.SSLError) as error:
            raise BadSettings(
                f"registries.toml: certificates of {origin.netloc}: {error}"
            ) from None
        if self.insecure(origin.netloc) and not known.ca:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def proxy(self, origin: Origin) -> "Proxy | None":
        """The proxy for an origin; this machine itself is never asked through one."""
        address = self.proxies.get(origin.scheme) or self.proxies.get("all")
        if not address or _loopback(origin.netloc):
            return None
        if any(_covers(entry, origin) for entry in self.proxies.get("no", "").split(",")):
            return None
        parts = urlsplit(address if "//" in address else f"http://{address}")
        try:
            host, port = parts.hostname or "", parts.port or 80
        except ValueError as error:
            raise BadSettings(f"{origin.scheme}_proxy: {error}") from None
        if parts.scheme != "http" or not host:
            raise BadSettings(f"{origin.scheme}_proxy: {parts.scheme}://{host} is no http proxy")
        login = (
            f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
        )
        return Proxy(host, port, login)


@dataclass(frozen=True, slots=True)
class Proxy:
    """An http proxy; `login` is "user:password" or empty."""

    host: str
    port: int
    login: str = field(repr=False)


def _covers(entry: str, origin: Origin) -> bool:
    """Whether an entry of no_proxy means a host: *, a name and what is below it, a network."""
    entry = entry.strip().lower()
    try:
        return ipaddress.ip_address(origin.host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        name = entry.lstrip(".")
        return entry == "*" or (bool(name) and f".{origin.host}".endswith(f".{name}"))


def _loopback(netloc: str) -> bool:
    host = netloc.partition("]")[0][1:] if netloc.startswith("[") else netloc.partition(":")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
