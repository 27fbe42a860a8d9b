"""SPDY frames: there and back, cut anywhere, and what is no frame."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stream import spdy
from engine.stream.socket import ProtocolError

ids = st.integers(1, 2**31 - 1)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
headers = st.dictionaries(words.map(str.lower).filter(lambda w: w == w.lower()), words, max_size=5)
frames = st.one_of(
    st.builds(spdy.SynStream, ids, headers, st.booleans()),
    st.builds(spdy.SynReply, ids, headers, st.booleans()),
    st.builds(spdy.MoreHeaders, ids, headers, st.booleans()),
    st.builds(spdy.Data, ids, st.binary(min_size=1, max_size=50), st.booleans()),
    st.builds(spdy.Reset, ids, st.integers(0, 11)),
    st.builds(spdy.Ping, st.integers(0, 2**32 - 1)),
    st.builds(spdy.GoAway, ids, st.integers(0, 2)),
    st.builds(spdy.WindowUpdate, ids, st.integers(1, 2**31 - 1)),
)


def whole(found: list[spdy.Frame]) -> list[spdy.Frame]:
    """Data comes in pieces; put those of one frame together again."""
    joined: list[spdy.Frame] = []
    for frame in found:
        last = joined[-1] if joined else None
        match last, frame:
            case spdy.Data(a, head, False), spdy.Data(b, rest, fin) if a == b:
                joined[-1] = spdy.Data(a, head + rest, fin)
            case _:
                joined.append(frame)
    return joined


@given(st.lists(frames, max_size=8), st.data())
def test_what_is_sent_arrives_however_it_is_cut(
    sent: list[spdy.Frame], data: st.DataObject
) -> None:
    encoder, decoder = spdy.Encoder(), spdy.Decoder()
    stream = b"".join(encoder.encode(frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    found: list[spdy.Frame] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[begin:end])
    assert whole(found) == whole(sent)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        list(spdy.Decoder().feed(data))
    except ProtocolError:
        pass


@given(st.lists(frames, min_size=1, max_size=3), st.data())
def test_damage_is_no_other_exception(sent: list[spdy.Frame], data: st.DataObject) -> None:
    encoder = spdy.Encoder()
    stream = bytearray(b"".join(encoder.encode(frame) for frame in sent))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= data.draw(st.integers(1, 255))
    try:
        list(spdy.Decoder().feed(bytes(stream)))
    except ProtocolError:
        pass


def test_the_dictionary_is_the_one_of_the_draft() -> None:
    """By the checksum that every zlib stream of SPDY/3 names (RFC 1950, DICTID)."""
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_bytes_of_a_syn_stream() -> None:
    frame = spdy.Encoder().encode(spdy.SynStream(1, {"StreamType": "error"}, True))
    version, kind, rest, stream, associated, slots = struct.unpack_from(">HHIIIH", frame)
    assert (version, kind, rest >> 24) == (0x8003, 1, 1)
    assert (stream, associated, slots) == (1, 0, 0)
    assert rest & 0xFFFFFF == len(frame) - 8
    block = zlib.decompressobj(zdict=spdy.DICTIONARY).decompress(frame[18:])
    name, value = b"streamtype", b"error"
    assert block == struct.pack(f">II{len(name)}sI{len(value)}s", 1, 10, name, 5, value)


def test_unknown_kinds_are_skipped() -> None:
    unknown = struct.pack(">HHI", 0x8003, 4, 3) + b"abc"
    ping = spdy.Encoder().encode(spdy.Ping(7))
    assert list(spdy.Decoder().feed(unknown + ping)) == [spdy.Ping(7)]


def test_another_version_and_too_much_are_refused() -> None:
    with pytest.raises(ProtocolError, match="version 2"):
        list(spdy.Decoder().feed(struct.pack(">HHI", 0x8002, 6, 4) + bytes(4)))
    with pytest.raises(ProtocolError, match="control frame of"):
        list(spdy.Decoder().feed(struct.pack(">HHI", 0x8003, 1, 0xFFFFFF)))
    squeezed = zlib.compressobj(zdict=spdy.DICTIONARY)
    block = squeezed.compress(bytes(1 << 24)) + squeezed.flush(zlib.Z_SYNC_FLUSH)
    bomb = struct.pack(">HHIIIH", 0x8003, 1, 10 + len(block), 1, 0, 0) + block
    with pytest.raises(ProtocolError, match="headers"):
        list(spdy.Decoder().feed(bomb))
