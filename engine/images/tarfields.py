"""The fields of tar headers and the records of extended ones: bytes to numbers, strictly. Pure.

Sources: POSIX.1-2017 pax(1), GNU tar manual "Basic Tar Format" and "Storing Sparse Files".
"""

from engine.images.errors import BadLayer

XATTR = b"SCHILY.xattr."
NS = 1_000_000_000


def checksum(header: bytes) -> int:
    return sum(header) - sum(header[148:156]) + 8 * 32


def signed_checksum(header: bytes) -> int:
    # Some old writers summed `char`, which was signed.
    high = sum(byte > 127 for byte in header[:148] + header[156:])
    return checksum(header) - 256 * high


def number(field: bytes, *, signed: bool = False) -> int:
    """An octal field, or GNU's base-256 (first bit set; two's complement)."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
            if not signed:
                raise BadLayer(f"negative number {value}")
        return value
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if not digits:
        return 0
    try:
        return int(digits, 8) if digits.isdigit() else -1 // 0
    except (ValueError, ZeroDivisionError):
        raise BadLayer(f"number {digits!r} is not octal") from None


def device(field: bytes) -> int:
    found = number(field)
    if found >= 1 << 20:
        raise BadLayer(f"device number {found} is out of range")
    return found


def records(data: bytes) -> dict[bytes, bytes]:
    """A PAX header: "LENGTH KEY=VALUE\\n", LENGTH counting itself."""
    found: dict[bytes, bytes] = {}
    position, end = 0, len(data)
    while position < end:
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > 0 else b""
        length = int(digits) if digits.isdigit() else 0
        stop = position + length
        if length < 5 or stop > end or data[stop - 1] != 0x0A:
            raise BadLayer("PAX header: wrong record length")
        key, equals, value = data[space + 1 : stop - 1].partition(b"=")
        if not equals or not key:
            raise BadLayer("PAX header: a record without '='")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            # Version 0.0 repeats them, 0.1 has them in one record.
            so_far = found.get(b"GNU.sparse.map", b"")
            key, value = b"GNU.sparse.map", so_far + b"," + value if so_far else value
        if value or key.startswith(XATTR):
            found[key] = value
        else:
            found.pop(key, None)  # an empty value takes the record back
        position = stop
    return found


def fields(table: bytes) -> list[int]:
    """The numbers of GNU's old sparse map: twelve bytes each, until one is empty."""
    found = []
    for at in range(0, len(table), 24):
        if not table[at + 12]:
            break
        found += [number(table[at : at + 12]), number(table[at + 12 : at + 24])]
    return found


def either(pax: dict[bytes, bytes], *keys: bytes) -> tuple[bytes, bytes]:
    key = next((key for key in keys if key in pax), keys[0])
    return key, pax.get(key, b"")


def decimal(key: bytes, value: bytes) -> int:
    if not value.isdigit() or len(value) > 19:
        raise BadLayer(f"PAX {key.decode()} {value[:40]!r} is not a number")
    return int(value)


def time(value: bytes) -> int:
    """Decimal seconds with an optional fraction, to nanoseconds."""
    negative = value.startswith(b"-")
    seconds, _, fraction = value.removeprefix(b"-").partition(b".")
    if not seconds.isdigit() or len(seconds) > 19 or (fraction and not fraction.isdigit()):
        raise BadLayer(f"PAX mtime {value[:40]!r} is not a time")
    nanoseconds = int(seconds) * NS + int((fraction + b"000000000")[:9])
    return -nanoseconds if negative else nanoseconds
