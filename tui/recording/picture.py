"""What is on screen, as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..themes.palette import DARK, PALETTES
from .svg import to_svg

if TYPE_CHECKING:
    from ..application import PodariumApp


def picture(app: PodariumApp, title: str = "podarium") -> str:
    """The screen on top, at its size."""
    palette = PALETTES.get(app.theme, DARK)
    strips = app.screen._compositor.render_strips()
    return to_svg(
        [list(strip) for strip in strips],
        app.size.width,
        title=title,
        background=palette.colours["background"],
        foreground=palette.colours["text"],
        bar=palette.colours["bar"],
    )
