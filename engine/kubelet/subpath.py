"""Folders of a volume that a subPath names, made where missing.

What lies in a volume is the containers': a folder on the way may be swapped for a symlink to the
machine's files (CVE-2017-1002101, CVE-2021-25741). So every step is resolved as if the volume were
the root, here as in the mount itself.
"""

import os
from pathlib import Path

from engine.kubelet.downward import ConfigError
from engine.linux.path import openat2

MODE = 0o750


def parts_of(path: str) -> list[str]:
    """The steps of a subPath. Raise ConfigError for one that is absolute or has '..'."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts:
        raise ConfigError(f"subPath {path!r} must be relative and must not contain '..'")
    return parts


def ensure(volume: Path, path: str) -> None:
    """Make `path` in the volume, as folders, as far as it is missing. Raise OSError."""
    root = folder = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        walked = b""
        for part in parts_of(path):
            walked += b"/" + os.fsencode(part)
            below = _step(root, folder, walked)
            if folder != root:
                os.close(folder)
            folder = below
    finally:
        if folder != root:
            os.close(folder)
        os.close(root)


def _step(root: int, folder: int, walked: bytes) -> int:
    """A descriptor of `walked` in `root`; its last part is made in `folder` where missing."""
    try:
        return openat2(root, walked, os.O_PATH)
    except FileNotFoundError:
        os.mkdir(os.path.basename(walked), MODE, dir_fd=folder)
        return openat2(root, walked, os.O_PATH)
