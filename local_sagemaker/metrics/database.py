"""Where metric data is kept: SQLite, one row a metric, unit and minute, dropped after 15 days of the server's clock.

What arrives is collected in memory and written once a second, or when somebody reads. So a killed server loses the last
second, and an endpoint that answers for weeks costs one row a minute and metric. Source of the 15 days: CloudWatch User
Guide, "Metrics retention" (data points of one minute).
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from local_sagemaker.clock import Clock
from local_sagemaker.metrics.distribution import Distribution

_log = logging.getLogger(__name__)

KEPT_MINUTES = 15 * 24 * 60
MINUTE = 60

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, region TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, dimensions TEXT NOT NULL,
    UNIQUE (region, namespace, name, dimensions)
);
CREATE TABLE IF NOT EXISTS points (
    series INTEGER NOT NULL, minute INTEGER NOT NULL, unit TEXT NOT NULL, count REAL NOT NULL, total REAL NOT NULL,
    low REAL NOT NULL, high REAL NOT NULL, buckets TEXT NOT NULL, preset INTEGER NOT NULL,
    PRIMARY KEY (series, minute, unit)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_minute ON points (minute);
"""
_COLUMNS = "count, total, low, high, buckets, preset"


class Metric(NamedTuple):
    """A metric's identity; ``dimensions`` are (name, value) in order. Make one with :func:`metric`."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()


def metric(namespace: str, name: str, dimensions: Iterable[tuple[str, str]] = ()) -> Metric:
    return Metric(namespace, name, tuple(sorted(dimensions)))


class Metrics:
    """The metric data of one account. Safe to use from several threads."""

    def __init__(self, path: Path, clock: Clock) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._lock = threading.Lock()  # of what is fresh: whoever puts never waits for the disk
        self._database = threading.RLock()
        self._fresh: dict[tuple[str, Metric, str, int], Distribution] = {}
        self._dropped = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        path.chmod(0o600)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
        self.flush()

    def close(self) -> None:
        with self._database:
            self._connection.close()

    def put(
        self,
        region: str,
        about: Metric,
        value: float,
        unit: str = "None",
        *,
        at: float | None = None,
        count: float = 1.0,
    ) -> None:
        """Add ``count`` times a value at ``at`` (seconds since the epoch; now)."""
        found = Distribution()
        found.add(value, count)
        self.add(region, about, found, unit, at=at)

    def add(
        self, region: str, about: Metric, values: Distribution, unit: str = "None", *, at: float | None = None
    ) -> None:
        """Add values of one minute."""
        minute = int((self._clock.time() if at is None else at) // MINUTE)
        with self._lock:
            self._fresh.setdefault((region, about, unit, minute), Distribution()).merge(values)

    def read(
        self, region: str, about: Metric, start: int, end: int, unit: str | None = None
    ) -> list[tuple[int, str, Distribution]]:
        """(minute, unit, values) from the minute ``start`` to before ``end``, since the epoch; of one unit or all."""
        with self._database:
            self.flush()
            series = self._find(region, about)
            if series is None:
                return []
            rows = self._connection.execute(
                f"SELECT minute, unit, {_COLUMNS} FROM points WHERE series = ? AND minute >= ? AND minute < ?"  # noqa: S608
                " AND (? IS NULL OR unit = ?) ORDER BY minute",
                (series, start, end, unit, unit),
            ).fetchall()
        return [(minute, kind, Distribution.load(*values)) for minute, kind, *values in rows]

    def known(self, region: str) -> list[Metric]:
        """Every metric that has data, oldest first."""
        with self._database:
            self.flush()
            rows = self._connection.execute(
                "SELECT namespace, name, dimensions FROM series WHERE region = ? ORDER BY id", (region,)
            ).fetchall()
        return [
            Metric(namespace, name, tuple((key, value) for key, value in json.loads(dimensions)))
            for namespace, name, dimensions in rows
        ]

    def flush(self) -> None:
        """Write what arrived."""
        with self._database:
            with self._lock:
                fresh, self._fresh = self._fresh, {}
            if not fresh:
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for (region, about, unit, minute), values in fresh.items():
                    self._write(self._series(region, about), unit, minute, values)
                self._drop(int(self._clock.time() // MINUTE) - KEPT_MINUTES)
            except BaseException:
                self._connection.execute("ROLLBACK")
                with self._lock:
                    for key, values in fresh.items():
                        self._fresh.setdefault(key, Distribution()).merge(values)
                raise
            self._connection.execute("COMMIT")

    def _run(self) -> None:
        while not self._stop.wait(1):
            try:
                self.flush()
            except sqlite3.Error:  # a full disk: what arrived waits in memory
                _log.exception("metric data could not be written")
                self._stop.wait(5)

    def _find(self, region: str, about: Metric) -> int | None:
        row = self._connection.execute(
            "SELECT id FROM series WHERE region = ? AND namespace = ? AND name = ? AND dimensions = ?",
            (region, about.namespace, about.name, json.dumps(about.dimensions)),
        ).fetchone()
        return int(row[0]) if row else None

    def _series(self, region: str, about: Metric) -> int:
        found = self._find(region, about)
        if found is not None:
            return found
        made = self._connection.execute(
            "INSERT INTO series (region, namespace, name, dimensions) VALUES (?, ?, ?, ?)",
            (region, about.namespace, about.name, json.dumps(about.dimensions)),
        )
        return int(made.lastrowid or 0)

    def _write(self, series: int, unit: str, minute: int, values: Distribution) -> None:
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM points WHERE series = ? AND minute = ? AND unit = ?",  # noqa: S608
            (series, minute, unit),
        ).fetchone()
        whole = Distribution.load(*row) if row else Distribution()
        whole.merge(values)
        self._connection.execute(
            "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (series, minute, unit, whole.count, whole.total, whole.low, whole.high, whole.dump(), whole.default),
        )

    def _drop(self, oldest: int) -> None:
        """Forget what is older; looked at once an hour of the clock."""
        if oldest < self._dropped + 60:
            return
        self._dropped = oldest
        self._connection.execute("DELETE FROM points WHERE minute < ?", (oldest,))
        self._connection.execute("DELETE FROM series WHERE id NOT IN (SELECT series FROM points)")
