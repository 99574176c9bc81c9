"""Champion against challenger: both on the same images, which neither was trained on, compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contracts.dataset import TEST, PreparedDataset, PreparedImage
from training.scoring import intervals, metrics
from training.scoring.intervals import Interval
from training.scoring.metrics import Integers, Rows, Scores

#: With different datasets: a comparison on fewer images than this says nothing.
MIN_COMMON_IMAGES = 30


@dataclass(frozen=True, slots=True)
class Difference:
    """Challenger minus champion, with the one-sided 95 % lower bound; None where it is not defined."""

    value: float | None
    lower_95: float | None


@dataclass(frozen=True)
class Comparison:
    """The champion beside the challenger.

    Attributes:
        bundle_hash: the champion's.
        images: how many both were scored on.
        restricted: images of the challenger's test split were left out, because the champion was trained on them.
        metrics: of the champion, on these images.
        challenger: of the challenger, on these images.
        differences: metric -> challenger minus champion.
    """

    bundle_hash: str
    images: int
    restricted: bool
    metrics: dict[str, Interval]
    challenger: dict[str, Interval]
    differences: dict[str, Difference]

    @property
    def possible(self) -> bool:
        """Whether there are enough images that neither model was trained on."""
        return not self.restricted or self.images >= MIN_COMMON_IMAGES

    def to_json(self) -> dict[str, Any]:
        return {
            "bundle_hash": self.bundle_hash,
            "images": self.images,
            "metrics": {name: value.to_json() for name, value in self.metrics.items()},
            "difference": {
                name: {"value": item.value, "lower_95": item.lower_95} for name, item in self.differences.items()
            },
        }


def untrained(test: Sequence[PreparedImage], source: str, champion: PreparedDataset) -> Rows:
    """Which images of the challenger's test split the champion was not trained on, ``(N,)``.

    An image counts as known to the champion when its content is in the champion's train or validation split or, with
    the same source and the champion's protocol ``group``, when an image of its group is.

    Args:
        source: of the challenger's dataset.
    """
    split_of = champion.split_of()
    learned = [image for image in champion.images if split_of.get(image.shard) != TEST]
    contents = {image.sha256 for image in learned}
    by_group = champion.protocol == "group" and champion.source == source
    groups = {image.group for image in learned if image.group} if by_group else set()
    return np.array([image.sha256 not in contents and image.group not in groups for image in test], np.bool_)


def compare(challenger: Scores, champion: Scores, cluster: Integers, rows: Rows, champion_hash: str) -> Comparison:
    """Both models on the images of ``rows``; the same resamples for both, so the differences are paired.

    Args:
        challenger, champion: scores of the same N images.
        cluster: ``(N,)``, see :func:`training.scoring.intervals.clusters`.
        rows: ``(N,)`` the images that are compared.
    """
    ours, theirs = challenger.only(rows), champion.only(rows)
    _, within = np.unique(cluster[rows], return_inverse=True)
    cluster_of_rows = within.astype(np.int64)
    our_values, their_values = metrics.estimate(ours), metrics.estimate(theirs)
    our_samples = intervals.bootstrap(ours, cluster_of_rows)
    their_samples = intervals.bootstrap(theirs, cluster_of_rows)
    differences = {}
    for name in metrics.SCORED:
        value = our_values[name] - their_values[name]
        lower = intervals.lower_bound(our_samples[name] - their_samples[name])
        differences[name] = Difference(value, lower) if np.isfinite(value) else Difference(None, None)
    return Comparison(
        champion_hash,
        int(rows.sum()),
        not bool(rows.all()),
        intervals.intervals(theirs, cluster_of_rows),
        intervals.intervals(ours, cluster_of_rows),
        differences,
    )
