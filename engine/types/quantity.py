"""Quantities: "250m" CPUs, "1.5Gi" bytes.

The grammar is Kubernetes': a signed decimal, then one of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or
an exponent. Arithmetic is exact (Decimal); rounding, where an integer is asked for, goes up, as in
Kubernetes.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

from engine.types.declare import Quantity

_SYNTAX = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d{1,3})|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)",
    re.ASCII,
)
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_SUFFIX = {
    **{s: Decimal(10) ** (3 * (i - 3)) for i, s in enumerate(("n", "u", "m", "", "k", "M", "G"))},
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    **{s: Decimal(1024) ** i for i, s in enumerate(_BINARY) if s},
}
_cache: dict[Quantity, Decimal] = {}
_CACHE_SIZE = 4096


class InvalidQuantity(ValueError):
    """Text that is not a quantity."""

    def __init__(self, text: object) -> None:
        super().__init__(
            f"quantity {text!r} must be a number with an optional suffix"
            " n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi or Ei"
        )


def parse(quantity: Quantity) -> Decimal:
    """The exact value. Raise InvalidQuantity naming the text."""
    value = _cache.get(quantity)
    if value is None or isinstance(quantity, bool):
        value = _parse(quantity)
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        _cache[quantity] = value
    return value


def _parse(quantity: Quantity) -> Decimal:
    if isinstance(quantity, bool):
        raise InvalidQuantity(quantity)
    match = _SYNTAX.fullmatch(str(quantity))
    if match is None:
        raise InvalidQuantity(quantity)
    number, exponent, suffix = match.groups()
    return Decimal(number + exponent) if exponent else Decimal(number) * _SUFFIX[suffix or ""]


def cores(quantity: Quantity) -> float:
    """CPUs as a float: "250m" -> 0.25."""
    return float(parse(quantity))


def milli(quantity: Quantity) -> int:
    """Thousandths, rounded up: "250m" -> 250, "1" -> 1000."""
    return int((parse(quantity) * 1000).to_integral_value(ROUND_CEILING))


def bytes_(quantity: Quantity) -> int:
    """Whole units, rounded up: "1Ki" -> 1024."""
    return int(parse(quantity).to_integral_value(ROUND_CEILING))


def format_bytes(value: float) -> str:
    """Bytes for people, three digits at most: 1536 -> "1.5Ki", 734003200 -> "700Mi"."""
    sign, size = ("-", -value) if value < 0 else ("", value)
    unit = 0
    # 1023.5 would be rounded to 1024 of a unit, which is 1 of the next.
    while size >= 1023.5 and unit < len(_BINARY) - 1:
        size /= 1024
        unit += 1
    text = f"{size:.0f}" if size >= 99.95 or not unit else f"{size:.1f}".removesuffix(".0")
    return f"{sign}{text}{_BINARY[unit]}"


def format_cpu(value: float) -> str:
    """CPUs for people: 0.25 -> "250m", 0 -> "0", 2 -> "2", 1.5 -> "1500m", 0.0004 -> "1m"."""
    thousandths = int((Decimal(repr(value)) * 1000).to_integral_value(ROUND_CEILING))
    if thousandths % 1000 == 0:
        return str(thousandths // 1000)
    return f"{thousandths}m"
