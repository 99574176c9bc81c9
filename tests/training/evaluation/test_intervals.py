"""Bootstrap intervals: against closed forms, on groups, paired, and always the same."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contracts.evaluation import ACCURACY, AUC, BALANCED_ACCURACY, ECE
from training.scoring import intervals, metrics
from training.scoring.intervals import Interval
from training.scoring.metrics import Scores


def coin(images: int, share: float, *, groups: int | None = None, seed: int = 0) -> tuple[Scores, np.ndarray]:
    """Answers of which ``share`` are right; with ``groups``, all images of one group are right or wrong together."""
    rng = np.random.default_rng(seed)
    cluster = np.arange(images) if groups is None else np.arange(images) % groups
    right = (np.arange(cluster.max() + 1) < share * (cluster.max() + 1))[cluster]
    truth = rng.integers(0, 2, images)
    predicted = np.where(right, truth, 1 - truth)
    confidence = np.full(images, 0.75)
    probabilities = np.where(np.eye(2)[predicted] > 0, 0.75, 0.25)
    return Scores(("a", "b"), 1, truth, predicted, probabilities, confidence), cluster


def test_the_interval_of_a_share_is_the_binomials() -> None:
    scores, cluster = coin(400, 0.8)
    interval = intervals.intervals(scores, cluster)[ACCURACY]
    half = 1.96 * math.sqrt(0.8 * 0.2 / 400)
    assert interval.value == pytest.approx(0.8)
    assert interval.low == pytest.approx(0.8 - half, abs=0.006)
    assert interval.high == pytest.approx(0.8 + half, abs=0.006)


def test_images_of_one_group_are_resampled_together() -> None:
    """40 groups that are right or wrong as a whole carry as much as 40 images, however many images they have."""
    scores, cluster = coin(4000, 0.8, groups=40)
    by_group = intervals.intervals(scores, cluster)[ACCURACY]
    by_image = intervals.intervals(scores, np.arange(4000))[ACCURACY]
    assert by_group.high is not None and by_group.low is not None and by_image.high is not None
    assert by_image.low is not None
    assert by_group.high - by_group.low == pytest.approx(2 * 1.96 * math.sqrt(0.8 * 0.2 / 40), rel=0.1)
    assert by_group.high - by_group.low > 8 * (by_image.high - by_image.low)


def test_the_same_images_give_the_same_intervals() -> None:
    scores, cluster = coin(50, 0.7)
    assert intervals.intervals(scores, cluster) == intervals.intervals(scores, cluster)


def test_many_images_are_resampled_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, cluster = coin(60, 0.7)
    whole = intervals.bootstrap(scores, cluster)
    monkeypatch.setattr(intervals, "_CHUNK", 60 * 7)
    in_parts = intervals.bootstrap(scores, cluster)
    for name in metrics.SCORED:
        assert np.array_equal(whole[name], in_parts[name], equal_nan=True)
        assert whole[name].shape == (intervals.RESAMPLES,)


def test_a_model_against_itself_differs_by_nothing_in_every_resample() -> None:
    scores, cluster = coin(80, 0.6)
    first, second = intervals.bootstrap(scores, cluster), intervals.bootstrap(scores, cluster)
    assert intervals.lower_bound(first[BALANCED_ACCURACY] - second[BALANCED_ACCURACY]) == 0.0


def test_a_slice_is_resampled_with_the_groups_of_all() -> None:
    scores, cluster = coin(200, 0.5, groups=20)
    rows = np.arange(200) < 100
    inside = intervals.intervals(scores, cluster, rows)
    alone = metrics.estimate(scores.only(rows))
    assert inside[ACCURACY].value == alone[ACCURACY]
    assert inside[ACCURACY].low is not None and inside[ACCURACY].low < alone[ACCURACY]


def test_the_calibration_error_lies_in_its_interval_though_resampling_adds_to_it() -> None:
    scores, cluster = coin(300, 0.75)  # confidence 0.75 and 75 % right: an error of 0
    samples = intervals.bootstrap(scores, cluster)[ECE]
    interval = intervals.intervals(scores, cluster)[ECE]
    assert interval.value == pytest.approx(0.0, abs=1e-12)
    assert samples.mean() > 0.01
    assert interval.low is not None and interval.high is not None
    assert 0 <= interval.low <= interval.value <= interval.high < 0.06


def test_what_is_not_defined_has_no_interval() -> None:
    one_class = Scores(
        ("a", "b"), 1, np.zeros(5, np.int64), np.zeros(5, np.int64), np.tile([0.9, 0.1], (5, 1)), np.full(5, 0.9)
    )
    result = intervals.intervals(one_class, np.arange(5))
    assert result[AUC] == Interval(None, None, None)
    assert result[ACCURACY] == Interval(1.0, 1.0, 1.0)
    nothing = one_class.only(np.zeros(5, bool))
    assert all(value == Interval(None, None, None) for value in intervals.intervals(nothing, np.arange(0)).values())


def test_clusters_are_groups_only_under_the_protocol_group() -> None:
    groups = ["m1", "", "m1", "m2", ""]
    assert intervals.clusters(groups, "group").tolist() == [0, 1, 0, 2, 3]
    assert intervals.clusters(groups, "random").tolist() == [0, 1, 2, 3, 4]


def test_a_lower_bound_is_one_sided_and_ignores_what_is_no_number() -> None:
    samples = np.r_[np.linspace(0, 1, 101), np.full(20, np.nan)]
    assert intervals.lower_bound(samples) == pytest.approx(0.05)
    assert intervals.lower_bound(np.full(3, np.nan)) is None


def test_the_median_and_its_order_statistics() -> None:
    """For 100 values the 40th and 61st are the usual 95 % interval."""
    values = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))
    assert intervals.median(values) == Interval(50.5, 40.0, 61.0)
    assert intervals.median(np.array([3.0])) == Interval(3.0, 3.0, 3.0)
    assert intervals.median(np.array([])) == Interval(None, None, None)


def test_intervals_cover_the_truth_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 test sets of 120 images of a model that is right 80 % of the time: about 95 % of the intervals hold 0.8."""
    monkeypatch.setattr(intervals, "RESAMPLES", 500)
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(100):
        right = rng.random(120) < 0.8
        truth = np.zeros(120, np.int64)
        scores = Scores(("a", "b"), 1, truth, np.where(right, 0, 1), np.full((120, 2), 0.5), np.full(120, 0.5))
        interval = intervals.intervals(scores, np.arange(120))[ACCURACY]
        assert interval.low is not None and interval.high is not None
        covered += interval.low <= 0.8 <= interval.high
    assert 0.89 <= covered / 100 <= 0.99
