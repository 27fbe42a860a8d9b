"""Waiting for something in folders to change, inside the event loop."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.linux.inotify import IN, inotify_add_watch, inotify_init1, read_events


@contextmanager
def changes(mask: IN, *folders: Path) -> Iterator[asyncio.Event]:
    """An event that is set whenever one of `mask` happens in a folder. Raise FileNotFoundError."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    fd = inotify_init1()

    def notice() -> None:
        read_events(fd)
        changed.set()

    try:
        for folder in folders:
            inotify_add_watch(fd, os.fsencode(folder), mask)
        loop.add_reader(fd, notice)
        yield changed
    finally:
        loop.remove_reader(fd)
        os.close(fd)
