"""The files of one layer of a host image: what is copied from the host, and what is made up.

Copying is faithful to links: every link and directory on the way to a file comes along as it is. So
a merged /usr, /etc/alternatives, pyenv's and Nix's folders work without anybody knowing of them.
The directories on the way are always in the layer, so that it does not depend on those below.

The archive is the same bytes for the same files: sorted, of root, and with the time 0. Set-id bits
are dropped, and what only the host's owner may read becomes readable, since containers run as
anyone.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence

from engine.images.errors import ImageError
from engine.images.host import BIN, Host
from engine.images.tar import DIRECTORY, FILE, SYMLINK, Entry
from engine.images.tarwriter import Writer

_CHUNK = 1 << 20


class HostTree:
    """Collects a layer; `below` are the layers under it, whose files are not repeated."""

    def __init__(self, host: Host, below: Sequence["HostTree"] = ()) -> None:
        self.host = host
        self._below = below
        self._entries: dict[str, Entry] = {}
        self._sources: dict[str, str | bytes] = {}

    def has(self, path: str) -> bool:
        return path in self._entries or any(tree.has(path) for tree in self._below)

    def copy(self, path: str) -> None:
        """Add a host's file, link or directory (not what is in it), and the way to it."""
        steps, end = self.host.trail(path)
        if end is None:
            raise ImageError(f"{path}: is not there any more; try again")
        for step in steps:
            status = self.host.lstat(step)
            mode = status.st_mode if status else 0
            if stat.S_ISDIR(mode):
                if step not in self._entries:
                    self._put(step, DIRECTORY, stat.S_IMODE(mode) & 0o1777 | 0o555)
            elif self.has(step):
                continue
            elif stat.S_ISLNK(mode):
                self._put(step, SYMLINK, 0o777, link=os.fsencode(os.readlink(step)))
            elif stat.S_ISREG(mode):
                self._put(
                    step,
                    FILE,
                    stat.S_IMODE(mode) & 0o777 | 0o444,
                    size=status.st_size if status else 0,
                )
                self._sources[step] = step

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Add a directory of our own, over whatever mode a copy gave it."""
        self._put(self._place(path), DIRECTORY, mode)

    def data(self, path: str, data: bytes) -> None:
        """Add a file of our own."""
        path = self._place(path)
        self._put(path, FILE, 0o644, size=len(data))
        self._sources[path] = data

    def link(self, path: str, target: str) -> None:
        """Add a link of our own, unless the name is taken."""
        path = self._place(path)
        if not self.has(path):
            self._put(path, SYMLINK, 0o777, link=os.fsencode(target))

    def command(self, name: str, path: str) -> None:
        """See that a shell finds the copied program `path` under `name`."""
        if not any(self.has(f"{folder}/{name}") for folder in BIN):
            self.link(f"/usr/bin/{name}", path)

    def write(self, write: Callable[[bytes], object]) -> None:
        """Give the layer's archive to `write`. Raise ImageError when a file changed meanwhile."""
        writer = Writer(write)
        for path in sorted(self._entries):
            entry = self._entries[path]
            try:
                writer.add(entry, self._body(path))
            except ValueError:
                raise ImageError(f"{path}: changed while it was copied; try again") from None
        writer.close()

    def _body(self, path: str) -> Iterable[bytes]:
        source = self._sources.get(path, b"")
        return [source] if isinstance(source, bytes) else _read(source)

    def _place(self, path: str) -> str:
        """Where `path` lies when its folder is a copied link (/bin); its folders are there then."""
        folder, name = os.path.split(path)
        if folder == "/":
            return path
        entry = next(
            (t._entries[folder] for t in (self, *self._below) if folder in t._entries), None
        )
        if entry is not None and entry.kind == SYMLINK:
            folder = self.host.real(folder) or folder
        elif entry is None or folder not in self._entries:
            folder = self._place(folder)
            self._put(folder, DIRECTORY, entry.mode if entry else 0o755)
        return f"{folder}/{name}"

    def _put(self, path: str, kind: bytes, mode: int, link: bytes = b"", size: int = 0) -> None:
        parts = tuple(os.fsencode(path).strip(b"/").split(b"/"))
        self._entries[path] = Entry(parts, kind, mode, link=link, size=size)


def _read(path: str) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while chunk := os.read(descriptor, _CHUNK):
            yield chunk
    finally:
        os.close(descriptor)
