"""What an earlier import learnt of each file, in a SQLite file of the state folder: unchanged files are not read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS images_1 (
    source TEXT NOT NULL, path TEXT NOT NULL, stamp TEXT NOT NULL,
    sha256 TEXT NOT NULL, pixels TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, mode TEXT NOT NULL,
    version TEXT NOT NULL, PRIMARY KEY (source, path)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What reading one image told.

    Attributes:
        sha256: of the file's bytes.
        pixels: hash of size, mode and decoded pixels: equal for the same picture saved twice.
        width, height: pixels as stored.
        mode: ``L`` or ``RGB``.
        version: S3 version id or ETag, or empty.
    """

    sha256: str
    pixels: str
    width: int
    height: int
    mode: str
    version: str = ""


class Index:
    """Facts by (source, path), valid as long as the stamp is the same.

    A file that is no such index (another version, damaged) is replaced: it is only a cache.
    """

    def __init__(self, file: Path, source: str) -> None:
        self._file = file
        self._source = source
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._prepare()
        except sqlite3.DatabaseError:
            file.unlink(missing_ok=True)
            self._prepare()

    def _prepare(self) -> None:
        with closing(self._connect()) as database, database:
            database.execute(_SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=30)

    def known(self) -> dict[str, tuple[str, Facts]]:
        """Path -> (stamp, facts) of every image of the source."""
        with closing(self._connect()) as database:
            rows = database.execute(
                "SELECT path, stamp, sha256, pixels, width, height, mode, version FROM images_1 WHERE source = ?",
                (self._source,),
            )
            return {row[0]: (row[1], Facts(*row[2:])) for row in rows}

    def add(self, found: Mapping[str, tuple[str, Facts]]) -> None:
        """Remember path -> (stamp, facts)."""
        rows = [(self._source, path, stamp, *astuple(facts)) for path, (stamp, facts) in found.items()]
        with closing(self._connect()) as database, database:
            database.executemany("INSERT OR REPLACE INTO images_1 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def forget(self, paths: Iterable[str]) -> None:
        """Drop files that are gone."""
        with closing(self._connect()) as database, database:
            database.executemany(
                "DELETE FROM images_1 WHERE source = ? AND path = ?", [(self._source, path) for path in paths]
            )
