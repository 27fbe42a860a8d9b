"""Which images there are, under which names, and which blobs and layers each needs: in SQLite.

Several processes share it: write-ahead log, a busy timeout, and one immediate transaction for each
change. A row is written after what it names is in place, and removed before it goes; so rows never
promise what is not there. The documents themselves are blobs; this only holds the edges between
them.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.images.errors import ImageError
from engine.images.types import Digest

_SCHEMA = """
CREATE TABLE images (digest TEXT PRIMARY KEY, config TEXT NOT NULL, size INTEGER NOT NULL);
CREATE TABLE layers (
    image TEXT NOT NULL REFERENCES images ON DELETE CASCADE,
    position INTEGER NOT NULL,
    blob TEXT NOT NULL,
    diff_id TEXT NOT NULL,
    chain_id TEXT NOT NULL,
    PRIMARY KEY (image, position)
) WITHOUT ROWID;
CREATE TABLE refs (name TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images);
CREATE INDEX refs_image ON refs (image);
CREATE INDEX images_config ON images (config);
PRAGMA user_version = 1;
"""
_LEASES = """
CREATE TABLE leases (
    holder TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (holder, digest)
) WITHOUT ROWID;
PRAGMA user_version = 2;
"""
_VERSIONS = (_SCHEMA, _LEASES)
_BUSY_SECONDS = 30
_FULL = sqlite3.SQLITE_FULL


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image's edges. A layer is (blob, diff id, chain id); the lowest comes first."""

    digest: Digest
    config: Digest
    size: int
    layers: tuple[tuple[Digest, Digest, Digest], ...]

    @property
    def blobs(self) -> set[Digest]:
        return {self.digest, self.config, *(blob for blob, _, _ in self.layers)}

    @property
    def keys(self) -> set[Digest]:
        """What its layers may be kept under."""
        return {key for _, *keys in self.layers for key in keys}


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything some image needs, or somebody has on lease."""

    blobs: frozenset[str]
    layers: frozenset[str]


class Catalog:
    """The database file `path`, made when it is not there."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        with self._transaction():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            for schema in _VERSIONS[version:]:
                for statement in schema.split(";"):
                    self._db.execute(statement)

    def close(self) -> None:
        self._db.close()

    def names(self) -> dict[str, Digest]:
        """Every full reference and the manifest it stands for, by name."""
        with self._lock:
            rows = self._db.execute("SELECT name, image FROM refs ORDER BY name").fetchall()
        return {name: Digest(image) for name, image in rows}

    def find(self, name: str) -> Digest | None:
        return self._one("SELECT image FROM refs WHERE name = ?", name)

    def find_digest(self, digest: Digest) -> Digest | None:
        """The manifest with this digest, or whose config has it (Docker's image id)."""
        return self._one(
            "SELECT digest FROM images WHERE digest = ? OR config = ?", str(digest), str(digest)
        )

    def name_of(self, digest: Digest) -> str | None:
        """A reference of an image, the first in order."""
        with self._lock:
            row = self._db.execute(
                "SELECT name FROM refs WHERE image = ? ORDER BY name LIMIT 1", (str(digest),)
            ).fetchone()
        return row[0] if row else None

    def put(self, name: str, image: ImageRow, then: Callable[[dict[str, Digest]], None]) -> None:
        """Let `name` stand for `image`. `then` sees all names before the change is committed."""
        with self._transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO images VALUES (?, ?, ?)",
                (str(image.digest), str(image.config), image.size),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO layers VALUES (?, ?, ?, ?, ?)",
                [(str(image.digest), n, *map(str, layer)) for n, layer in enumerate(image.layers)],
            )
            self._db.execute("INSERT OR REPLACE INTO refs VALUES (?, ?)", (name, str(image.digest)))
            then(self._names())

    def remove(self, name: str, then: Callable[[dict[str, Digest]], None]) -> bool:
        """Forget a name; False when it is not there."""
        with self._transaction():
            removed = self._db.execute("DELETE FROM refs WHERE name = ?", (name,)).rowcount > 0
            if removed:
                then(self._names())
        return removed

    def prune(self, holders: Iterable[str]) -> None:
        """Forget the images that have no name, and the leases of others than these holders."""
        with self._transaction():
            self._db.execute("DELETE FROM images WHERE digest NOT IN (SELECT image FROM refs)")
            known = {row[0] for row in self._db.execute("SELECT holder FROM leases")}
            gone = [(holder,) for holder in known - set(holders)]
            self._db.executemany("DELETE FROM leases WHERE holder = ?", gone)

    def needed(self, holders: Iterable[str]) -> Kept:
        """What the images that have a name need, and what these holders have on lease."""
        with self._lock:
            rows = self._db.execute("SELECT holder, digest FROM leases").fetchall()
        living = set(holders)
        leased = {digest for holder, digest in rows if holder in living}
        images = self.edges().values()
        blobs = {str(blob) for image in images for blob in image.blobs}
        layers = {str(key) for image in images for key in image.keys}
        return Kept(frozenset(blobs | leased), frozenset(layers | leased))

    def edges(self) -> dict[Digest, ImageRow]:
        """Every image that has a name."""
        layers: dict[str, list[tuple[Digest, Digest, Digest]]] = {}
        with self._lock:
            images = self._db.execute(
                "SELECT digest, config, size FROM images WHERE digest IN (SELECT image FROM refs)"
            ).fetchall()
            rows = self._db.execute(
                "SELECT image, blob, diff_id, chain_id FROM layers ORDER BY image, position"
            ).fetchall()
        for image, blob, diff_id, chain_id in rows:
            layers.setdefault(image, []).append((Digest(blob), Digest(diff_id), Digest(chain_id)))
        return {
            Digest(d): ImageRow(Digest(d), Digest(config), size, tuple(layers.get(d, ())))
            for d, config, size in images
        }

    def lease(self, holder: str, digests: Iterable[Digest]) -> None:
        """Keep blobs and layers for a holder, whether an image needs them or not."""
        with self._transaction():
            rows = [(holder, str(digest)) for digest in digests]
            self._db.executemany("INSERT OR IGNORE INTO leases VALUES (?, ?)", rows)

    def release(self, holder: str) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM leases WHERE holder = ?", (holder,))

    def _names(self) -> dict[str, Digest]:
        rows = self._db.execute("SELECT name, image FROM refs ORDER BY name").fetchall()
        return {name: Digest(image) for name, image in rows}

    def _one(self, query: str, *arguments: str) -> Digest | None:
        with self._lock:
            row = self._db.execute(query, arguments).fetchone()
        return Digest(row[0]) if row else None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error) and error.sqlite_errorcode == _FULL:
                    raise ImageError("the image store's catalog: no space left") from error
                raise
