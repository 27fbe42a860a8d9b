"""Numbers as people read them: fixed width, few digits, one unit a column."""

from __future__ import annotations

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def cores(value: float) -> str:
    """CPU in cores, at most five characters below a hundred thousand."""
    digits = 2 if value < 9.995 else 1 if value < 999.95 else 0
    return f"{value:.{digits}f}"


def mebibytes(value: float) -> str:
    """Memory in MiB without the unit, for columns that name it."""
    size = value / MIB
    return f"{size:.1f}" if size < 999.95 else f"{size:.0f}"


def size(value: float) -> str:
    """Bytes in the unit that leaves at most four digits: 512B, 41.2Mi, 1.50Gi."""
    if value < KIB:
        return f"{value:.0f}B"
    for unit, name in ((KIB, "Ki"), (MIB, "Mi"), (GIB, "Gi")):
        if value < unit * 1023.5 or name == "Gi":
            amount = value / unit
            break
    if amount < 9.995:
        return f"{amount:.2f}{name}"
    return f"{amount:.1f}{name}" if amount < 99.95 else f"{amount:.0f}{name}"


def percent(fraction: float) -> str:
    """A fraction as a percentage without decimals."""
    return f"{fraction * 100:.0f}%"


def milliseconds(value: float) -> str:
    """A duration in ms, in s from a second on."""
    return f"{value:.0f} ms" if value < 999.5 else f"{value / 1000:.2f} s"


def plural(count: int, noun: str) -> str:
    """`1 pod`, `3 pods`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
