"""ADD of an address: fetched when a checksum says what it must be, refused otherwise.

A build that takes whatever a server gives today is another build tomorrow; the digest also makes it
impossible for the server to choose what ends up in the image.
"""

import http.client
import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit

from engine.images.blobs import HashedFile
from engine.images.errors import BadDigest
from engine.images.types import Digest

SIZE_MAX = 16 << 30
_CHUNK = 1 << 20
_TIMEOUT_S = 60
_URL = re.compile(r"(?:https?|ftp|git|ssh)://|git@", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9._+~-]{1,255}")


class FetchError(Exception):
    """Why an address was not fetched."""


def is_url(text: str) -> bool:
    return _URL.match(text) is not None


def fetch(url: str, checksum: str, folder: Path) -> bytes:
    """Store what an address has in `folder`; return its name there. Raise FetchError."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or parts.path.endswith(".git"):
        raise FetchError(f"{url!r}: only http:// and https:// files are fetched")
    if not checksum:
        raise FetchError(f"{url!r}: fetched only with --checksum=sha256:…, which says what it is")
    try:
        wanted = Digest(checksum)
    except BadDigest as error:
        raise FetchError(f"--checksum: {error}") from None
    name = parts.path.rpartition("/")[2]
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise FetchError(f"{url!r}: has no file name")
    file = HashedFile(folder / name)
    try:
        for chunk in _body(url):
            file.write(chunk)
    finally:
        found = file.close()
    if found != wanted:
        raise FetchError(f"{url!r}: has digest {found}, not {wanted}")
    os.utime(folder / name, (0, 0))
    return os.fsencode(name)


def _body(url: str) -> Iterator[bytes]:
    size = 0
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > SIZE_MAX:
                    raise FetchError(f"{url!r}: more than {SIZE_MAX} bytes")
                yield chunk
    except (URLError, OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(f"{url!r}: cannot be fetched: {error}") from None
