"""Streams: what is compressed comes out plain, and what is wrong does not come out in silence."""

import bz2
import gzip
import lzma
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.images import stream
from engine.images.errors import BadImage, BadLayer
from engine.images.types import Digest


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def plain(chunks: Iterable[bytes]) -> bytes:
    return b"".join(stream.inflated(chunks, "layer x"))


@given(data=st.binary(max_size=5000), size=st.integers(1, 700), members=st.integers(1, 3))
def test_gzip_of_any_number_of_members(data: bytes, size: int, members: int) -> None:
    packed = b"".join(gzip.compress(data, 1) for _ in range(members))
    assert plain(pieces(packed, size)) == data * members
    assert plain(pieces(packed + bytes(600), size)) == data * members


@given(data=st.binary(max_size=300), size=st.integers(1, 50))
def test_what_is_not_compressed_passes_through(data: bytes, size: int) -> None:
    data = b"t" + data
    assert plain(pieces(data, size)) == data


def test_a_bomb_comes_in_bounded_pieces() -> None:
    packed = gzip.compress(bytes(64 << 20))
    sizes = [len(chunk) for chunk in stream.inflated([packed], "x")]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= stream.CHUNK


@pytest.mark.parametrize("cut", [3, 12, 200, -1])
def test_gzip_cut_short(cut: int) -> None:
    packed = gzip.compress(os.urandom(1000))
    with pytest.raises(BadLayer, match=r"layer x: gzip stream is cut short"):
        plain([packed[:cut]])


def test_gzip_damaged() -> None:
    packed = bytearray(gzip.compress(b"x" * 1000))
    packed[-6] ^= 1
    with pytest.raises(BadLayer, match="layer x: damaged gzip"):
        plain([bytes(packed)])


def test_gzip_with_rubbish_after_it() -> None:
    with pytest.raises(BadLayer, match="gzip stream"):
        plain([gzip.compress(b"x") + b"rubbish"])


XZ = {"xz": lambda data: lzma.compress(data, preset=0), "bzip2": bz2.compress}


@given(
    data=st.binary(max_size=3000), size=st.integers(1, 700), streams=st.integers(1, 3),
    kind=st.sampled_from(sorted(XZ)),
)  # fmt: skip
def test_bzip2_and_xz_of_any_number_of_streams(
    data: bytes, size: int, streams: int, kind: str
) -> None:
    packed = XZ[kind](data) * streams
    assert plain(pieces(packed, size)) == data * streams
    assert plain([packed, bytes(8)]) == data * streams


@pytest.mark.parametrize("kind", sorted(XZ))
def test_bzip2_and_xz_that_are_not_whole(kind: str) -> None:
    packed = XZ[kind](os.urandom(3000))
    with pytest.raises(BadLayer, match=f"layer x: {kind} stream is cut short"):
        plain([packed[:-9]])
    with pytest.raises(BadLayer, match=f"layer x: {kind} stream is damaged"):
        plain([packed[:400] + b"rubbish" * 9 + packed[463:]])
    bomb = XZ[kind](bytes(40 << 20))
    assert max(len(chunk) for chunk in stream.inflated([bomb], "x")) <= stream.CHUNK


def test_an_xz_header_does_not_say_how_much_memory_is_taken() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    packed = bytearray(lzma.compress(b"x", filters=filters))
    with pytest.raises(BadLayer, match=r"damaged \(Memory usage limit"):
        plain([bytes(packed)])


def test_lz4_is_named() -> None:
    with pytest.raises(BadLayer, match="layer x: compressed with lz4"):
        plain([bytes.fromhex("04224d18") + bytes(20)])


# printf 'hello\n' | zstd -c; before it a skippable frame (RFC 8878, 3.1.2).
_ZSTD = bytes.fromhex("28b52ffd045831000068656c6c6f0a5388bd91")
_SKIPPED = bytes.fromhex("502a4d18 03000000 616263")


def test_zstd_works_or_says_what_is_missing() -> None:
    if stream.first_module("compression.zstd", "backports.zstd") is None:
        with pytest.raises(BadLayer, match=r"pip install backports\.zstd"):
            plain([_ZSTD])
        return
    assert plain(pieces(_ZSTD + _SKIPPED + _ZSTD, 3)) == b"hello\nhello\n"
    with pytest.raises(BadLayer, match="cut short"):
        plain([_ZSTD[:-5]])
    with pytest.raises(BadLayer, match="is damaged"):
        plain([_ZSTD[:-1] + b"x"])


def test_suffix() -> None:
    assert stream.suffix(gzip.compress(b"")) == "+gzip"
    assert stream.suffix(_ZSTD) == "+zstd"
    assert stream.suffix(b"etc/passwd") == ""


def check(data: bytes, digest: Digest, size: int) -> bytes:
    return b"".join(stream.verified(pieces(data, 7), digest, size, "blob x"))


@given(data=st.binary(max_size=100))
def test_verified_passes_what_is_right(data: bytes) -> None:
    assert check(data, Digest.of(data), len(data)) == data


@pytest.mark.parametrize(
    ("data", "size", "says"),
    [
        (b"x" * 20, 21, "1 of its 21 bytes are missing"),
        (b"x" * 20, 19, "longer"),
        (b"y" * 20, 20, "not"),
    ],
)
def test_verified_refuses_what_is_not(data: bytes, size: int, says: str) -> None:
    with pytest.raises(BadImage, match=f"blob x.*{says}"):
        check(data, Digest.of(b"x" * 20), size)


def test_a_diff_id_covers_the_bytes_after_the_archive() -> None:
    data = b"x" * 20
    assert b"".join(stream.verified_diff([data], Digest.of(data))) == data
    with pytest.raises(BadLayer, match="diff id"):
        list(stream.verified_diff([data, b"more"], Digest.of(data)))


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(os.urandom(1000))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert b"".join(stream.read(descriptor, 300)) == path.read_bytes()
    finally:
        os.close(descriptor)


@given(data=st.binary(max_size=500), size=st.integers(1, 50), depth=st.integers(1, 5))
def test_ahead_gives_the_same_chunks(data: bytes, size: int, depth: int) -> None:
    assert list(stream.ahead(pieces(data, size), depth)) == pieces(data, size)


def test_ahead_raises_what_went_wrong_after_what_went_well() -> None:
    def broken() -> Iterator[bytes]:
        yield b"well"
        raise BadLayer("broken")

    chunks = stream.ahead(broken())
    assert next(chunks) == b"well"
    with pytest.raises(BadLayer, match="broken"):
        next(chunks)


def test_ahead_stops_when_nobody_takes_any_more() -> None:
    ended = Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            ended.set()

    chunks = stream.ahead(endless())
    next(chunks)
    chunks.close()
    del chunks
    assert ended.wait(30)


def test_what_grows_as_no_archive_does_is_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LITTLE", 1 << 20)
    packed = gzip.compress(bytes(4 << 20))
    growth = stream.Expansion()
    with pytest.raises(BadLayer, match=r"\d+ bytes grew to more than \d+: a bomb"):
        list(growth.plain(stream.inflated(growth.packed([packed]), "x")))
    honest = stream.Expansion()
    list(honest.plain(stream.inflated(honest.packed([gzip.compress(os.urandom(3 << 20))]), "x")))
