"""Archives to test with, written by the standard library: not by the code under test."""

import io
import tarfile
from dataclasses import dataclass, field

from engine.images.tar import Limits


@dataclass
class Member:
    """A TarInfo and its body. `raw` replaces both: bytes that tarfile would not write."""

    info: tarfile.TarInfo
    body: bytes = b""
    raw: bytes | None = None
    pax: dict[str, str] = field(default_factory=dict)


def member(name: str, kind: bytes, body: bytes = b"", **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(body)
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    pax = fields.pop("pax", {})
    assert isinstance(pax, dict)
    for key, value in fields.items():
        setattr(info, key, value)
    return Member(info, body, None, pax)


def file(name: str, body: bytes = b"", **fields: object) -> Member:
    return member(name, tarfile.REGTYPE, body, **fields)


def folder(name: str, **fields: object) -> Member:
    return member(name, tarfile.DIRTYPE, **fields)


def symlink(name: str, target: str, **fields: object) -> Member:
    return member(name, tarfile.SYMTYPE, linkname=target, **fields)


def hardlink(name: str, target: str) -> Member:
    return member(name, tarfile.LNKTYPE, linkname=target)


def device(name: str, kind: bytes, major: int, minor: int) -> Member:
    return member(name, kind, devmajor=major, devminor=minor)


def whiteout(name: str) -> Member:
    head, _, tail = name.rpartition("/")
    return file(f"{head}/.wh.{tail}" if head else f".wh.{tail}")


def opaque(name: str) -> Member:
    return file(f"{name}/.wh..wh..opq" if name else ".wh..wh..opq")


def raw(data: bytes) -> Member:
    return Member(tarfile.TarInfo("raw"), raw=data)


def tar(*members: Member, end: bool = True) -> bytes:
    """The archive of these members, in this order."""
    out = io.BytesIO()
    for m in members:
        if m.raw is not None:
            out.write(m.raw)
            continue
        m.info.pax_headers = dict(m.pax)
        form = tarfile.PAX_FORMAT if m.pax else tarfile.GNU_FORMAT
        out.write(m.info.tobuf(form, "utf-8", "surrogateescape"))
        out.write(m.body + bytes(-len(m.body) % 512))
    return out.getvalue() + (bytes(1024) if end else b"")


def chunks(data: bytes, size: int = 700) -> list[bytes]:
    """The archive in pieces that fit no boundary of it."""
    return [data[at : at + size] for at in range(0, len(data), size)]


SMALL = Limits(
    entries=50, total=1 << 20, header=8192, depth=40, component=255, xattr=256, kept=10_000
)
