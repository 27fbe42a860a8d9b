"""The store's durable half: one row per object, in SQLite, written by one thread.

`commit` returns only when the batch is on the disk (WAL, synchronous=FULL), so what it returned
from survives kill -9 and power loss. A batch is one transaction: all of it is there, or nothing.

Revisions are reserved ahead in blocks, because not every revision leaves a row (leases and events
stay in memory). A restart goes on from the end of the reserved block, so no revision that a client
may have seen is given twice.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

from engine.store.entry import Busy, Corrupt, Entry, Key, Unwritable

APPLICATION_ID = 0x504F4441  # "PODA": file(1) and we ourselves know the database by it
SCHEMA_VERSION = 1
RESERVE = 4096

_SCHEMA = """
CREATE TABLE object (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    revision INTEGER NOT NULL, checksum INTEGER NOT NULL, value BLOB NOT NULL,
    UNIQUE (resource, namespace, name)
);
CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 0), reserved INTEGER NOT NULL);
INSERT INTO counter VALUES (0, 0);
"""
_UPSERT = """
INSERT INTO object (resource, namespace, name, revision, checksum, value) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (resource, namespace, name) DO UPDATE
SET revision = excluded.revision, checksum = excluded.checksum, value = excluded.value
"""
_DELETE = "DELETE FROM object WHERE resource = ? AND namespace = ? AND name = ?"
_RESERVE = "UPDATE counter SET reserved = ?"
_LOAD = "SELECT resource, namespace, name, revision, checksum, value FROM object"

Write = tuple[Key, Entry | None]
"""An object's new state, or None when it is gone."""


class Journal:
    """An open database. Only one thread at a time may call its methods."""

    def __init__(self, path: Path) -> None:
        """Open or create; raise Busy, Corrupt, or Unwritable with the file's name."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # For its owner only: secrets lie inside. SQLite gives its other files the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            self._db = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False
            )
            self.reserved = self._prepare()
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _prepare(self) -> int:
        db = self._db
        # Exclusive: a second engine on this file must fail now, not corrupt it later.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        application, version = self._pragma("application_id"), self._pragma("user_version")
        if not application and not version and not self._tables():
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            db.execute("ROLLBACK")
            raise Corrupt(
                f"{self.path}: is not a podarium store of version {SCHEMA_VERSION}"
                f" (application {application:#x}, version {version}); move it away to start anew"
            )
        db.execute("COMMIT")
        (reserved,) = db.execute("SELECT reserved FROM counter").fetchone()
        return int(reserved)

    def load(self) -> Iterator[Entry]:
        """Every object as last committed; raise Corrupt when one is not what was written."""
        try:
            for resource, namespace, name, revision, checksum, value in self._db.execute(_LOAD):
                if crc32(value) != checksum:
                    raise Corrupt(
                        f"{self.path}: {resource} {namespace}/{name} at revision {revision} is"
                        " damaged (checksum differs); restore the file, or move it away"
                    )
                yield Entry(Key(resource, namespace, name), revision, value)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def commit(self, writes: Sequence[Write], revision: int) -> None:
        """Make `writes` durable, and every revision up to `revision` spent; else Unwritable."""
        reserved = self.reserved
        if revision > reserved - RESERVE // 2:
            reserved = revision + RESERVE
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for key, entry in writes:
                    if entry is None:
                        self._db.execute(_DELETE, key)
                    else:
                        value = entry.value
                        self._db.execute(_UPSERT, (*key, entry.revision, crc32(value), value))
                if reserved != self.reserved:
                    self._db.execute(_RESERVE, (reserved,))
                self._db.execute("COMMIT")
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._explain(error) from error
        self.reserved = reserved

    def close(self) -> None:
        """Fold the write-ahead log into the file, and let go of it."""
        self._db.close()

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    def _tables(self) -> bool:
        return bool(self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone())

    def _explain(self, error: sqlite3.Error) -> Busy | Corrupt | Unwritable:
        # The primary result code is the low byte: https://sqlite.org/rescode.html
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Busy(f"{self.path}: another engine has this store open")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return Corrupt(f"{self.path}: {error}; restore the file, or move it away to start anew")
        return Unwritable(f"{self.path}: {error}")
