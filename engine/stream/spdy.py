"""SPDY/3.1 as far as port-forward needs it: frames to bytes and back.

Header blocks are one zlib stream for each direction, so frames must be encoded in the order in
which they are sent (chromium.org: SPDY Protocol Draft 3.1). Kinds of frames that we do not know are
skipped, as the draft asks.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.stream.socket import ProtocolError

# Section 2.6.10.1: each word with its length before it, then plain text.
_WORDS = (
    b"options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|"
    b"accept-ranges|age|allow|authorization|cache-control|connection|content-base|"
    b"content-encoding|content-language|content-length|content-location|content-md5|"
    b"content-range|content-type|date|etag|expect|expires|from|host|if-match|if-modified-since|"
    b"if-none-match|if-range|if-unmodified-since|last-modified|location|max-forwards|pragma|"
    b"proxy-authenticate|proxy-authorization|range|referer|retry-after|server|te|trailer|"
    b"transfer-encoding|upgrade|user-agent|vary|via|warning|www-authenticate|method|get|status|"
    b"200 OK|version|HTTP/1.1|url|public|set-cookie|keep-alive|origin"
).split(b"|")
_TEXT = (
    b"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    b"203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Una"
    b"uthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service"
    b" UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, "
    b"Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,applicat"
    b"ion/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf"
    b"-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word for word in _WORDS) + _TEXT

_VERSION = 0x8003
_FIN, _UNIDIRECTIONAL = 1, 2
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY, _HEADERS, _WINDOW = 1, 2, 3, 6, 7, 8, 9
_STREAM_ID = 0x7FFFFFFF
_CONTROL_MAX = 64 * 1024
_HEADERS_MAX = 256 * 1024

PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5
"""What a Reset may say."""

Headers = Mapping[str, str]


@dataclass(frozen=True)
class SynStream:
    """A stream begins; `fin`: and its sender will say nothing more."""

    stream: int
    headers: Headers = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True)
class SynReply:
    """It is accepted."""

    stream: int
    headers: Headers = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True)
class MoreHeaders:
    """Of a stream that has begun."""

    stream: int
    headers: Headers = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True)
class Data:
    stream: int
    data: bytes = b""
    fin: bool = False


@dataclass(frozen=True)
class Reset:
    """The stream has ended in both directions."""

    stream: int
    status: int


@dataclass(frozen=True)
class Ping:
    """To be sent back as it is, by whoever did not choose its number."""

    id: int


@dataclass(frozen=True)
class GoAway:
    """No stream after `last` will be accepted."""

    last: int
    status: int = 0


@dataclass(frozen=True)
class WindowUpdate:
    """The reader of a stream has taken `delta` bytes."""

    stream: int
    delta: int


Frame = SynStream | SynReply | MoreHeaders | Data | Reset | Ping | GoAway | WindowUpdate


class Encoder:
    """One direction of a connection."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        match frame:
            case Data(stream, data, fin):
                return struct.pack(">II", stream, fin << 24 | len(data)) + data
            case SynStream(stream, headers, fin):
                block = self._block(headers)
                return _control(_SYN_STREAM, fin, struct.pack(">IIH", stream, 0, 0) + block)
            case SynReply(stream, headers, fin):
                block = self._block(headers)
                return _control(_SYN_REPLY, fin, struct.pack(">I", stream) + block)
            case MoreHeaders(stream, headers, fin):
                block = self._block(headers)
                return _control(_HEADERS, fin, struct.pack(">I", stream) + block)
            case Reset(stream, status):
                return _control(_RST_STREAM, 0, struct.pack(">II", stream, status))
            case Ping(id):
                return _control(_PING, 0, struct.pack(">I", id))
            case GoAway(last, status):
                return _control(_GOAWAY, 0, struct.pack(">II", last, status))
            case WindowUpdate(stream, delta):
                return _control(_WINDOW, 0, struct.pack(">II", stream, delta))

    def _block(self, headers: Headers) -> bytes:
        parts = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                parts += [struct.pack(">I", len(text)), text]
        return self._zlib.compress(b"".join(parts)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack(">HHI", _VERSION, kind, flags << 24 | len(body)) + body


class Decoder:
    """The other direction, from bytes cut anywhere. Data is given on as it comes, in pieces."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)
        self._rest = b""
        self._piece: tuple[int, int, bool] | None = None

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raise ProtocolError; nothing can be decoded after that."""
        rest = self._rest + data
        while True:
            if self._piece is not None:
                stream, left, fin = self._piece
                taken, rest = rest[:left], rest[left:]
                left -= len(taken)
                self._piece = (stream, left, fin) if left else None
                if taken or not left:
                    yield Data(stream, taken, fin and not left)
                if left:
                    break
            if len(rest) < 8:
                break
            first, second = struct.unpack_from(">II", rest)
            flags, length = second >> 24, second & 0xFFFFFF
            if not first >> 31:
                self._piece, rest = (first, length, bool(flags & _FIN)), rest[8:]
                continue
            if first >> 16 != _VERSION:
                raise ProtocolError(f"a frame of SPDY version {first >> 16 & 0x7FFF}, not 3")
            if length > _CONTROL_MAX:
                raise ProtocolError(f"a control frame of {length} bytes")
            if len(rest) < 8 + length:
                break
            body, rest = rest[8 : 8 + length], rest[8 + length :]
            frame = self._control(first & 0xFFFF, flags, body)
            if frame is not None:
                yield frame
        self._rest = rest

    def _control(self, kind: int, flags: int, body: bytes) -> Frame | None:
        fin = bool(flags & _FIN)
        try:
            match kind:
                case _ if kind == _SYN_STREAM:
                    (stream,) = struct.unpack_from(">I", body)
                    return SynStream(stream & _STREAM_ID, self._headers(body[10:]), fin)
                case _ if kind in (_SYN_REPLY, _HEADERS):
                    (stream,) = struct.unpack_from(">I", body)
                    made = SynReply if kind == _SYN_REPLY else MoreHeaders
                    return made(stream & _STREAM_ID, self._headers(body[4:]), fin)
                case _ if kind == _PING:
                    return Ping(*struct.unpack(">I", body))
                case _ if kind in (_RST_STREAM, _GOAWAY, _WINDOW):
                    stream, value = struct.unpack(">II", body)
                    return _PAIRS[kind](stream & _STREAM_ID, value)
        except struct.error as error:
            raise ProtocolError(f"a frame of kind {kind} that is too short") from error
        return None

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            text = self._zlib.decompress(block, _HEADERS_MAX)
        except zlib.error as error:
            raise ProtocolError(f"headers that cannot be inflated: {error}") from error
        if self._zlib.unconsumed_tail:
            raise ProtocolError(f"headers of more than {_HEADERS_MAX} bytes")
        (count,), at = struct.unpack_from(">I", text), 4
        headers = {}
        for _ in range(count):
            words = []
            for _ in range(2):
                (length,) = struct.unpack_from(">I", text, at)
                words.append(text[at + 4 : at + 4 + length])
                at += 4 + length
            if at > len(text):
                raise ProtocolError("headers that end too early")
            name, value = (word.decode(errors="replace") for word in words)
            headers[name] = value
        return headers


_PAIRS: Mapping[int, type[Reset | GoAway | WindowUpdate]] = {
    _RST_STREAM: Reset,
    _GOAWAY: GoAway,
    _WINDOW: WindowUpdate,
}
