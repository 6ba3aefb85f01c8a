"""The manifest: a SQLite file with every video, I-frame, score and decision. It is what makes each step resumable.

A video's I-frames and scores enter in one transaction, so a killed run has whole videos or nothing of them.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vsapisr.errors import ArgumentError, ClipError

VERSION = 1
SCHEMA = """
CREATE TABLE videos (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL,           -- of its content; the first 8 digits name its frames
    status TEXT NOT NULL CHECK (status IN ('scanned', 'refused')),
    reason TEXT,                         -- why it was refused
    notes TEXT,                          -- damage met while reading
    codec TEXT, width INTEGER, height INTEGER, duration REAL, packets INTEGER,
    sheet TEXT                           -- digest of what its contact sheet shows
);
CREATE TABLE frames (
    id INTEGER PRIMARY KEY,
    video INTEGER NOT NULL REFERENCES videos ON DELETE CASCADE,
    packet INTEGER NOT NULL,             -- position in coded order
    pts INTEGER, time REAL NOT NULL, bytes INTEGER NOT NULL, gop INTEGER NOT NULL,
    fault TEXT,
    width INTEGER NOT NULL, height INTEGER NOT NULL,
    bar_top INTEGER NOT NULL, bar_bottom INTEGER NOT NULL, bar_left INTEGER NOT NULL, bar_right INTEGER NOT NULL,
    hash TEXT NOT NULL, brightness REAL NOT NULL, spread REAL NOT NULL, credits REAL NOT NULL,
    thumbnail BLOB NOT NULL,             -- JPEG
    UNIQUE (video, packet)
);
CREATE TABLE scores (
    frame INTEGER NOT NULL REFERENCES frames ON DELETE CASCADE,
    scorer TEXT NOT NULL,
    score REAL NOT NULL,
    PRIMARY KEY (frame, scorer)
) WITHOUT ROWID;
CREATE TABLE scans (                     -- which scorer has seen a video, and every how many-th I-frame of it
    video INTEGER NOT NULL REFERENCES videos ON DELETE CASCADE,
    scorer TEXT NOT NULL, stride INTEGER NOT NULL,
    PRIMARY KEY (video, scorer)
) WITHOUT ROWID;
CREATE TABLE decisions (                 -- of the last selection
    frame INTEGER PRIMARY KEY REFERENCES frames ON DELETE CASCADE,
    selected INTEGER NOT NULL,
    reason TEXT NOT NULL,
    crop_top INTEGER NOT NULL, crop_bottom INTEGER NOT NULL, crop_left INTEGER NOT NULL, crop_right INTEGER NOT NULL
);
CREATE TABLE files (                     -- pictures written; the row follows the file
    name TEXT PRIMARY KEY,
    frame INTEGER REFERENCES frames ON DELETE SET NULL,
    crop TEXT NOT NULL,
    full_height INTEGER NOT NULL         -- of the frame before its bars were cut
);
CREATE TABLE prepared (                  -- by the step prepare; the row follows the file
    target TEXT NOT NULL, name TEXT NOT NULL,
    source TEXT NOT NULL,                -- fingerprint of the picture
    settings TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('written', 'rejected')),
    reason TEXT,
    width INTEGER, height INTEGER,
    PRIMARY KEY (target, name)
) WITHOUT ROWID;
"""


def fingerprint(path: Path, edge: int = 1 << 20) -> str:
    """SHA-256 of a file's size, first and last MiB, 32 hexadecimal digits: the same for a renamed or moved file."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        digest.update(file.read(edge))
        if size > edge:
            file.seek(max(edge, size - edge))
            digest.update(file.read(edge))
    return digest.hexdigest()[:32]


def identify(path: Path, name: str) -> str:
    """:func:`fingerprint` of a file that the manifest will know by ``name``.

    Raises:
        ClipError: it cannot be read, or SQLite cannot hold its name.
    """
    if name != shown(name):
        raise ClipError("its name is not UTF-8; rename it")
    try:
        return fingerprint(path)
    except OSError as error:
        raise ClipError(f"cannot be read: {error.strerror or error}") from None


def shown(name: str | Path) -> str:
    """A file's name for people: bytes that are not UTF-8, which no terminal prints, as \\x83."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class Manifest:
    """Open manifest; ``with manifest.transaction(): ...`` groups changes so that all or none of them happen.

    Raises:
        ArgumentError: the file is not a manifest, or one of another version.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.db = sqlite3.connect(path, timeout=60, isolation_level=None)  # transactions are begun by hand
        self.db.row_factory = sqlite3.Row
        try:
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = NORMAL")  # in WAL: a power cut may cost the last video, nothing else
            self.db.execute("PRAGMA foreign_keys = ON")
            with self.transaction():
                self._prepare_schema()
        except sqlite3.DatabaseError as error:
            self.db.close()
            raise ArgumentError(f"manifest {str(path)!r} cannot be used: {error}") from None

    def _prepare_schema(self) -> None:
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not self.db.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in SCHEMA.split(";\n"):
                self.db.execute(statement)
            self.db.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"version {version}, {VERSION} is needed")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:  # a full disk has ended it already
                self.db.execute("ROLLBACK")
            raise

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self.db.execute(query, values).fetchall()

    def one(self, query: str, *values: Any) -> sqlite3.Row | None:
        return self.db.execute(query, values).fetchone()

    def execute(self, query: str, *values: Any) -> None:
        self.db.execute(query, values)

    def put(self, table: str, values: dict[str, Any], replace: bool = False) -> int:
        """Insert a row and return its id; ``replace`` overwrites the one with the same primary key."""
        keys = ", ".join(values)
        marks = ", ".join("?" * len(values))
        verb = "INSERT OR REPLACE" if replace else "INSERT"
        return self.db.execute(f"{verb} INTO {table} ({keys}) VALUES ({marks})", tuple(values.values())).lastrowid or 0

    def put_all(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            self.put(table, row)

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        """Raises ``ArgumentError`` in place of SQLite's own errors (a full disk, damage), which name no file."""
        self.close()
        if isinstance(error, sqlite3.Error):
            raise ArgumentError(
                f"{self.path}: {error}; what it held is unharmed, and the same command goes on from there"
            ) from None
