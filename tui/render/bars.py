"""Horizontal bars with an eighth of a cell's resolution, on a track, with a tick at the limit."""

from __future__ import annotations

from .spans import Line, Span

_PARTS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
STEPS = 8


def heat(scale: str, fraction: float) -> str:
    """The colour of a value within its scale: `cpu.0` (calm) to `cpu.7` (at the limit)."""
    return f"{scale}.{min(STEPS - 1, max(0, int(fraction * STEPS)))}"


def bar(fraction: float, width: int, scale: str, *, tick: float | None = None) -> Line:
    """A bar filled to `fraction` (cut at 1) with a tick at the fraction `tick`."""
    fraction = min(1.0, max(0.0, fraction if fraction == fraction else 0.0))
    eighths = round(fraction * width * 8)
    if fraction > 0 and eighths == 0:
        eighths = 1
    full, part = divmod(eighths, 8)
    role = f"{heat(scale, fraction)} @track"
    text = "█" * full + _PARTS[part]
    text += " " * (width - len(text))
    if tick is None:
        return ((text, role),)
    at = min(width - 1, max(0, round(tick * width) - 1))
    mark: Span = ("▕", f"limit {'@' + heat(scale, fraction) if at < full else '@track'}")
    return tuple(span for span in ((text[:at], role), mark, (text[at + 1 :], role)) if span[0])


def slim(
    fraction: float, width: int, scale: str, *, tick: float | None = None, role: str = ""
) -> Line:
    """A thin bar for dense lists, of half a cell's resolution, with a tick at a fraction.

    `role` is a colour of its own, instead of one of the scale's.
    """
    fraction = min(1.0, max(0.0, fraction if fraction == fraction else 0.0))
    halves = round(fraction * width * 2)
    if fraction > 0 and halves == 0:
        halves = 1
    full, half = divmod(halves, 2)
    text = "━" * full + "╸" * half
    role = role or heat(scale, fraction)
    spans: tuple[Span, ...]
    if tick is None:
        spans = ((text, role), ("━" * (width - len(text)), "track"))
    else:
        at = min(width - 1, max(0, round(tick * width) - 1))
        spans = (
            (text[:at], role),
            ("━" * (at - len(text)), "track"),
            ("┿", "limit"),
            (text[at + 1 :], role),
            ("━" * (width - max(len(text), at + 1)), "track"),
        )
    return tuple(span for span in spans if span[0])


def stacked(parts: list[tuple[float, str]], width: int) -> Line:
    """Shares of a whole (fractions with a colour each) side by side, the rest is track."""
    spans: list[Span] = []
    used = 0
    total = 0.0
    for fraction, role in parts:
        total += max(0.0, fraction)
        end = min(width, max(used + (fraction > 0.005), round(total * width)))
        if end > used:
            spans.append(("█" * (end - used), f"{role} @track"))
            used = end
    if used < width:
        spans.append((" " * (width - used), "@track"))
    return tuple(spans)
