"""Statistics over periods: what GetMetricData, GetMetricStatistics and alarms ask.

Source: API reference, "MetricDataQuery", "MetricStat".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local_sagemaker.metrics.database import MINUTE, Metric
from local_sagemaker.metrics.distribution import Distribution
from local_sagemaker.metrics.expressions import BadExpression, Series, parse

#: Reads (minute, unit, values) of a metric from a minute to before another, of one unit or all.
Reader = Callable[[Metric, int, int, str | None], list[tuple[int, str, Distribution]]]


@dataclass(frozen=True, slots=True)
class Query:
    """One metric's statistic over ``period`` seconds, or an expression over other queries (then ``about`` is None)."""

    id: str
    about: Metric | None = None
    stat: str = ""
    period: int = MINUTE
    unit: str | None = None
    expression: str = ""
    label: str = ""
    returned: bool = True


def collect(
    read: Reader, about: Metric, start: int, end: int, period: int, unit: str | None = None
) -> dict[int, Distribution]:
    """The values of each period that has some, by its first second. ``start`` and ``end``: seconds since the epoch.

    The first period begins at ``start``, rounded down to a minute; data are kept by the minute.
    """
    first = start - start % MINUTE
    found: dict[int, Distribution] = {}
    for minute, _, values in read(about, first // MINUTE, math.ceil(end / MINUTE), unit):
        begin = first + (minute * MINUTE - first) // period * period
        found.setdefault(begin, Distribution()).merge(values)
    return found


def series(read: Reader, query: Query, start: int, end: int) -> Series:
    """The statistic of a query that names a metric."""
    if query.about is None:
        raise BadExpression(f"the query {query.id} names no metric")
    found = collect(read, query.about, start, end, query.period, query.unit)
    computed = {at: values.statistic(query.stat) for at, values in sorted(found.items())}
    return {at: value for at, value in computed.items() if value is not None}


def compute(read: Reader, queries: Sequence[Query], start: int, end: int) -> dict[str, Series]:
    """The series of every query, by id.

    Raises:
        BadExpression: an expression cannot be computed, or needs itself.
        ValueError: no such statistic.
    """
    found = {query.id: series(read, query, start, end) for query in queries if query.about is not None}
    waiting = [query for query in queries if query.about is None]
    shortest = min((query.period for query in queries if query.about is not None), default=MINUTE)
    while waiting:
        ready = [query for query in waiting if not parse(query.expression).names - found.keys()]
        if not ready:
            raise BadExpression(f"{waiting[0].expression!r} needs an id that is not there, or itself")
        for query in ready:
            first = start - start % MINUTE
            grid = range(first, end, shortest)
            found[query.id] = parse(query.expression).compute(found, grid, shortest)
            waiting.remove(query)
    return found
