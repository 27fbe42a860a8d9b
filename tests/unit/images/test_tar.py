"""Archives: ours are read by tarfile, tarfile's by us, and ours by us, whatever is in them."""

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.images import tar
from engine.images.errors import BadLayer
from engine.images.tar import Entry, Limits, Reader
from engine.images.tarwriter import Writer

part = st.binary(min_size=1, max_size=255).filter(
    lambda p: b"/" not in p and b"\0" not in p and p not in (b".", b"..")
)
parts = st.lists(part, min_size=1, max_size=6).map(tuple)
link = st.binary(min_size=1, max_size=300).filter(lambda target: b"\0" not in target)
numbers = st.integers(0, 0xFFFFFFFE)
mtime = st.integers(-(10**18), 10**19 // 2)
key = st.binary(min_size=1, max_size=20).filter(lambda k: b"=" not in k and b"\0" not in k)
xattrs = st.dictionaries(key, st.binary(max_size=50), max_size=3).map(
    lambda d: tuple(sorted(d.items()))
)
body = st.binary(max_size=2000)


def with_meta(kind: bytes, **fields: object) -> st.SearchStrategy[Entry]:
    base = {"mode": st.integers(0, 0o7777), "uid": numbers, "gid": numbers, "mtime": mtime}
    return st.builds(Entry, parts=parts, kind=st.just(kind), xattrs=xattrs, **base, **fields)  # type: ignore[arg-type]


device = st.builds(os.makedev, st.integers(0, 4095), st.integers(0, (1 << 20) - 1))
entries = st.one_of(
    body.flatmap(lambda b: st.tuples(with_meta(tar.FILE, size=st.just(len(b))), st.just(b))),
    st.tuples(with_meta(tar.DIRECTORY), st.just(b"")),
    st.tuples(with_meta(tar.SYMLINK, link=link), st.just(b"")),
    st.tuples(with_meta(tar.HARDLINK, link=parts.map(b"/".join)), st.just(b"")),
    st.tuples(with_meta(tar.CHAR, device=device), st.just(b"")),
    st.tuples(with_meta(tar.FIFO), st.just(b"")),
)


def write(members: list[tuple[Entry, bytes]]) -> bytes:
    out = io.BytesIO()
    writer = Writer(out.write)
    for entry, data in members:
        writer.add(entry, [data] if data else [])
    writer.close()
    return out.getvalue()


def read(
    data: bytes, size: int = 1 << 20, limits: Limits | None = None
) -> list[tuple[Entry, bytes]]:
    reader = Reader([data[at : at + size] for at in range(0, len(data), size)], limits)
    return [(entry, reader.read(1 << 30)) for entry in reader]


@given(members=st.lists(entries, max_size=5), size=st.integers(1, 3000))
def test_what_is_written_is_read_again(members: list[tuple[Entry, bytes]], size: int) -> None:
    assert read(write(members), size) == members


@given(members=st.lists(entries, max_size=5))
def test_tarfile_reads_what_we_write(members: list[tuple[Entry, bytes]]) -> None:
    out = io.BytesIO(write(members))
    with tarfile.open(fileobj=out, errors="surrogateescape") as archive:
        check_with_tarfile(archive, members)


def check_with_tarfile(archive: tarfile.TarFile, members: list[tuple[Entry, bytes]]) -> None:
    found = archive.getmembers()
    assert len(found) == len(members)
    for info, (entry, data) in zip(found, members, strict=True):
        assert os.fsencode(info.name) == b"/".join(entry.parts)
        assert (info.type, info.mode, info.uid, info.gid) == (
            entry.kind,
            entry.mode,
            entry.uid,
            entry.gid,
        )
        if entry.kind in (tar.SYMLINK, tar.HARDLINK):
            assert os.fsencode(info.linkname) == entry.link
        if entry.kind == tar.FILE:
            extracted = archive.extractfile(info)
            assert extracted is not None
            assert extracted.read() == data


@given(
    name=st.text(
        st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=120
    ).filter(lambda n: n not in (".", "..") and len(n.encode()) <= 255),
    deep=st.integers(0, 3),
    uid=st.integers(0, 1 << 31),
    when=st.integers(0, 1 << 36),
    data=body,
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_we_read_what_tarfile_writes(
    name: str, deep: int, uid: int, when: int, data: bytes, form: int
) -> None:
    info = tarfile.TarInfo("/".join([name] * (deep + 1)))
    info.size, info.uid, info.mtime = len(data), uid, when
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        archive.addfile(info, io.BytesIO(data))
    ((entry, found),) = read(out.getvalue())
    assert entry.parts == (name.encode(),) * (deep + 1)
    assert (entry.uid, entry.mtime, found) == (uid, when * 10**9, data)


@given(data=st.binary(max_size=3000), size=st.integers(1, 600))
def test_rubbish_is_refused_or_read_but_never_breaks(data: bytes, size: int) -> None:
    try:
        read(data, size)
    except BadLayer:
        pass


@given(member=entries, at=st.integers(0, 511), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_header_is_noticed(
    member: tuple[Entry, bytes], at: int, bit: int
) -> None:
    data = bytearray(write([member]))
    data[at] ^= 1 << bit
    try:
        found = read(bytes(data))
    except BadLayer:
        return
    # The checksum's own field has bytes that say nothing: its padding.
    assert found == [member]


def test_the_same_entries_give_the_same_bytes() -> None:
    members = [(Entry((b"a" * 200,), tar.FILE, size=1, xattrs=((b"b", b""), (b"a", b"1"))), b"x")]
    turned = [(Entry((b"a" * 200,), tar.FILE, size=1, xattrs=((b"a", b"1"), (b"b", b""))), b"x")]
    assert write(members) == write(turned)


def test_a_body_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="2 bytes where 3 were announced"):
        Writer(lambda _: None).add(Entry((b"a",), tar.FILE, size=3), [b"xx"])


def test_a_body_that_is_not_read_is_skipped() -> None:
    first, second = Entry((b"a",), tar.FILE, size=1000), Entry((b"b",), tar.FILE, size=1)
    reader = Reader([write([(first, b"x" * 1000), (second, b"y")])])
    assert [entry.parts for entry in reader] == [(b"a",), (b"b",)]


def test_the_stream_is_read_to_its_end() -> None:
    """A diff id covers the bytes after the archive, too."""
    left = iter([write([]), b"after", b"the end"])
    list(Reader(left))
    assert next(left, None) is None


def test_an_archive_without_an_end_marker_is_whole() -> None:
    data = write([(Entry((b"a",), tar.FILE, size=1), b"x")])
    assert len(read(data[:-1024])) == 1


def test_a_directory_of_version_7() -> None:
    """Before ustar a directory was a file whose name ends in a slash."""
    header = bytearray(tarfile.TarInfo("d/").tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[257:265] = b"\0", bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    ((entry, _),) = read(bytes(header))
    assert entry.kind == tar.DIRECTORY


def test_limits_are_named() -> None:
    members = [(Entry((b"%d" % n,), tar.FILE, size=3), b"xyz") for n in range(4)]
    with pytest.raises(BadLayer, match="tar entry 4: more than 3 entries"):
        read(write(members), limits=Limits(entries=3))
    with pytest.raises(BadLayer, match="more than 8 bytes"):
        read(write(members), limits=Limits(total=8))


def pieces(data: bytes, size: int) -> tuple[Entry, bytes]:
    """The one file of an archive, its holes filled."""
    reader = Reader([data[at : at + size] for at in range(0, len(data), size)])
    found = []
    for entry in reader:
        whole = bytearray(entry.size)
        for at, length in entry.segments or ((0, entry.size),):
            came = bytearray()
            reader.copy(lambda view, came=came: came.extend(view) or len(view), length)  # type: ignore[misc]
            whole[at : at + length] = came
            if at == 0 and length:
                assert data[entry.offset : entry.offset + length] == came
        found.append((entry, bytes(whole)))
    ((entry, body),) = found
    return entry, body


@pytest.mark.parametrize("form", ["gnu", "posix 0.0", "posix 0.1", "posix 1.0"])
@pytest.mark.parametrize("holes", [1, 40])
def test_a_sparse_file_of_gnu_tar(tmp_path: Path, form: str, holes: int) -> None:
    body = bytearray(100_000 * holes + 7)
    for n in range(holes):
        body[100_000 * n : 100_000 * n + 5000] = os.urandom(5000)
    with open(tmp_path / "f", "wb") as file:
        file.truncate(len(body))
        for n in range(holes):
            os.pwrite(file.fileno(), body[100_000 * n : 100_000 * n + 5000], 100_000 * n)
    name, _, version = form.partition(" ")
    command = ["tar", "--sparse", "--hole-detection=raw", f"--format={name}", "-cf", "-", "f"]
    if version:
        command.insert(1, f"--sparse-version={version}")
    data = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    assert len(data) < 8192 * holes + 10240
    entry, found = pieces(data, 700)
    assert (entry.parts, entry.kind, len(entry.segments or ())) == ((b"f",), tar.FILE, holes + 1)
    assert found == body


@pytest.mark.parametrize(
    ("pax", "says"),
    [
        ({"map": "0,4,2,4", "size": "9"}, "overlap"),
        ({"map": "0,4,8,4", "size": "9"}, "do not fit"),
        ({"map": "0,4,8,5", "size": "99"}, "do not fit"),
        ({"map": "0,4,8", "size": "9"}, "3 numbers"),
        ({"map": "0,8", "size": "-1"}, "not a number"),
        ({"map": "0,8"}, "not a number"),
        ({"map": "0,8", "size": "99999999999999999999"}, "not a number"),
        ({"map": ",".join(["0,0"] * 200_000), "size": "9"}, "400000 numbers"),
        ({"major": "1", "realsize": "9"}, "cut short"),
    ],
)
def test_a_sparse_map_that_lies_is_refused(pax: dict[str, str], says: str) -> None:
    info = tarfile.TarInfo("f")
    info.size, info.pax_headers = 8, {f"GNU.sparse.{k}": v for k, v in pax.items()}
    data = info.tobuf(tarfile.PAX_FORMAT) + bytes(2048)
    with pytest.raises(BadLayer, match=says):
        read(data)


@given(size=st.integers(1, 700), rows=st.integers(0, 60))
def test_a_sparse_map_in_the_body_may_cross_blocks(size: int, rows: int) -> None:
    body = b"".join(b"%d\n" % n for n in [rows, *(m for n in range(rows) for m in (n * 9, 1))])
    body += bytes(-len(body) % 512) + b"x" * rows
    info = tarfile.TarInfo("GNUSparseFile.0/f")
    info.size = len(body)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "f"}
    info.pax_headers["GNU.sparse.realsize"] = str(9 * rows)
    data = info.tobuf(tarfile.PAX_FORMAT) + body + bytes(-len(body) % 512)
    entry, found = pieces(data, size)
    assert (entry.parts, found) == ((b"f",), b"x\0\0\0\0\0\0\0\0" * rows)


TOOLS = [
    ("tar --format=gnu", "tar"), ("tar --format=posix", "tar"), ("tar --format=ustar", "tar"),
    ("bsdtar --format=pax", "bsdtar"), ("bsdtar --format=gnutar", "bsdtar"),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "program"), TOOLS)
def test_other_archivers_write_what_we_read(tmp_path: Path, tool: str, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program} (Debian: libarchive-tools)")
    folder = tmp_path / "d"
    deep = folder / ("n" * 90) / "m"
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"body" * 999)
    os.link(deep / "f", folder / "hard")
    os.symlink("n" * 90, folder / "soft")
    os.utime(deep / "f", ns=(5, 1_500_000_000))
    (folder / "bad\udcff\n").touch(0o640)
    data = subprocess.run(
        [*tool.split(), "-cf", "-", "d"], cwd=tmp_path, check=True, capture_output=True
    ).stdout
    found = {b"/".join(entry.parts): (entry, body) for entry, body in read(data, 999)}
    for path in (folder, *folder.rglob("*")):
        entry, body = found.pop(os.fsencode(path.relative_to(tmp_path)))
        status = path.lstat()
        assert (entry.uid, entry.gid) == (status.st_uid, status.st_gid)
        assert entry.mtime // 10**9 == status.st_mtime_ns // 10**9
        if entry.kind == tar.FILE:
            assert body == path.read_bytes()
            assert entry.mode == status.st_mode & 0o7777
        elif entry.kind == tar.HARDLINK:
            assert (tmp_path / os.fsdecode(b"/".join(entry.target))).samefile(path)
        elif entry.kind == tar.SYMLINK:
            assert entry.link == os.fsencode(os.readlink(path))
        else:
            assert (entry.kind, path.is_dir()) == (tar.DIRECTORY, True)
    assert not found


def test_gnu_tar_and_bsdtar_read_what_we_write(tmp_path: Path) -> None:
    members = [
        (Entry((b"d" * 120,), tar.DIRECTORY, 0o755), b""),
        (Entry((b"d" * 120, b"f"), tar.FILE, 0o640, 5, 6, 4, 1_500_000_007), b"body"),
        (Entry((b"l",), tar.SYMLINK, 0o777, link=b"t" * 150), b""),
        (Entry((b"h",), tar.HARDLINK, link=b"d" * 120 + b"/f"), b""),
        (Entry((b"big",), tar.FILE, uid=1 << 22, size=0), b""),
    ]
    (tmp_path / "a.tar").write_bytes(write(members))
    for program in ("tar", "bsdtar"):
        if shutil.which(program) is None:
            continue
        target = tmp_path / program
        target.mkdir()
        command = [program, "--no-same-owner", "-xf", tmp_path / "a.tar", "-C", target]
        subprocess.run(command, check=True, capture_output=True)
        file = target / ("d" * 120) / "f"
        assert (file.read_bytes(), file.stat().st_mtime_ns) == (b"body", 1_500_000_007)
        assert os.readlink(target / "l") == "t" * 150
        assert (target / "h").samefile(file)
        assert (target / "big").exists()
