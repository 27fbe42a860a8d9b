"""Palettes as Textual's themes, for the widgets that are Textual's own."""

from __future__ import annotations

from textual.theme import Theme

from .palette import PALETTES, Palette


def theme(palette: Palette) -> Theme:
    """The theme of a palette, with our colours as variables."""
    colours = palette.colours
    return Theme(
        name=palette.name,
        primary=colours["accent"],
        secondary=colours["violet"],
        accent=colours["accent"],
        warning=colours["warn"],
        error=colours["bad"],
        success=colours["ok"],
        foreground=colours["text"],
        background=colours["background"],
        surface=colours["background"],
        panel=colours["bar"],
        dark=palette.dark,
        variables={
            name: colours[name] for name in ("bar", "line", "focus", "dim", "bright", "track")
        },
    )


THEMES = [theme(palette) for palette in PALETTES.values()]
