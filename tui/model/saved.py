"""Files that the dashboard writes at the user's wish."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from .log_merge import MARK


def state() -> Path:
    """$XDG_STATE_HOME/podarium."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "podarium"


def write(folder: str, name: str, suffix: str, data: Iterable[bytes]) -> Path:
    """Into a folder of `state()`. Raise OSError.

    A file of that name is never replaced; only the user can read the new one.
    """
    place = state() / folder
    place.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "_", name)[:200]
    for number in range(1000):
        file = place / f"{stem}{f'-{number}' if number else ''}{suffix}"
        try:
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        with open(fd, "wb") as out:
            out.writelines(data)
        return file
    raise FileExistsError(f"{place}: a thousand files are named {stem}")


def log(lines: Iterable[bytes]) -> Iterable[bytes]:
    """Lines as the container wrote them, their times before them."""
    return (line.replace(MARK, b" ", 1) + b"\n" for line in lines)
