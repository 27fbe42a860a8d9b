"""No byte of a layer, and no metadata, lands outside its root.

Each case is an archive that once broke, or would break, some unpacker. It is unpacked beside a
canary; then the canary and its folder must be exactly as before, whether the archive was refused or
not.
"""

import contextlib
import copy
import io
import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.images.errors import BadLayer
from engine.images.layers.dir import DirDriver
from engine.images.layers.erofs import ErofsDriver
from engine.images.tar import Limits
from tests.real.images.layouts import open_below
from tests.real.images.tars import (
    SMALL,
    Member,
    chunks,
    device,
    file,
    folder,
    hardlink,
    opaque,
    raw,
    symlink,
    tar,
    whiteout,
)

DRIVERS = {"dir": DirDriver(), "erofs": ErofsDriver(DirDriver())}
REFUSED, TAKEN = "refused", "taken"


@dataclass(frozen=True)
class Case:
    name: str
    members: list[Member]
    outcome: str
    naive_escapes: bool = False  # tarfile's extractall(filter="fully_trusted") reaches the canary
    says: str = ""


def _truncated() -> Member:
    return raw(tar(file("a", b"x" * 5000), end=False)[:2048])


def _bad_checksum() -> Member:
    data = bytearray(tar(file("a", b"x"), end=False))
    data[0] ^= 1
    return raw(bytes(data))


def _size_lie() -> Member:
    data = tarfile.TarInfo("a")
    data.size = 1 << 40
    return raw(data.tobuf(tarfile.GNU_FORMAT))


def _field(offset: int, value: bytes) -> Member:
    """A member whose header has `value` at `offset`, with a right checksum."""
    data = bytearray(tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT))
    data[offset : offset + len(value)] = value
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return raw(bytes(data))


def _sparse(segments: str, size: int, **more: object) -> Member:
    """A sparse file of PAX version 0.1."""
    fields = {"GNU.sparse.map": segments, "GNU.sparse.realsize": "8"}
    fields |= {f"GNU.sparse.{key}": str(value) for key, value in more.items()}
    return file("a", b"x" * size, pax=fields)


def _old_sparse() -> Member:
    """GNU's own form: a map that goes on in blocks that do not come."""
    member = _field(156, b"S")
    assert member.raw is not None
    data = bytearray(member.raw)
    data[386:398] = data[398:410] = b"00000000000\0"
    data[482:483] = b"\1"
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return raw(bytes(data) + b"".join(_more_segments() for _ in range(3)))


def _more_segments() -> bytes:
    return b"00000000001\0" * 42 + b"\1" + bytes(7)


def _device_field(number: int) -> Member:
    member = _field(156, b"3")
    assert member.raw is not None
    data = bytearray(member.raw)
    data[329:337] = b"%07o\0" % number
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return raw(bytes(data))


def _pax(data: bytes) -> Member:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(data)
    return raw(info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512))


CASES = [
    # The canary is at ../outside/canary, seen from the root.
    Case("dotdot", [file("../outside/canary", b"x")], REFUSED, True, "'..'"),
    Case(
        "dotdot within", [folder("a"), file("a/../../outside/canary", b"x")], REFUSED, True, "'..'"
    ),
    Case("dotdot last", [folder("a/..")], REFUSED, says="'..'"),
    Case("absolute name", [file("/outside/canary", b"x")], TAKEN),
    Case("absolute canary", [file("{outside}/canary", b"x")], TAKEN, True),
    Case(
        "parent is a link out", [symlink("a", "../outside"), file("a/canary", b"x")], REFUSED, True
    ),
    Case(
        "parent is an absolute link",
        [symlink("a", "{outside}"), file("a/canary", b"x")],
        REFUSED,
        True,
    ),
    Case(
        "chain of links",
        [symlink("a", ".."), symlink("b", "a/outside"), file("b/canary", b"x")],
        REFUSED,
        True,
    ),
    Case(
        "link to the root's parent becomes a directory",
        [symlink("a", ".."), folder("a/outside"), file("a/outside/canary", b"x")],
        TAKEN,
        True,
    ),
    Case("a file over a link", [symlink("a", "../outside/canary"), file("a", b"x")], TAKEN),
    Case(
        "link swapped after use",
        [folder("a"), file("a/x", b"1"), symlink("a", "../outside"), file("a/canary", b"x")],
        REFUSED,
        says="",
    ),
    Case("hard link out", [hardlink("a", "../outside/canary")], REFUSED, True, "'..'"),
    Case(
        "hard link through a link",
        [symlink("d", "../outside"), hardlink("a", "d/canary"), file("a", b"x")],
        REFUSED,
        True,
    ),
    Case(
        "hard link to a link out, then written",
        [symlink("d", "../outside/canary"), hardlink("a", "d"), file("a", b"x")],
        TAKEN,
    ),
    Case(
        "hard link to an absolute name",
        [hardlink("a", "{outside}/canary"), file("a", b"x")],
        REFUSED,
    ),
    Case("hard link to itself", [hardlink("a", "a")], REFUSED),
    Case("hard link to a directory", [folder("d"), hardlink("a", "d")], REFUSED, says="directory"),
    Case(
        "hard link into what it replaces", [folder("a"), file("a/b"), hardlink("a", "a/b")], REFUSED
    ),
    Case("hard link to nothing", [hardlink("a", "nothing")], REFUSED, says="not there"),
    Case("the root as a link", [symlink("./", "../outside"), file("canary", b"x")], REFUSED),
    Case("the root as a file", [file(".", b"x")], REFUSED, says="root"),
    Case("empty name", [file("", b"x")], REFUSED, says="root"),
    Case("whiteout through a link", [symlink("a", "../outside"), whiteout("a/canary")], REFUSED),
    Case("opaque through a link", [symlink("a", "../outside"), opaque("a")], REFUSED),
    Case("whiteout of dotdot", [file("a/.wh...")], REFUSED, says="whiteout"),
    Case("whiteout of dot", [file("a/.wh..")], REFUSED, says="whiteout"),
    Case("whiteout of nothing", [file("a/.wh.")], REFUSED, says="whiteout"),
    Case("whiteout as a directory", [file(".wh.a/b", b"x")], REFUSED, says="whiteout"),
    Case("whiteout device", [device("a", tarfile.CHRTYPE, 0, 0)], REFUSED, says="0:0"),
    Case(
        "overlay attributes",
        [folder("a", pax={"SCHILY.xattr.trusted.overlay.redirect": "/"})],
        TAKEN,
    ),
    Case("host labels", [file("a", b"x", pax={"SCHILY.xattr.security.selinux": "x"})], TAKEN),
    Case("attribute too large", [file("a", pax={"SCHILY.xattr.user.a": "x" * 300})], REFUSED),
    Case("NUL in a PAX name", [_pax(b"12 path=a\0b\n"), file("x")], REFUSED, says="NUL"),
    Case(
        "dotdot in a PAX name",
        [_pax(b"26 path=../outside/canary\n"), file("x")],
        REFUSED,
        True,
        "'..'",
    ),
    Case(
        "dotdot in a PAX link",
        [_pax(b"30 linkpath=../outside/canary\n"), hardlink("x", "y")],
        REFUSED,
        True,
    ),
    Case("PAX length lies", [_pax(b"99 path=a\n"), file("x")], REFUSED, says="PAX"),
    Case("PAX length zero", [_pax(b"0 path=a\n"), file("x")], REFUSED, says="PAX"),
    Case("PAX without equals", [_pax(b"8 path\n\n"), file("x")], REFUSED, says="PAX"),
    Case("PAX size is no number", [_pax(b"11 size=-1\n"), file("x")], REFUSED, says="number"),
    Case("PAX time is no time", [_pax(b"15 mtime=1e309\n"), file("x")], REFUSED, says="time"),
    Case("PAX header too long", [_pax(b"x" * 9000), file("x")], REFUSED, says="extended header"),
    Case("PAX header at the end", [_pax(b"10 path=a\n")], REFUSED, says="ends"),
    Case(
        "sparse file", [file("a", pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})], REFUSED
    ),
    Case(
        "sparse segments that overlap", [_sparse("0,4,2,4", 8, realsize=9)], REFUSED, says="overlap"
    ),
    Case("sparse segments beyond the end", [_sparse("0,4,99,4", 8, realsize=9)], REFUSED),
    Case("sparse segments of more than there is", [_sparse("0,99", 8, realsize=99)], REFUSED),
    Case("sparse map of odd numbers", [_sparse("0,4,4", 4, realsize=8)], REFUSED, says="3 numbers"),
    Case("sparse size that is negative", [_sparse("0,8", 8, realsize=-1)], REFUSED, says="number"),
    Case("sparse name that leads out", [_sparse("0,8", 8, name="../outside/canary")], REFUSED),
    Case(
        "sparse file as large as nothing",
        [_sparse("0,8", 8, realsize=1 << 62)],
        REFUSED,
        says="more than",
    ),
    Case("old sparse header that lies", [_field(156, b"S")], TAKEN),
    Case("old sparse header without an end", [_old_sparse()], REFUSED, says="overlap"),
    Case("link as long as a book", [symlink("a", "b/" * 3000)], REFUSED, says="6000 bytes"),
    Case("device of too large a major", [device("a", tarfile.CHRTYPE, 4096, 1)], REFUSED),
    Case(
        "device number out of range",
        [_device_field(0o7777777)],
        REFUSED,
        says="range",
    ),
    Case("hard link to a whiteout", [whiteout("a"), hardlink("b", "a")], REFUSED),
    Case("hard link to what a link hides", [symlink("d", "/"), hardlink("a", "d/d/d/x")], REFUSED),
    Case("opaque mark of a file", [file("a", b"x"), opaque("a"), file("a/b")], TAKEN),
    Case("whiteouts by the thousand", [whiteout(f"w{n}") for n in range(51)], REFUSED),
    Case(
        "attributes that fill memory",
        [file(f"{n}", pax={"SCHILY.xattr.user.a": "x" * 250}) for n in range(45)],
        REFUSED,
        says="links and attributes",
    ),
    Case("unknown type", [_field(156, b"V")], REFUSED, says="type"),
    Case("uid out of range", [file("a", pax={"uid": "4294967295"})], REFUSED, says="range"),
    Case("negative uid", [_field(108, b"\xff" * 8)], REFUSED, says="negative"),
    Case("size not octal", [_field(124, b"9999999999 ")], REFUSED, says="octal"),
    Case("component too long", [file("a" * 256)], REFUSED, says="longer"),
    Case("too deep", [file("/".join("a" * 41))], REFUSED, says="deep"),
    Case("too many entries", [file(f"{n}") for n in range(51)], REFUSED, says="more than 50"),
    Case(
        "too many bytes",
        [file("a", b"x" * 600_000), file("b", b"x" * 600_000)],
        REFUSED,
        says="more than",
    ),
    Case("size lie", [_size_lie()], REFUSED, says="more than"),
    Case("truncated", [_truncated()], REFUSED, says="ends within"),
    Case("bad checksum", [_bad_checksum()], REFUSED, says="checksum"),
    Case("links in a circle", [symlink("a", "b"), symlink("b", "a"), file("a/x")], REFUSED),
    Case(
        "link into proc", [symlink("a", "/proc/self/root"), file("a/outside/canary", b"x")], REFUSED
    ),
    Case(
        "fifo replaced by a file", [Member(_fifo := tarfile.TarInfo("a")), file("a", b"x")], TAKEN
    ),
    Case(
        "a directory over a file and back", [file("a"), folder("a"), file("a/b"), file("a")], TAKEN
    ),
    Case("set-id bits on a link", [symlink("a", "../outside/canary", mode=0o6777)], TAKEN),
    Case("owner of a link", [symlink("a", "../outside/canary", uid=7, gid=7)], TAKEN),
    Case("time of a link", [symlink("a", "../outside/canary", mtime=1)], TAKEN),
]


@dataclass
class Arena:
    root: Path
    outside: Path

    def state(self) -> list[object]:
        found: list[object] = [
            sorted(os.listdir(self.root.parent)),
            sorted(os.listdir(self.outside)),
        ]
        for path in (self.outside, self.outside / "canary"):
            s = path.lstat()
            found += [s.st_mode, s.st_uid, s.st_gid, s.st_nlink, s.st_mtime_ns, s.st_ino]
            found.append(os.listxattr(path))
        found.append((self.outside / "canary").read_bytes())
        return found

    def archive(self, case: Case) -> bytes:
        members = copy.deepcopy(case.members)
        for m in members:
            for attribute in ("name", "linkname"):
                text = getattr(m.info, attribute)
                setattr(m.info, attribute, text.replace("{outside}", str(self.outside)))
        return tar(*members)


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    arena = Arena(tmp_path / "root", tmp_path / "outside")
    arena.root.mkdir()
    arena.outside.mkdir()
    (arena.outside / "canary").write_bytes(b"sings")
    os.utime(arena.outside / "canary", ns=(10**18, 10**18))
    return arena


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_lands_outside(case: Case, arena: Arena, driver: str) -> None:
    before = arena.state()
    said = ""
    try:
        DRIVERS[driver].write(chunks(arena.archive(case)), arena.root, [], SMALL)
        outcome = TAKEN
    except BadLayer as error:
        outcome, said = REFUSED, str(error)
    assert arena.state() == before
    assert outcome == case.outcome
    assert case.says in said
    assert open_below(arena.root.parent) == []


@pytest.mark.parametrize("case", [c for c in CASES if c.naive_escapes], ids=lambda case: case.name)
def test_the_canary_would_tell(case: Case, arena: Arena) -> None:
    """The same archives do reach it when an unpacker trusts them."""
    before = arena.state()
    with tarfile.open(fileobj=io.BytesIO(arena.archive(case))) as archive:
        with contextlib.suppress(OSError, tarfile.TarError, KeyError):
            archive.extractall(arena.root, filter="fully_trusted")
    assert arena.state() != before


def test_absolute_names_land_inside(tmp_path: Path) -> None:
    DirDriver().write([tar(file("/etc/x", b"in"))], tmp_path, [], SMALL)
    assert (tmp_path / "fs/etc/x").read_bytes() == b"in"


def test_foreign_attributes_are_dropped(tmp_path: Path) -> None:
    pax = {
        f"SCHILY.xattr.{name}": "y"
        for name in ("trusted.overlay.opaque", "security.selinux", "user.mine")
    }
    DirDriver().write([tar(folder("a", pax=pax))], tmp_path, [], SMALL)
    assert os.listxattr(tmp_path / "fs/a") == ["user.mine"]


def test_a_layer_deeper_than_there_are_descriptors(tmp_path: Path) -> None:
    deep = "/".join("d" * 500)
    DirDriver().write(
        [tar(file(f"{deep}/x", b"deep"), file(f"{deep}/y", b"deep"))],
        tmp_path,
        [],
        Limits(),
    )
    assert stat.S_ISREG((tmp_path / "fs" / deep / "y").lstat().st_mode)
