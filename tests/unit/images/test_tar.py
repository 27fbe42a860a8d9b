"""Archives: ours are read by tarfile, tarfile's by us, and ours by us, whatever is in them."""

import io
import os
import tarfile

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
    st.tuples(with_meta(tar.HARDLINK, link=link), st.just(b"")),
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
