"""How the interpreter is set up so that no key waits: the frame clock and the garbage collector.

At 60 frames a second the frame clock alone costs up to 16 ms between key and paint; it stands still
when nothing changes, so a fast clock costs nothing at rest. A full garbage collection takes 50 to
90 ms with ten thousand rows: it runs only while nobody types.
"""

from __future__ import annotations

import gc
import os

IDLE_SECONDS = 5.0
"""Seconds without input after which a full collection may run."""


def before_textual() -> None:
    """Call before Textual is imported: it reads its settings then. The user's own win."""
    os.environ.setdefault("TEXTUAL_FPS", "240")
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    gc.disable()


def after_first_paint() -> None:
    """Keep what start-up made out of later collections, and never collect in full by itself."""
    gc.collect()
    gc.freeze()
    # Objects that replace others hardly count, so far more than 500 are young by then: with 1,000
    # updates a second a middle collection takes 3 ms; after ten young ones it took 20.
    gc.set_threshold(500, 2, 1_000_000)
    gc.enable()


def when_idle() -> None:
    """One full collection."""
    gc.collect()
