from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.clock import Clock
from local_sagemaker.metrics import Metrics, metric, queries
from local_sagemaker.metrics.database import KEPT_MINUTES

#: A whole hour of the near past, in seconds and in minutes since the epoch.
T = int(time.time()) // 3600 * 3600 - 7200
M = T // 60
ABOUT = metric("n", "m", [("b", "2"), ("a", "1")])
OTHER = metric("n", "m", [("a", "1")])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(tmp_path: Path, clock: Clock) -> Iterator[Metrics]:
    found = Metrics(tmp_path / "metrics.sqlite", clock)
    yield found
    found.close()


def test_a_minute_is_one_row_whenever_its_values_come(metrics: Metrics) -> None:
    for value in (1.0, 2.0, 9.0):
        metrics.put("r", ABOUT, value, at=T + 120 + value)
        metrics.flush()
    metrics.put("r", OTHER, 5.0, at=T + 121)
    metrics.put("elsewhere", ABOUT, 5.0, at=T + 121)
    ((minute, unit, values),) = metrics.read("r", ABOUT, M, M + 100)
    assert (minute, unit, values.count, values.total) == (M + 2, "None", 3, 12)
    assert metrics.read("r", ABOUT, M + 3, M + 100) == []
    assert metrics.known("r") == [ABOUT, OTHER]


def test_units_are_apart(metrics: Metrics) -> None:
    metrics.put("r", ABOUT, 1.0, "Seconds", at=T)
    metrics.put("r", ABOUT, 2.0, "Count", at=T)
    assert [unit for _, unit, _ in metrics.read("r", ABOUT, M, M + 1)] == ["Count", "Seconds"]
    assert [values.total for _, _, values in metrics.read("r", ABOUT, M, M + 1, "Seconds")] == [1]


def test_data_are_dropped_after_15_days_of_the_clock(metrics: Metrics, clock: Clock) -> None:
    metrics.put("r", ABOUT, 1.0)
    assert metrics.known("r") == [ABOUT]
    clock.advance((KEPT_MINUTES + 120) * 60)
    metrics.put("r", OTHER, 1.0)
    assert metrics.known("r") == [OTHER]


def test_periods_begin_at_the_start_and_hold_their_minutes(metrics: Metrics) -> None:
    for minute in range(10):
        metrics.put("r", ABOUT, float(minute), at=T + minute * 60)

    def read(about: object, start: int, end: int, unit: str | None) -> object:
        return metrics.read("r", about, start, end, unit)  # type: ignore[arg-type]

    query = queries.Query("m", ABOUT, "Sum", 180)
    assert queries.series(read, query, T + 60, T + 480) == {T + 60: 1 + 2 + 3, T + 240: 4 + 5 + 6, T + 420: 7}  # type: ignore[arg-type]
    both = [query, queries.Query("e", expression="f * 2"), queries.Query("f", expression="m + 1")]
    found = queries.compute(read, both, T + 60, T + 480)  # type: ignore[arg-type]
    assert found["e"] == {T + 60: 14, T + 240: 32, T + 420: 16}


def test_what_was_put_is_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    first = Metrics(tmp_path / "kept.sqlite", clock)
    first.put("r", ABOUT, 7.0, at=T)
    first.stop()
    first.close()
    second = Metrics(tmp_path / "kept.sqlite", clock)
    assert [values.statistic("p50") for _, _, values in second.read("r", ABOUT, M, M + 1)] == [7]
    second.close()
