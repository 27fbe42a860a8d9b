"""This machine's files as a host image sees them: every look is recorded.

The record is what the image was made from. If every look would give the same again (and a missing
file is a look, too), so would the image; that is how an unchanged one is recognised in
milliseconds.
"""

import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence

# Where a shell finds commands; the last is NixOS'.
BIN = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")
_NIX_BIN = "/run/current-system/sw/bin"
_LINKS = 40  # MAXSYMLINKS

# For files (kind, mode, size, mtime in ns); for what a listing was taken of also the time; None:
# missing.
Signature = tuple[int, ...] | None


class Host:
    """Looks at files by absolute path, and remembers what it saw."""

    def __init__(self) -> None:
        self._seen: dict[str, os.stat_result | None] = {}
        self._listed: set[str] = set()

    def lstat(self, path: str) -> os.stat_result | None:
        """None when it is not there."""
        if path not in self._seen:
            try:
                self._seen[path] = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                self._seen[path] = None
        return self._seen[path]

    def real(self, path: str) -> str | None:
        """The path with its links followed; None when it leads nowhere."""
        return self.trail(path)[1]

    def trail(self, path: str) -> tuple[list[str], str | None]:
        """Every directory and link on the way to `path`, as it is; and where the way ends.

        Raise OSError when links go in circles.
        """
        steps: list[str] = []
        current, todo, links = "", list(reversed(path.split("/"))), 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                current = os.path.dirname(current)
                continue
            step = f"{current}/{part}"
            status = self.lstat(step)
            if status is None:
                return steps, None
            steps.append(step)
            if not stat.S_ISLNK(status.st_mode):
                current = step
                continue
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(step)
            if target.startswith("/"):
                current = ""
            todo.extend(reversed(target.split("/")))
        return steps, current or "/"

    def is_file(self, path: str) -> bool:
        real = self.real(path)
        status = self.lstat(real) if real else None
        return status is not None and stat.S_ISREG(status.st_mode)

    def list(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        self._listed.add(path)
        self.lstat(path)
        return sorted(os.listdir(path))

    def which(self, name: str, first: Sequence[str] = ()) -> str | None:
        """Where a command is; `first` are the folders where one looks before the usual ones."""
        if not name:
            return None
        for folder in (*first, *BIN, _NIX_BIN):
            path = f"{folder}/{name}"
            if self.is_file(path) and os.access(path, os.X_OK):
                return path
        return None

    def record(self) -> dict[str, Signature]:
        return {path: _signature(s, path in self._listed) for path, s in self._seen.items()}


def unchanged(record: Mapping[str, Iterable[int] | None]) -> bool:
    """Whether every look of a record would be the same now."""
    for path, then in record.items():
        signature = tuple(then) if then is not None else None
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            if signature is not None:
                return False
            continue
        if _signature(status, signature is not None and len(signature) == 3) != signature:
            return False
    return True


def _signature(status: os.stat_result | None, listed: bool) -> Signature:
    if status is None:
        return None
    if stat.S_ISREG(status.st_mode):
        return (status.st_mode, status.st_size, status.st_mtime_ns, 0)
    if listed:
        return (status.st_mode, 0, status.st_mtime_ns)
    if stat.S_ISLNK(status.st_mode):
        return (status.st_mode, status.st_size, status.st_mtime_ns, 0)
    # A directory one only passes through may get new files at any time.
    return (status.st_mode, 0)
