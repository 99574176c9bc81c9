"""How sure a metric is: 95 % bootstrap intervals, with whole groups resampled when the protocol is ``group``.

Images of one group (one solar module, one patient) resemble each other, so they are not independent draws, and an
interval that resamples single images is too narrow. The cluster bootstrap draws whole groups with replacement (Davison
and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8; Field and Welsh 2007,
doi:10.1111/j.1467-9868.2007.00593.x). With few groups, say under 20, even its intervals are somewhat too narrow.

Two models that are resampled with the same groups get the same resamples, so differences of theirs are paired.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from contracts.evaluation import ECE
from training.scoring import metrics
from training.scoring.metrics import Floats, Integers, Rows, Scores

RESAMPLES = 2000
#: Of the resamples: the same images give the same intervals.
_SEED = 20_260_101
#: Weights in memory at once.
_CHUNK = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its two-sided 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}


def clusters(groups: Sequence[str], protocol: str) -> Integers:
    """``(N,)`` number of the cluster of each image, from 0.

    With protocol ``group`` images of one group are one cluster, and an image without a group is its own. With another
    protocol every image is its own.
    """
    names = [
        ("group", group) if protocol == "group" and group else ("image", str(index))
        for index, group in enumerate(groups)
    ]
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def bootstrap(scores: Scores, cluster: Integers, rows: Rows | None = None) -> dict[str, Floats]:
    """Metric -> ``(RESAMPLES,)``: the metrics of each resample of the clusters; NaN where a resample defines none.

    Args:
        scores: of N images.
        cluster: ``(N,)``, see :func:`clusters`.
        rows: ``(N,)`` the images that are scored (a slice); the resamples are of all clusters all the same.
    """
    chosen = scores if rows is None else scores.only(rows)
    parts = [metrics.compute(chosen, weights if rows is None else weights[:, rows]) for weights in _resamples(cluster)]
    return {name: np.concatenate([part[name] for part in parts]) for name in metrics.SCORED}


def intervals(scores: Scores, cluster: Integers, rows: Rows | None = None) -> dict[str, Interval]:
    """Metric -> estimate with its interval; arguments as of :func:`bootstrap`."""
    estimates = metrics.estimate(scores if rows is None else scores.only(rows))
    samples = bootstrap(scores, cluster, rows)
    return {name: _interval(name, value, samples[name]) for name, value in estimates.items()}


def lower_bound(samples: Floats, level: float = 0.95) -> float | None:
    """The one-sided lower confidence bound: the ``1 - level`` quantile of the samples that are numbers."""
    finite = samples[np.isfinite(samples)]
    return float(np.quantile(finite, 1 - level)) if len(finite) else None


def median(values: Floats) -> Interval:
    """The median with a 95 % interval from order statistics, which assumes nothing of the distribution.

    David and Nagaraja 2003, "Order Statistics", section 7.1, with the normal approximation of the binomial.
    """
    ordered = np.sort(values)
    count = len(ordered)
    if not count:
        return Interval(None, None, None)
    half = 1.959963984540054 * math.sqrt(count) / 2
    low, high = math.floor(count / 2 - half), math.ceil(count / 2 + half)
    return Interval(float(np.median(ordered)), float(ordered[max(low - 1, 0)]), float(ordered[min(high, count - 1)]))


def exact(value: float) -> Interval:
    """A number that was counted, not estimated."""
    return Interval(value, value, value)


def _interval(name: str, value: float, samples: Floats) -> Interval:
    if not math.isfinite(value):
        return Interval(None, None, None)
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return Interval(value, None, None)
    low, high = (float(bound) for bound in np.quantile(finite, [0.025, 0.975]))
    if name == ECE:
        # Resampling adds noise to every bin, and noise adds to this error: the samples lie above the estimate. Their
        # spread is right, their place is not.
        shift = value - float(finite.mean())
        low, high = min(max(low + shift, 0.0), value), max(min(high + shift, 1.0), value)
    return Interval(value, low, high)


def _resamples(cluster: Integers) -> Iterator[Floats]:
    """``(b, N)`` weights, :data:`RESAMPLES` in all: how often each image is drawn when whole clusters are drawn."""
    images = len(cluster)
    if not images:
        yield np.ones((RESAMPLES, 0))
        return
    count = int(cluster.max()) + 1
    rng = np.random.default_rng(_SEED)
    step = max(1, min(RESAMPLES, _CHUNK // max(images, count)))
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        drawn = rng.integers(0, count, (size, count)) + np.arange(size)[:, None] * count
        counts = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        yield counts[:, cluster].astype(np.float64)
