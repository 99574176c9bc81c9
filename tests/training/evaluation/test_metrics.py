"""Metrics against scikit-learn, with and without weights, against closed forms, and their symmetries."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from contracts.evaluation import ACCURACY, AUC, BALANCED_ACCURACY, ECE, F1, PRECISION, RECALL
from training.scoring import metrics
from training.scoring.metrics import Scores, scores_of


def random_scores(seed: int, *, images: int = 120, classes: int = 2, ties: bool = False) -> Scores:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, images)
    truth[:classes] = np.arange(classes)  # each class at least once
    logits = rng.normal(size=(images, classes)) + 1.2 * np.eye(classes)[truth]
    if ties:
        logits = np.round(logits)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    names = tuple("abcdefgh"[:classes])
    return Scores(names, 1 if classes == 2 else None, truth, predicted, probabilities, probabilities.max(axis=1))


def with_sklearn(scores: Scores, weights: np.ndarray) -> dict[str, float]:
    average = {"average": "binary", "pos_label": 1} if scores.positive == 1 else {"average": "macro"}
    common = {"sample_weight": weights, "zero_division": 0.0, **average}
    truth, predicted = scores.truth, scores.predicted
    if scores.positive == 1:
        auc = sklearn_metrics.roc_auc_score(truth, scores.probabilities[:, 1], sample_weight=weights)
    else:
        auc = sklearn_metrics.roc_auc_score(
            truth, scores.probabilities, sample_weight=weights, multi_class="ovr", average="macro"
        )
    return {
        BALANCED_ACCURACY: sklearn_metrics.balanced_accuracy_score(truth, predicted, sample_weight=weights),
        ACCURACY: sklearn_metrics.accuracy_score(truth, predicted, sample_weight=weights),
        F1: sklearn_metrics.f1_score(truth, predicted, **common),
        PRECISION: sklearn_metrics.precision_score(truth, predicted, **common),
        RECALL: sklearn_metrics.recall_score(truth, predicted, **common),
        AUC: auc,
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("ties", [False, True])
def test_every_metric_is_scikit_learns(seed: int, classes: int, ties: bool) -> None:
    scores = random_scores(seed, classes=classes, ties=ties)
    estimates = metrics.estimate(scores)
    for name, value in with_sklearn(scores, np.ones(len(scores))).items():
        assert estimates[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("classes", [2, 4])
def test_every_metric_with_weights_is_scikit_learns(classes: int) -> None:
    scores = random_scores(11, classes=classes, ties=True)
    weights = np.random.default_rng(1).integers(1, 4, (6, len(scores))).astype(float)
    values = metrics.compute(scores, weights)
    for row, weighting in enumerate(weights):
        for name, value in with_sklearn(scores, weighting).items():
            assert values[name][row] == pytest.approx(value, abs=1e-12), name


def test_weights_are_repetitions() -> None:
    scores = random_scores(3, images=40)
    counts = np.random.default_rng(2).integers(0, 3, 40)
    repeated = np.repeat(np.arange(40), counts)
    weighted = metrics.compute(scores, counts[None].astype(float))
    for name, value in metrics.estimate(scores.only(repeated)).items():
        assert weighted[name][0] == pytest.approx(value, abs=1e-12), name


def test_precision_and_f1_of_a_class_that_is_never_answered_are_zero() -> None:
    probabilities = [{"a": 0.9, "b": 0.1}] * 4
    scores = scores_of(("a", "b"), "b", ["a", "b", "a", "b"], ["a"] * 4, probabilities)
    estimates = metrics.estimate(scores)
    assert (estimates[PRECISION], estimates[RECALL], estimates[F1]) == (0.0, 0.0, 0.0)
    assert estimates[BALANCED_ACCURACY] == 0.5


def test_one_class_only_defines_no_auc_but_the_rest() -> None:
    scores = scores_of(("a", "b"), "b", ["a", "a"], ["a", "b"], [{"a": 0.9, "b": 0.1}, {"a": 0.4, "b": 0.6}])
    estimates = metrics.estimate(scores)
    assert math.isnan(estimates[AUC])
    assert (estimates[ACCURACY], estimates[BALANCED_ACCURACY], estimates[RECALL]) == (0.5, 0.5, 0.0)


def test_no_image_defines_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimates = metrics.estimate(scores_of(("a", "b"), "b", [], [], []))
    assert all(math.isnan(value) for value in estimates.values())


def test_an_answer_that_is_no_class_of_ours_is_wrong() -> None:
    scores = scores_of(("a", "b"), "b", ["a", "b"], ["c", "b"], [{"c": 0.8, "a": 0.2}, {"b": 0.9, "a": 0.1}])
    assert metrics.estimate(scores)[ACCURACY] == 0.5
    assert metrics.confusion(scores) == [[0, 0], [0, 1]]
    assert scores.confidence.tolist() == [0.8, 0.9]


def test_confusion_has_the_truth_in_rows() -> None:
    scores = random_scores(5, classes=4)
    expected = sklearn_metrics.confusion_matrix(scores.truth, scores.predicted, labels=range(4))
    assert metrics.confusion(scores) == expected.tolist()
    assert metrics.counts_by_class(scores) == dict(zip("abcd", expected.sum(axis=1).tolist(), strict=True))


def test_calibration_error_in_closed_form() -> None:
    """Ten answers at confidence 0.9 of which 7 are right, ten at 0.6 of which 6 are: (10 * 0.2 + 10 * 0) / 20."""
    confidence = np.array([0.9] * 10 + [0.6] * 10)
    correct = np.array([True] * 7 + [False] * 3 + [True] * 6 + [False] * 4)
    error = metrics.calibration_error(confidence, correct, np.ones((1, 20)))
    assert error[0] == pytest.approx(0.1, abs=1e-12)


def test_calibration_bins_are_open_below_and_closed_above() -> None:
    assert metrics.bins(np.array([0.0, 1e-9, 1 / 15, 1 / 15 + 1e-9, 0.5, 14 / 15, 1.0])).tolist() == [
        0, 0, 0, 1, 7, 13, 14,
    ]  # fmt: skip


def test_calibration_error_is_that_of_a_plain_loop() -> None:
    scores = random_scores(8, images=300, classes=3)
    expected = 0.0
    for index in range(15):
        low, high = index / 15, (index + 1) / 15
        inside = (scores.confidence > low) & (scores.confidence <= high)
        if inside.any():
            expected += inside.mean() * abs(scores.correct[inside].mean() - scores.confidence[inside].mean())
    assert metrics.estimate(scores)[ECE] == pytest.approx(expected, abs=1e-12)


# --- properties -------------------------------------------------------------------------------------------------------


@st.composite
def binary(draw: st.DrawFn) -> Scores:
    size = draw(st.integers(2, 40))
    truth = np.array(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)), np.int64)
    share = np.array(draw(st.lists(st.integers(0, 20), min_size=size, max_size=size))) / 20
    probabilities = np.stack([1 - share, share], axis=1)
    predicted = (share > 0.5).astype(np.int64)
    confidence = probabilities[np.arange(size), predicted]
    return Scores(("a", "b"), 1, truth, predicted, probabilities, confidence)


def close(left: dict[str, float], right: dict[str, float]) -> bool:
    return all(left[name] == pytest.approx(right[name], abs=1e-9, nan_ok=True) for name in left)


@settings(max_examples=60, deadline=None)
@given(scores=binary(), seed=st.integers(0, 100))
def test_the_order_of_images_does_not_matter(scores: Scores, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(scores))
    assert close(metrics.estimate(scores), metrics.estimate(scores.only(order)))


@settings(max_examples=60, deadline=None)
@given(scores=binary())
def test_swapping_the_classes_keeps_what_has_no_positive_class(scores: Scores) -> None:
    swapped = Scores(
        ("b", "a"),
        1,
        1 - scores.truth,
        1 - scores.predicted,
        scores.probabilities[:, ::-1],
        scores.confidence,
    )
    before, after = metrics.estimate(scores), metrics.estimate(swapped)
    for name in (BALANCED_ACCURACY, ACCURACY, AUC, ECE):  # the AUC is the same from either side
        assert before[name] == pytest.approx(after[name], abs=1e-9, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(scores=binary())
def test_metrics_are_shares(scores: Scores) -> None:
    assert all(math.isnan(value) or -1e-12 <= value <= 1 + 1e-12 for value in metrics.estimate(scores).values())


@settings(max_examples=60, deadline=None)
@given(truth=st.lists(st.integers(0, 2), min_size=3, max_size=30).filter(lambda truth: len(set(truth)) == 3))
def test_perfect_answers_are_perfect(truth: list[int]) -> None:
    labels = np.array(truth, np.int64)
    probabilities = np.eye(3)[labels]
    estimates = metrics.estimate(Scores(("a", "b", "c"), None, labels, labels, probabilities, np.ones(len(labels))))
    assert estimates == {**dict.fromkeys(metrics.SCORED, 1.0), ECE: 0.0}


@settings(max_examples=40, deadline=None)
@given(scores=binary(), power=st.sampled_from([0.5, 2.0, 3.0]))
def test_the_auc_sees_only_the_order_of_the_scores(scores: Scores, power: float) -> None:
    weights = np.ones((1, len(scores)))
    positive = scores.truth == 1
    share = scores.probabilities[:, 1]
    before, after = metrics.auc(share, positive, weights), metrics.auc(share**power, positive, weights)
    assert before[0] == pytest.approx(after[0], abs=1e-12, nan_ok=True)
    opposite = metrics.auc(-share, positive, weights)
    assert opposite[0] == pytest.approx(1 - before[0], abs=1e-12, nan_ok=True)
