"""A subPath of a volume, as something that can be mounted without trusting the volume.

What lies in a volume is the containers': a folder on the way may be swapped for a symlink to the
machine's files between a look and the mount (CVE-2017-1002101, CVE-2021-25741). So the path is
resolved once, below the volume, into a descriptor, and the mount's source is that descriptor.
"""

import os
from contextlib import ExitStack
from pathlib import Path

from engine.kubelet.downward import ConfigError
from engine.linux.path import openat2

MODE = 0o750


def descriptor_of(volume: Path, path: str, held: ExitStack) -> str:
    """/proc/PID/fd/N of what `path` names in the volume, good until `held` is closed.

    A missing path is made, as a folder. Raise ConfigError for a path that leaves the volume.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts:
        raise ConfigError(f"subPath {path!r} must be relative and must not contain '..'")
    if volume.is_file():
        raise ConfigError(f"subPath {path!r}: the volume is a file")
    fd = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    root = os.dup(fd)
    held.callback(os.close, root)
    walked = ""
    for part in parts:
        walked += "/" + part
        below = _step(root, fd, walked, part)
        os.close(fd)
        fd = below
    held.callback(os.close, fd)
    return f"/proc/{os.getpid()}/fd/{fd}"


def _step(root: int, folder: int, walked: str, name: str) -> int:
    """Open `walked` below `root`; its last part is made in `folder` where missing."""
    try:
        return openat2(root, walked.encode(), os.O_PATH)
    except FileNotFoundError:
        os.mkdir(name, MODE, dir_fd=folder)
        return openat2(root, walked.encode(), os.O_PATH)
