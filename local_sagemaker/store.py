"""Every SageMaker resource that this server owns, in one SQLite file.

A change is on disk when the call returns: a server that is killed loses nothing that it has answered.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    kind TEXT NOT NULL, region TEXT NOT NULL, name TEXT COLLATE NOCASE NOT NULL,
    number INTEGER NOT NULL, created REAL NOT NULL, modified REAL NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, region, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_number ON resources (kind, region, number);
CREATE TABLE IF NOT EXISTS counters (
    kind TEXT NOT NULL, region TEXT NOT NULL, scope TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (kind, region, scope)
) WITHOUT ROWID;
"""


class Exists(Exception):
    """A resource of that kind and name is there already."""


class Missing(Exception):
    """There is no resource of that kind and name."""


@dataclass(frozen=True, slots=True)
class Record:
    """A stored resource. ``number`` grows with every insert, so it orders resources of the same instant."""

    kind: str
    region: str
    name: str
    number: int
    created: float
    modified: float
    body: dict[str, Any]


class Store:
    """Resources by (kind, region, name); a body is a JSON object. Safe to use from several threads.

    Names keep their case and are found whatever the case: SageMaker writes names in ARNs in lower case, and users cut
    them out of there (CreateEndpoint: "the name is case-insensitive").

    ``clock`` gives seconds since the epoch.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        path.chmod(0o600)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several changes that are stored together or not at all. Nests."""
        with self._lock:
            outer = self._depth == 0
            if outer:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if outer:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if outer:
                self._connection.execute("COMMIT")

    def insert(self, kind: str, region: str, name: str, body: dict[str, Any]) -> Record:
        """Add a resource.

        Raises:
            Exists: the name is taken.
        """
        with self.transaction():
            now = self._clock()
            number = self.count(kind, region, "")
            try:
                self._connection.execute(
                    "INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (kind, region, name, number, now, now, json.dumps(body)),
                )
            except sqlite3.IntegrityError:
                raise Exists(name) from None
            return Record(kind, region, name, number, now, now, body)

    def get(self, kind: str, region: str, name: str) -> Record | None:
        with self._lock:
            row = self._connection.execute(
                "SELECT kind, region, name, number, created, modified, body FROM resources"
                " WHERE kind = ? AND region = ? AND name = ?",
                (kind, region, name),
            ).fetchone()
        return _record(row) if row else None

    def update(self, kind: str, region: str, name: str, change: Callable[[dict[str, Any]], None]) -> Record:
        """Let ``change`` alter the stored body in place, in one transaction, and return the new record.

        Raises:
            Missing: there is no such resource. Whatever ``change`` raises leaves the stored body as it was.
        """
        with self.transaction():
            record = self.get(kind, region, name)
            if record is None:
                raise Missing(name)
            change(record.body)
            now = self._clock()
            self._connection.execute(
                "UPDATE resources SET modified = ?, body = ? WHERE kind = ? AND region = ? AND name = ?",
                (now, json.dumps(record.body), kind, region, name),
            )
            return Record(kind, region, name, record.number, record.created, now, record.body)

    def delete(self, kind: str, region: str, name: str) -> bool:
        """Remove a resource; False when there was none."""
        with self.transaction():
            done = self._connection.execute(
                "DELETE FROM resources WHERE kind = ? AND region = ? AND name = ?", (kind, region, name)
            )
            return done.rowcount > 0

    def list(self, kind: str, region: str | None = None, *, prefix: str = "") -> list[Record]:
        """Resources of a kind, oldest first; of one region or of all; whose name starts with ``prefix``."""
        query = (
            "SELECT kind, region, name, number, created, modified, body FROM resources"
            " WHERE kind = ? AND substr(name, 1, ?) = ?"
        )
        values: list[Any] = [kind, len(prefix), prefix]
        if region is not None:
            query += " AND region = ?"
            values.append(region)
        with self._lock:
            rows = self._connection.execute(query + " ORDER BY number", values).fetchall()
        return [_record(row) for row in rows]

    def count(self, kind: str, region: str, scope: str) -> int:
        """The next number (from 1) of a counter that never goes back, as model package versions need it."""
        with self.transaction():
            row = self._connection.execute(
                "INSERT INTO counters VALUES (?, ?, ?, 1) ON CONFLICT (kind, region, scope)"
                " DO UPDATE SET value = value + 1 RETURNING value",
                (kind, region, scope),
            ).fetchone()
        return int(row[0])


def _record(row: tuple[Any, ...]) -> Record:
    kind, region, name, number, created, modified, body = row
    return Record(kind, region, name, number, created, modified, json.loads(body))
