"""One metric alarm of moto: its queries, its data points at an instant, and the verdict on them."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import Any

from local_sagemaker.alarms import verdicts
from local_sagemaker.alarms.verdicts import Verdict
from local_sagemaker.metrics import Distribution, Metric, metric, queries
from local_sagemaker.metrics.distribution import SIMPLE, is_percentile
from local_sagemaker.metrics.expressions import BadExpression, parse
from local_sagemaker.metrics.queries import Query, Reader


class BadAlarm(Exception):
    """An alarm that cannot be evaluated; the message says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an alarm asks for. ``watched``: the id of the query that is compared with the threshold."""

    asked: tuple[Query, ...]
    watched: str
    period: int
    periods: int
    to_alarm: int
    missing: str

    @property
    def range_seconds(self) -> int:
        """How far back data points are looked at."""
        return self.period * (self.periods + verdicts.EXTRA_PERIODS)


def settings(alarm: Any) -> Settings:
    """Read one of moto's metric alarms.

    Raises:
        BadAlarm: what does not run here, or makes no sense.
    """
    if alarm.comparison_operator not in verdicts.COMPARISONS:
        raise BadAlarm(f"ComparisonOperator {alarm.comparison_operator} is not supported by the local SageMaker")
    if alarm.threshold is None:
        raise BadAlarm("an alarm without Threshold (anomaly detection) is not supported by the local SageMaker")
    missing = alarm.treat_missing_data or verdicts.MISSING
    if missing not in verdicts.TREATMENTS:
        raise BadAlarm(f"TreatMissingData must be one of {', '.join(verdicts.TREATMENTS)}, not {missing}")
    periods = int(alarm.evaluation_periods or 0)
    to_alarm = int(alarm.datapoints_to_alarm or periods)
    if not 1 <= to_alarm <= periods:
        raise BadAlarm(f"DatapointsToAlarm ({to_alarm}) must be from 1 to EvaluationPeriods ({periods})")
    asked = tuple(_query(one) for one in alarm.metric_data_queries) or (_own_query(alarm),)
    shown = [query.id for query in asked if query.returned]
    if len(shown) != 1:
        raise BadAlarm(f"exactly one query of Metrics must have ReturnData true, not {len(shown)}")
    ids = {query.id for query in asked}
    for query in asked:
        if query.about is None:
            try:
                unknown = parse(query.expression).names - ids
            except BadExpression as error:
                raise BadAlarm(f"Error in expression '{query.id}': {error}") from None
            if unknown:
                raise BadAlarm(f"Error in expression '{query.id}': no query has the id {', '.join(sorted(unknown))}")
        elif query.stat not in SIMPLE and not is_percentile(query.stat):
            raise BadAlarm(f"{query.stat!r} is no statistic that the local SageMaker knows")
    period = max((query.period for query in asked if query.about is not None), default=60)
    return Settings(asked, shown[0], max(60, period), periods, to_alarm, missing)


def _own_query(alarm: Any) -> Query:
    if not alarm.metric_name or not alarm.namespace or not alarm.period:
        raise BadAlarm("an alarm needs MetricName, Namespace and Period, or Metrics")
    stat = alarm.statistic or alarm.extended_statistic or ""
    about = metric(alarm.namespace, alarm.metric_name, [(one.name, one.value) for one in alarm.dimensions])
    return Query("m1", about, stat, int(alarm.period), alarm.unit)


def _query(one: Any) -> Query:
    shown = one.return_data is not False
    if one.metric_stat is None:
        return Query(one.id, expression=one.expression or "", returned=shown)
    stat = one.metric_stat
    about = metric(
        stat.metric.namespace, stat.metric.metric_name, [(each.name, each.value) for each in stat.metric.dimensions]
    )
    return Query(one.id, about, stat.stat, int(stat.period), stat.unit, returned=shown)


class Data:
    """The data of an alarm's metrics over a span, read once."""

    def __init__(self, read: Reader, wanted: Settings, start: int, end: int) -> None:
        """``start``, ``end``: seconds since the epoch."""
        self._found: dict[Metric, list[tuple[int, str, Distribution]]] = {}
        for query in wanted.asked:
            if query.about is not None and query.about not in self._found:
                self._found[query.about] = read(query.about, start // 60, end // 60 + 1, None)

    def read(self, about: Metric, start: int, end: int, unit: str | None) -> list[tuple[int, str, Distribution]]:
        rows = self._found[about]
        first = bisect.bisect_left(rows, start, key=lambda row: row[0])
        last = bisect.bisect_left(rows, end, key=lambda row: row[0])
        return [row for row in rows[first:last] if unit is None or row[1] == unit]


def judge(alarm: Any, wanted: Settings, data: Data, at: int) -> Verdict:
    """The verdict at an instant (a whole minute, in seconds) on the periods that ended by then.

    Raises:
        BadExpression: an expression cannot be computed.
    """
    start = at - wanted.range_seconds
    found = queries.compute(data.read, wanted.asked, start, at)[wanted.watched]
    begins = range(at - wanted.period, start - 1, -wanted.period)
    points = [found.get(begin) for begin in begins]
    compare, _ = verdicts.COMPARISONS[alarm.comparison_operator]
    limit = float(alarm.threshold)
    verdict = verdicts.judge(
        points,
        lambda value: compare(value, limit),
        periods=wanted.periods,
        to_alarm=wanted.to_alarm,
        missing=wanted.missing,
        current=alarm.state_value,
    )
    if alarm.evaluate_low_sample_count_percentile == "ignore" and _too_few(alarm, wanted, data, at):
        return Verdict(alarm.state_value, verdict.used, verdict.filled)
    return verdict


def _too_few(alarm: Any, wanted: Settings, data: Data, at: int) -> bool:
    """Too few samples for a percentile: below 10 / (1 - p) from the median up, 10 / p below it.

    Source: CloudWatch User Guide, "Percentile-based alarms and low data samples".
    """
    if not re.fullmatch(r"p[\d.]+", alarm.extended_statistic or ""):
        return False
    share = float(alarm.extended_statistic[1:]) / 100
    least = 10 / (1 - share) if 0.5 <= share < 1 else 10 / share if share else 0
    about = wanted.asked[0].about
    assert about is not None  # noqa: S101 - an alarm with an extended statistic names its metric
    values = queries.collect(data.read, about, at - wanted.period, at, wanted.period)
    return 0 < sum(one.count for one in values.values()) < least
