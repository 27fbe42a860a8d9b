"""What steps made, by what they were made of.

    build/cache.sqlite      step's key -> its layer, and when it was made
    build/layers/<hex>      those layers: hard links of blobs, so that they outlive their image

A key says everything that a step depends on, and only local builds write here: an image that was
pulled is never taken for the result of a step (CVE-2024-24557). A row is written after its layer is
in place, and believed only while that is.
"""

import os
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from engine.images.blobs import BlobStore
from engine.images.staging import locked
from engine.images.types import Digest

_SCHEMA = """
CREATE TABLE IF NOT EXISTS steps (
    key TEXT PRIMARY KEY, layer TEXT, created TEXT NOT NULL, used REAL NOT NULL
) WITHOUT ROWID
"""
SIZE_MAX = 8 << 30
_BUSY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Known:
    """A step's result: `layer` is None when it changed no file."""

    layer: Digest | None
    created: str


class BuildCache:
    """The cache beside the store at `root`."""

    def __init__(self, root: Path, blobs: BlobStore) -> None:
        self._layers = root / "build" / "layers"
        self._layers.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._blobs = blobs
        self._lock = threading.Lock()
        with locked(root / "locks" / "catalog"):  # SQLite does not wait for who makes a WAL
            self._db = sqlite3.connect(
                root / "build" / "cache.sqlite",
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def find(self, key: str) -> Known | None:
        """What the step made; its layer is in the store again. Call it within store.busy()."""
        with self._lock:
            row = self._db.execute(
                "SELECT layer, created FROM steps WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            layer = Digest(row[0]) if row[0] else None
            if layer is not None and not self._bring_back(layer):
                return None
            self._db.execute("UPDATE steps SET used = ? WHERE key = ?", (time.time(), key))
        return Known(layer, row[1])

    def put(self, key: str, known: Known) -> None:
        """Remember a result, whose layer is in the store."""
        with self._lock:
            if known.layer is not None:
                _link(self._blobs.path(known.layer), self._layers / known.layer.hex)
            self._db.execute(
                "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)",
                (key, str(known.layer) if known.layer else None, known.created, time.time()),
            )

    def shrink(self, size: int = SIZE_MAX) -> None:
        """Forget what was not used for longest, until the layers are at most `size` bytes."""
        with self._lock:
            rows = self._db.execute(
                "SELECT layer, max(used) FROM steps WHERE layer NOT NULL GROUP BY layer"
                " ORDER BY 2 DESC"
            ).fetchall()
            kept: set[str] = set()
            for layer, _ in rows:
                path = self._layers / Digest(layer).hex
                size -= path.stat().st_size if path.exists() else 0
                if size >= 0:
                    kept.add(path.name)
                else:
                    self._db.execute("DELETE FROM steps WHERE layer = ?", (layer,))
            for name in set(os.listdir(self._layers)) - kept:
                (self._layers / name).unlink(missing_ok=True)

    def _bring_back(self, layer: Digest) -> bool:
        if self._blobs.has(layer):
            return True
        try:
            _link(self._layers / layer.hex, self._blobs.path(layer))
        except FileNotFoundError:
            return False
        return True


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        pass
