"""The values of one metric in one period, small whatever their number: sum, extremes and a histogram.

Source: CloudWatch User Guide, "CloudWatch statistics definitions" (percentiles; sets of statistics have none).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field

#: Buckets are 2 % wide: a percentile is within 1 % of a value that was put.
_WIDTH = math.log(1.02)
#: Added to the exponent of the smallest float's bucket it is still positive, so that keys sort as values do.
_OFFSET = 40_000

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")

SIMPLE = ("Sum", "Average", "Minimum", "Maximum", "SampleCount")


@dataclass(slots=True)
class Distribution:
    """``buckets``: counts of values by bucket; None once statistics without values are in it.

    ``default``: a metric filter's default, which stands only as long as nothing else is there.
    """

    count: float = 0.0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    buckets: dict[int, float] | None = field(default_factory=dict)
    default: bool = False

    def add(self, value: float, count: float = 1.0) -> None:
        """``count`` times the same value."""
        self.count += count
        self.total += value * count
        self.low, self.high = min(self.low, value), max(self.high, value)
        if self.buckets is not None:
            key = _key(value)
            self.buckets[key] = self.buckets.get(key, 0.0) + count

    def merge(self, other: Distribution) -> None:
        """Add what another one of the same metric holds."""
        if other.default and self.count:
            return
        if self.default and not other.default:
            self.count, self.total, self.low, self.high, self.buckets = 0.0, 0.0, math.inf, -math.inf, {}
        self.default = other.default
        self.count += other.count
        self.total += other.total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        if self.buckets is None or other.buckets is None:
            self.buckets = None
            return
        for key, count in other.buckets.items():
            self.buckets[key] = self.buckets.get(key, 0.0) + count

    def statistic(self, name: str) -> float | None:
        """``Sum``, ``Average``, ``Minimum``, ``Maximum``, ``SampleCount`` or a percentile such as ``p99.9``.

        None: there is nothing, or a percentile is asked of statistics without values.

        Raises:
            ValueError: no such statistic.
        """
        if name not in SIMPLE and not is_percentile(name):
            raise ValueError(f"{name} is no statistic: expected {', '.join(SIMPLE)} or a percentile such as p99")
        if not self.count:
            return None
        match name:
            case "Sum":
                return self.total
            case "Average":
                return self.total / self.count
            case "Minimum":
                return self.low
            case "Maximum":
                return self.high
            case "SampleCount":
                return self.count
        return self._percentile(float(name[1:]) / 100)

    def _percentile(self, share: float) -> float | None:
        """The value of the bucket that holds the nearest rank; exact at both ends."""
        if self.buckets is None:
            return None
        rank, seen = share * self.count, 0.0
        for key in sorted(self.buckets):
            seen += self.buckets[key]
            if seen >= rank - 1e-9:
                return min(max(_middle(key), self.low), self.high)
        return self.high

    def dump(self) -> str:
        """The buckets as text; empty when there are none."""
        return "" if self.buckets is None else json.dumps(self.buckets)

    @staticmethod
    def load(count: float, total: float, low: float, high: float, buckets: str, default: bool) -> Distribution:
        found = {int(key): value for key, value in json.loads(buckets).items()} if buckets else None
        return Distribution(count, total, low, high, found, default)


def of_set(count: float, total: float, low: float, high: float) -> Distribution:
    """A set of statistics (PutMetricData StatisticValues). One value, or equal ones, keep their percentiles."""
    found = Distribution()
    if low == high:
        found.add(low, count)
        return found
    return Distribution(count, total, low, high, None)


def is_percentile(name: str) -> bool:
    return _PERCENTILE.fullmatch(name) is not None


def _key(value: float) -> int:
    if value == 0:
        return 0
    place = _OFFSET + math.floor(math.log(abs(value)) / _WIDTH)
    return place if value > 0 else -place


def _middle(key: int) -> float:
    if key == 0:
        return 0.0
    size = math.exp(min((abs(key) - _OFFSET + 0.5) * _WIDTH, 709.0))
    return size if key > 0 else -size
