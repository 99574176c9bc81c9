"""Metrics of a classifier, each computed for many weightings of the images at once.

A weighting is how often each image counts: all ones for the estimate itself, the counts of a resample for a bootstrap
(:mod:`training.scoring.intervals`). Names and definitions are those of scikit-learn unless said; a metric that is not
defined (no image, or for the AUC only one class) is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts.evaluation import ACCURACY, AUC, BALANCED_ACCURACY, ECE, ECE_BINS, F1, PRECISION, RECALL

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Rows = NDArray[np.bool_]

#: What :func:`compute` answers, in the order in which people read it.
SCORED = (BALANCED_ACCURACY, ACCURACY, F1, PRECISION, RECALL, AUC, ECE)

#: The smaller the better.
LOWER_IS_BETTER = (ECE, "latency_ms", "bundle_mb")


@dataclass(frozen=True, eq=False)
class Scores:
    """What a model answered for N images, beside the truth.

    Attributes:
        classes: K names.
        positive: with two classes the index of the one that precision, recall, F1 and AUC speak of; None: they are
            means over the classes (macro; AUC one against the rest).
        truth: ``(N,)`` index of the true class.
        predicted: ``(N,)`` index of the answered class; -1 for a label that is not among ``classes``.
        probabilities: ``(N, K)``.
        confidence: ``(N,)`` probability of the answered class.
    """

    classes: tuple[str, ...]
    positive: int | None
    truth: Integers
    predicted: Integers
    probabilities: Floats
    confidence: Floats

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def correct(self) -> Rows:
        same: Rows = self.predicted == self.truth
        return same

    def only(self, rows: Rows) -> Scores:
        """The scores of some images."""
        return Scores(
            self.classes,
            self.positive,
            self.truth[rows],
            self.predicted[rows],
            self.probabilities[rows],
            self.confidence[rows],
        )


def compute(scores: Scores, weights: Floats) -> dict[str, Floats]:
    """Each metric of :data:`SCORED` for each weighting.

    Args:
        weights: ``(B, N)``, not negative.

    Returns:
        Metric -> ``(B,)``.
    """
    classes = np.arange(len(scores.classes))
    is_class = (scores.truth[:, None] == classes).astype(np.float64)
    is_answer = (scores.predicted[:, None] == classes).astype(np.float64)
    support = weights @ is_class  # (B, K)
    answered = weights @ is_answer
    hits = weights @ (is_class * is_answer)
    total = weights.sum(axis=1)
    present, met = support > 0, (support > 0) | (answered > 0)
    recall = _ratio(hits, support)
    # A class that was never answered has precision 0, and F1 is 0 without a hit, as in scikit-learn.
    precision = np.where(answered > 0, _ratio(hits, answered), 0.0)
    f1 = np.where(support + answered > 0, _ratio(2 * hits, support + answered), 0.0)
    return {
        BALANCED_ACCURACY: _mean_where(recall, present),
        ACCURACY: _ratio(hits.sum(axis=1), total),
        F1: _of_positive(f1, scores.positive, met),
        PRECISION: _of_positive(precision, scores.positive, met),
        RECALL: _of_positive(np.where(present, recall, 0.0), scores.positive, met),
        AUC: _auc(scores, weights),
        ECE: calibration_error(scores.confidence, scores.correct, weights),
    }


def estimate(scores: Scores) -> dict[str, float]:
    """Each metric of :data:`SCORED`, each image counted once."""
    return {name: float(values[0]) for name, values in compute(scores, np.ones((1, len(scores)))).items()}


def confusion(scores: Scores) -> list[list[int]]:
    """``K x K`` counts; rows are the truth, columns the answers. Answers that are no class of ours are left out."""
    size = len(scores.classes)
    known = scores.predicted >= 0
    counts = np.bincount(scores.truth[known] * size + scores.predicted[known], minlength=size * size)
    return [[int(value) for value in row] for row in counts.reshape(size, size)]


def counts_by_class(scores: Scores) -> dict[str, int]:
    """Class -> images of it."""
    counts = np.bincount(scores.truth, minlength=len(scores.classes))
    return {name: int(count) for name, count in zip(scores.classes, counts, strict=True)}


def auc(score: Floats, positive: Rows, weights: Floats) -> Floats:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties count half.

    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747; with weights as ``roc_auc_score(sample_weight=…)``.

    Args:
        score: ``(N,)``.
        positive: ``(N,)``.
        weights: ``(B, N)``.
    """
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    if not len(ordered):
        return np.full(len(weights), np.nan)
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # of runs of equal scores
    sorted_weights = weights[:, order]
    of_positive = np.where(positive[order], sorted_weights, 0.0)
    positives = np.add.reduceat(of_positive, starts, axis=1)
    negatives = np.add.reduceat(sorted_weights - of_positive, starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    won = (positives * (below + negatives / 2)).sum(axis=1)
    return _ratio(won, positives.sum(axis=1) * negatives.sum(axis=1))


def calibration_error(confidence: Floats, correct: Rows, weights: Floats) -> Floats:
    """Expected calibration error with hard labels and 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599).

    The confidence is the probability of the class that was answered, which with a threshold need not be the largest.

    Args:
        confidence: ``(N,)`` in 0…1.
        correct: ``(N,)``.
        weights: ``(B, N)``.
    """
    in_bin = np.eye(ECE_BINS)[bins(confidence)]  # (N, bins)
    gap = weights @ (in_bin * (correct - confidence)[:, None])
    return _ratio(np.abs(gap).sum(axis=1), weights.sum(axis=1))


def bins(confidence: Floats) -> Integers:
    """``(N,)`` the bin of each confidence, 0 … 14; bin m holds ``(m / 15, (m + 1) / 15]``."""
    indices: Integers = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    return indices


def _auc(scores: Scores, weights: Floats) -> Floats:
    if scores.positive is not None:
        return auc(scores.probabilities[:, scores.positive], scores.truth == scores.positive, weights)
    each = [auc(scores.probabilities[:, index], scores.truth == index, weights) for index in range(len(scores.classes))]
    mean: Floats = np.mean(each, axis=0)  # NaN when a class is missing, as in scikit-learn
    return mean


def _of_positive(by_class: Floats, positive: int | None, counted: Rows) -> Floats:
    if positive is None:
        return _mean_where(by_class, counted)
    # Not defined without any image at all; 0 when there is none of the positive class.
    return np.where(counted.any(axis=1), by_class[:, positive], np.nan)


def _mean_where(values: Floats, counted: Rows) -> Floats:
    return _ratio(np.where(counted, values, 0.0).sum(axis=1), counted.sum(axis=1).astype(np.float64))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Floats = np.where(denominator > 0, numerator / denominator, np.nan)
    return ratio


def scores_of(
    classes: tuple[str, ...],
    positive_class: str | None,
    truth: list[str],
    predicted: list[str],
    probabilities: list[Mapping[str, float]],
) -> Scores:
    """:class:`Scores` from labels; probabilities of classes that are not ours are left out, missing ones are 0."""
    index = {name: number for number, name in enumerate(classes)}
    return Scores(
        classes,
        index[positive_class] if positive_class is not None and len(classes) == 2 else None,
        np.array([index[label] for label in truth], np.int64),
        np.array([index.get(label, -1) for label in predicted], np.int64),
        np.array([[row.get(name, 0.0) for name in classes] for row in probabilities], np.float64).reshape(
            len(truth), len(classes)
        ),
        np.array([row[label] for row, label in zip(probabilities, predicted, strict=True)], np.float64),
    )
