"""Waiting for something in a folder to change, inside the event loop."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.linux.inotify import IN, inotify_add_watch, inotify_init1, read_events


@contextmanager
def changes(folder: Path, mask: IN) -> Iterator[asyncio.Event]:
    """An event that is set whenever one of `mask` happens in `folder`. Raise FileNotFoundError."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    fd = inotify_init1()

    def notice() -> None:
        read_events(fd)
        changed.set()

    try:
        inotify_add_watch(fd, os.fsencode(folder), mask)
        loop.add_reader(fd, notice)
        yield changed
    finally:
        loop.remove_reader(fd)
        os.close(fd)
