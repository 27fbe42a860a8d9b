"""Where a saved log goes, and what is in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from .log_merge import MARK


def folder() -> Path:
    """$XDG_STATE_HOME/podarium/logs."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "podarium" / "logs"


def save(name: str, lines: Iterable[bytes]) -> Path:
    """Write lines as the container wrote them, their times before them. Raise OSError.

    A file of that name is never replaced; only the user can read the new one.
    """
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "_", name)[:200]
    for number in range(1000):
        file = place / f"{stem}{f'-{number}' if number else ''}.log"
        try:
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        with open(fd, "wb") as out:
            out.writelines(line.replace(MARK, b" ", 1) + b"\n" for line in lines)
        return file
    raise FileExistsError(f"{place}: a thousand files are named {stem}")
