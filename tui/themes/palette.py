"""Colours by meaning. Drawing code names roles; a palette says what they look like.

A palette has one colour per meaning and three scales of eight steps (cpu, memory, net) that go from
calm to hot. It knows nothing of Textual: the app derives its theme from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from rich.color import Color
from rich.style import Style

STEPS = 8


def _mix(left: str, right: str, share: float) -> str:
    a = [int(left[i : i + 2], 16) for i in (1, 3, 5)]
    b = [int(right[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in zip(a, b, strict=True))


def gradient(stops: tuple[str, ...], steps: int = STEPS) -> list[str]:
    """`steps` colours along the stops; of the terminal's own colours the nearest stop."""
    out = []
    for step in range(steps):
        position = step / (steps - 1) * (len(stops) - 1)
        index = min(len(stops) - 2, int(position))
        if not stops[0].startswith("#"):
            out.append(stops[round(position)])
            continue
        out.append(_mix(stops[index], stops[index + 1], position - index))
    return out


@dataclass(frozen=True)
class Palette:
    """What each role looks like."""

    name: str
    dark: bool
    colours: dict[str, str]
    """Colour by role; `background` and `text` are required."""
    scales: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def table(self) -> dict[str, str]:
        """Every colour by its role, the scales' steps included."""
        table = dict(self.colours)
        for name, stops in self.scales.items():
            table |= {f"{name}.{step}": colour for step, colour in enumerate(gradient(stops))}
        return table

    def style(self, role: str) -> Style:
        """The style of a role; KeyError names a colour that the palette lacks."""
        return _style(self, role)

    def __hash__(self) -> int:
        return hash(self.name)


@lru_cache(maxsize=4096)
def _style(palette: Palette, role: str) -> Style:
    table = palette.table()
    colour = table["text"]
    background = table["background"]
    flags = set()
    for word in role.split():
        if word.startswith("@"):
            background = table[word[1:]]
        elif word in ("bold", "italic", "underline", "strike", "reverse"):
            flags.add(word)
        else:
            colour = table[word]
    return Style(
        color=Color.parse(colour),
        bgcolor=Color.parse(background),
        bold="bold" in flags,
        italic="italic" in flags,
        underline="underline" in flags,
        strike="strike" in flags,
        reverse="reverse" in flags,
    )


DARK = Palette(
    "podarium",
    True,
    {
        "background": "#0c1219",
        "bar": "#141d28",
        "cursor": "#1d3b53",
        "cursor-idle": "#182633",
        "match": "#5a4a12",
        "glow": "#37402a",
        "track": "#1b2733",
        "line": "#2c3b4a",
        "focus": "#3fb6d8",
        "text": "#cfdae6",
        "bright": "#f2f7fb",
        "dim": "#8496a8",
        "faint": "#506173",
        "accent": "#58d1eb",
        "violet": "#b79bf5",
        "ok": "#5fd7a0",
        "warn": "#f5bf5b",
        "bad": "#ff7a7a",
        "busy": "#7db4ff",
        "done": "#8496a8",
        "grey": "#5d6f82",
        "limit": "#ffb454",
        "key": "#58d1eb",
        "ink": "#0c1219",
    },
    {
        "cpu": ("#1f9e8f", "#3fd0a8", "#c9d65a", "#ff7a6b"),
        "memory": ("#4f6fe0", "#8b7bf0", "#c782ee", "#ff7a9b"),
        "net": ("#2b7fb8", "#4fb4e8", "#9fdcff"),
        "pids": ("#9a7b2f", "#e0b04a", "#ffd98a"),
        "layer": ("#2f7fb5", "#3fa7a0", "#6fb55f", "#c9a94f", "#c07fb0"),
    },
)

LIGHT = Palette(
    "podarium-light",
    False,
    {
        "background": "#fbfaf7",
        "bar": "#eceae3",
        "cursor": "#cfe4ef",
        "cursor-idle": "#e6ecef",
        "match": "#f7e3a1",
        "glow": "#e9efc9",
        "track": "#e4e1d8",
        "line": "#c9c6bb",
        "focus": "#0c7ea3",
        "text": "#26323d",
        "bright": "#0b141c",
        "dim": "#5d6b78",
        "faint": "#97a1aa",
        "accent": "#0a6680",
        "violet": "#6b4bc4",
        "ok": "#166b42",
        "warn": "#7f5308",
        "bad": "#c22f36",
        "busy": "#2563c4",
        "done": "#5d6b78",
        "grey": "#8a949d",
        "limit": "#b4610a",
        "key": "#0a6680",
        "ink": "#fbfaf7",
    },
    {
        "cpu": ("#2aa595", "#2f9e6b", "#a89a1d", "#cf4438"),
        "memory": ("#4a63d4", "#7a5fd6", "#a54fc4", "#c93d6a"),
        "net": ("#7db9dd", "#3f93c9", "#1c6fa8"),
        "pids": ("#d9b969", "#b98a26", "#8d6510"),
        "layer": ("#3f8fc4", "#3f9f98", "#5f9f50", "#b08f30", "#a8689a"),
    },
)

CONTRAST = Palette(
    "podarium-contrast",
    True,
    DARK.colours
    | {
        "background": "#000000",
        "bar": "#101010",
        "cursor": "#004a7f",
        "text": "#ffffff",
        "bright": "#ffffff",
        "dim": "#c8c8c8",
        "faint": "#9a9a9a",
        "line": "#6a6a6a",
        # Red and green apart for every kind of colour vision (Okabe and Ito's set).
        "ok": "#56b4e9",
        "warn": "#f0e442",
        "bad": "#ff8c3a",
        "busy": "#cc9fff",
    },
    DARK.scales | {"cpu": ("#0072b2", "#56b4e9", "#f0e442", "#e69f00")},
)

SAFE = Palette(
    "podarium-safe",
    True,
    # Red and green apart for every kind of colour vision (Okabe and Ito's set).
    DARK.colours | {"ok": "#56b4e9", "warn": "#f0e442", "bad": "#ff8c3a", "busy": "#cc9fff"},
    DARK.scales | {"cpu": ("#0072b2", "#56b4e9", "#f0e442", "#e69f00")},
)

ANSI = Palette(
    "ansi",
    True,
    {
        # The terminal's own colours, whatever its user has made of them.
        "background": "default",
        "bar": "black",
        "cursor": "blue",
        "cursor-idle": "bright_black",
        "match": "magenta",
        "glow": "bright_black",
        "track": "bright_black",
        "line": "bright_black",
        "focus": "cyan",
        "text": "default",
        "bright": "bright_white",
        "dim": "white",
        "faint": "bright_black",
        "accent": "cyan",
        "violet": "magenta",
        "ok": "green",
        "warn": "yellow",
        "bad": "red",
        "busy": "bright_blue",
        "done": "white",
        "grey": "bright_black",
        "limit": "bright_yellow",
        "key": "cyan",
        "ink": "black",
    },
    {
        "cpu": ("cyan", "green", "yellow", "red"),
        "memory": ("blue", "bright_blue", "magenta", "bright_red"),
        "net": ("blue", "cyan", "bright_cyan"),
        "pids": ("yellow", "bright_yellow"),
        "layer": ("blue", "cyan", "green", "yellow", "magenta"),
    },
)

PALETTES = {palette.name: palette for palette in (DARK, LIGHT, CONTRAST, SAFE, ANSI)}
