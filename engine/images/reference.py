"""Names of images: `[host[:port]/]path[:tag][@digest]`.

One image must be found under every way to spell its name. So a reference is stored in its full form
(docker.io/library/debian:latest) and shown in its familiar one (debian:latest), by the rules of
github.com/distribution/reference.
"""

import re
from dataclasses import dataclass

from engine.images.errors import BadReference
from engine.images.types import Digest

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_MAX = 255

_HOST = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.?)+(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?"
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed name. With a digest the tag is only a remark: the digest says which image."""

    host: str
    path: str
    tag: str | None
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Raise BadReference (or BadDigest) when `text` is not an image reference."""
        name, at, digest = text.partition("@")
        parsed_digest = Digest(digest) if at else None
        tag: str | None = None
        slash, colon = name.rfind("/"), name.rfind(":")
        if colon > slash:
            name, tag = name[:colon], name[colon + 1 :]
            if not _TAG.fullmatch(tag):
                raise BadReference(f"image reference {text!r}: {tag!r} is not a tag")
        elif not at:
            tag = DEFAULT_TAG
        first, _, rest = name.partition("/")
        if rest and (
            "." in first or ":" in first or first == "localhost" or first.lower() != first
        ):
            host, path = first, rest
        else:
            host, path = DEFAULT_HOST, name
        if host == "index.docker.io":
            host = DEFAULT_HOST
        if host == DEFAULT_HOST and "/" not in path:
            path = _OFFICIAL + path
        if not _HOST.fullmatch(host):
            raise BadReference(f"image reference {text!r}: {host!r} is not a host")
        if not _PATH.fullmatch(path) or len(path) > _MAX:
            why = "lower case letters, digits and single separators . _ - /"
            raise BadReference(f"image reference {text!r}: {path!r} is not a name ({why})")
        return cls(host, path, tag, parsed_digest)

    @property
    def name(self) -> str:
        """Host and path."""
        return f"{self.host}/{self.path}"

    def __str__(self) -> str:
        """The full form: two spellings of one name give the same text."""
        return self.name + self._suffix()

    @property
    def familiar(self) -> str:
        """The short form that people write, with its tag."""
        name = self.name.removeprefix(f"{DEFAULT_HOST}/").removeprefix(_OFFICIAL)
        if self.host != DEFAULT_HOST:
            name = self.name
        return name + self._suffix()

    def _suffix(self) -> str:
        if self.digest is not None:
            return f"@{self.digest}"
        return f":{self.tag}"
