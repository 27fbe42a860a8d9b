"""A folder whose files all change at once, as Kubernetes writes config maps, secrets and the like.

    volume/..2026_01_02_03_04_05.123/key     one version of all files
    volume/..data -> ..2026_01_02_03_04_05.123
    volume/key -> ..data/key

A reader that opened a file keeps reading its version; a new version appears by one rename(2) of the
link `..data`. Nothing is written when nothing changed.
"""

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

DATA = "..data"


class File(NamedTuple):
    content: bytes
    mode: int


def write(folder: Path, files: Mapping[str, File], *, gid: int | None = None) -> bool:
    """Make `folder` show exactly `files`, by relative path. Return whether anything changed.

    Files belong to group `gid` when one is given. Raise ValueError for a path that leaves the
    folder.
    """
    for path in files:
        _check(path)
    current = _current(folder)
    if current is not None and _holds(current, files):
        return False
    name = time.strftime("..%Y_%m_%d_%H_%M_%S", time.gmtime()) + f".{time.monotonic_ns()}"
    version = folder / name
    version.mkdir(mode=0o755)
    for path, file in files.items():
        _write(version / path, file, gid)
    link = folder / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    link.rename(folder / DATA)
    _show(folder, {path.split("/")[0] for path in files})
    if current is not None:
        shutil.rmtree(current)
    return True


def _check(path: str) -> None:
    parts = path.split("/")
    if path.startswith("..") or not all(parts) or ".." in parts or "." in parts:
        raise ValueError(f"path {path!r} must be relative, and neither contain nor begin with '..'")


def _current(folder: Path) -> Path | None:
    try:
        return folder / os.readlink(folder / DATA)
    except FileNotFoundError:
        return None


def _holds(version: Path, files: Mapping[str, File]) -> bool:
    there = {
        os.path.relpath(os.path.join(base, name), version)
        for base, _, names in os.walk(version)
        for name in names
    }
    return there == set(files) and all(
        (version / path).read_bytes() == file.content
        and (version / path).stat().st_mode & 0o7777 == file.mode
        for path, file in files.items()
    )


def _write(path: Path, file: File, gid: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(file.content)
        if gid is not None:
            os.fchown(descriptor, -1, gid)
        # After the owner: chown(2) clears the set-id bits, and the umask has no say here.
        os.fchmod(descriptor, file.mode)


def _show(folder: Path, names: set[str]) -> None:
    for entry in os.scandir(folder):
        if not entry.name.startswith("..") and entry.name not in names:
            os.unlink(entry.path)
    for name in names:
        if not os.path.lexists(folder / name):
            (folder / name).symlink_to(f"{DATA}/{name}")
