"""Palettes as Textual's themes, for the widgets that are Textual's own."""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES, Theme

from .palette import PALETTES, Palette


def theme(palette: Palette) -> Theme:
    """The theme of a palette, with our colours as variables."""
    own = palette.colours["background"].startswith("#")
    # Textual has names of its own for the terminal's colours.
    colours = {
        role: colour if own else f"ansi_{colour}" for role, colour in palette.colours.items()
    }
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
        ansi=not own,
        variables={
            name: colours[name] for name in ("bar", "line", "focus", "dim", "bright", "track")
        }
        | ({} if own else BUILTIN_THEMES["ansi-dark"].variables),
    )


def themes() -> list[Theme]:
    """One for each palette there is."""
    return [theme(palette) for palette in PALETTES.values()]
