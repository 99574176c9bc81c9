"""Everything an evaluation found, and ``evaluation.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contracts import evaluation as contract
from contracts import jsonio
from contracts.bundle import BundleSpec
from contracts.dataset import PreparedDataset
from contracts.errors import ContractError
from training.scoring import comparison as comparisons
from training.scoring import gate, intervals, metrics
from training.scoring.answers import Answer, milliseconds
from training.scoring.comparison import Comparison
from training.scoring.gate import Rules, Verdict
from training.scoring.intervals import Interval
from training.scoring.metrics import Integers, Rows, Scores
from training.scoring.precision import Choice

#: Slices that are reported; those that the gate looks at always are, then the largest.
MAX_SLICES = 50
_DECIMALS = 6


@dataclass(frozen=True)
class Slice:
    """The images with one value of one attribute.

    Attributes:
        counts: class -> images.
        gated: it has at least 30 images of each class, so the gate looks at it.
    """

    counts: Mapping[str, int]
    gated: bool
    metrics: Mapping[str, Interval]


@dataclass(frozen=True)
class Champion:
    """The champion's bundle and what it was trained on."""

    spec: BundleSpec
    dataset: PreparedDataset
    answers: Sequence[Answer]


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found; :func:`evaluate` makes it.

    Attributes:
        spec: of the bundle.
        dataset: that it was trained and tested on.
        answers: for each image of the test split, sorted by path; so are the rows of ``scores``.
        metrics: name -> estimate with its interval; all of ``contracts.evaluation.METRICS``.
        slices: ``column=value`` -> slice.
        slices_left_out: small slices that are not in ``slices``.
        compared: ``(N,)`` the images that the champion was compared on; None when there is no champion.
        champion_answers: for each image of the test split; None when there is no champion.
        choice: which of the bundle's graphs gave the answers, and why.
    """

    spec: BundleSpec
    dataset: PreparedDataset
    rules: Rules
    answers: Sequence[Answer]
    scores: Scores
    metrics: Mapping[str, Interval]
    slices: Mapping[str, Slice]
    slices_left_out: int
    comparison: Comparison | None
    compared: Rows | None
    champion_answers: Sequence[Answer] | None
    verdict: Verdict
    choice: Choice

    def to_json(self) -> dict[str, Any]:
        """``evaluation.json``, of at most 1 MB: what grows with the number of classes is left out before that."""
        document: dict[str, Any] = {
            "format_version": contract.FORMAT_VERSION,
            "protocol": self.dataset.protocol,
            "dataset_hash": self.dataset.dataset_hash,
            "source_hash": self.spec.source_hash,
            "bundle_hash": self.spec.bundle_hash,
            "classes": list(self.spec.classes),
            "positive_class": self.spec.positive_class,
            "counts": {"test": len(self.scores), "by_class": metrics.counts_by_class(self.scores)},
            "metrics": _to_json(self.metrics),
            "slices": {
                name: {"counts": dict(part.counts), "gated": part.gated, "metrics": _to_json(part.metrics)}
                for name, part in self.slices.items()
            },
            "confusion": metrics.confusion(self.scores),
            "champion": None if self.comparison is None else self.comparison.to_json(),
            "serving": self.choice.to_json(),
            "gate": self.verdict.to_json(),
        }
        smaller: list[tuple[str, Any]] = [
            ("confusion", []),
            ("slices", {name: value for name, value in document["slices"].items() if value["gated"]}),
            ("slices", {}),
        ]
        while len(jsonio.pretty(document).encode()) > contract.MAX_EVALUATION_BYTES:
            if not smaller:
                raise ContractError(f"{contract.EVALUATION} would be larger than {contract.MAX_EVALUATION_BYTES} bytes")
            name, value = smaller.pop(0)
            document[name] = value
        return document


def evaluate(
    spec: BundleSpec,
    dataset: PreparedDataset,
    answers: Sequence[Answer],
    archive_bytes: int,
    champion: Champion | None,
    rules: Rules,
    *,
    is_champion: bool = False,
    choice: Choice | None = None,
) -> Evaluation:
    """The evaluation of a bundle from its answers on the test split.

    Args:
        answers: sorted by path.
        archive_bytes: size of ``model.tar.gz``.
        champion: with its answers for the same images in the same order.
        is_champion: the bundle is the champion's own.
        choice: which of the bundle's graphs gave the answers; float32 unless given.
    """
    scores = _scores(spec.classes, spec.positive_class, answers)
    cluster = intervals.clusters([answer.image.group for answer in answers], dataset.protocol)
    found = {
        **intervals.intervals(scores, cluster),
        contract.LATENCY_MS: intervals.median(milliseconds(answers)),
        contract.BUNDLE_MB: intervals.exact(archive_bytes / 1e6),
    }
    slices, left_out = _slices(dataset.slice_columns, answers, scores, cluster)
    comparison, compared = None, None
    if champion is not None:
        theirs = _scores(spec.classes, spec.positive_class, champion.answers)
        compared = _compared(dataset, answers, champion.dataset)
        comparison = comparisons.compare(scores, theirs, cluster, compared, champion.spec.bundle_hash)
    verdict = gate.decide(
        rules,
        {name: interval.value for name, interval in found.items()},
        {
            name: {metric: interval.value for metric, interval in part.metrics.items()}
            for name, part in slices.items()
            if part.gated
        },
        comparison,
        protocol=dataset.protocol,
        images=len(answers),
        is_champion=is_champion,
    )
    return Evaluation(
        spec,
        dataset,
        rules,
        answers,
        scores,
        found,
        slices,
        left_out,
        comparison,
        compared,
        champion.answers if champion is not None else None,
        verdict,
        choice or Choice(),
    )


def _scores(classes: tuple[str, ...], positive_class: str | None, answers: Sequence[Answer]) -> Scores:
    """A champion that knows other classes answers by name: a class that it does not know it cannot answer."""
    return metrics.scores_of(
        classes,
        positive_class,
        [answer.image.label for answer in answers],
        [answer.prediction.label for answer in answers],
        [answer.prediction.probabilities for answer in answers],
    )


def _compared(dataset: PreparedDataset, answers: Sequence[Answer], champion: PreparedDataset) -> Rows:
    if champion.dataset_hash == dataset.dataset_hash:
        return np.ones(len(answers), np.bool_)
    return comparisons.untrained([answer.image for answer in answers], dataset.source, champion)


def _slices(
    columns: Sequence[str], answers: Sequence[Answer], scores: Scores, cluster: Integers
) -> tuple[dict[str, Slice], int]:
    rows: dict[str, Rows] = {}
    for column in columns:
        values = np.array([answer.image.slices.get(column, "") for answer in answers])
        for value in sorted(set(values) - {""}):
            rows[f"{column}={value}"] = values == value
    counts = {name: metrics.counts_by_class(scores.only(chosen)) for name, chosen in rows.items()}
    gated = {name: min(by_class.values()) >= contract.MIN_SLICE_IMAGES for name, by_class in counts.items()}
    ranked = sorted(rows, key=lambda name: (not gated[name], -int(rows[name].sum()), name))
    kept = set(ranked[: max(MAX_SLICES, sum(gated.values()))])
    slices = {
        name: Slice(counts[name], gated[name], intervals.intervals(scores, cluster, chosen))
        for name, chosen in rows.items()
        if name in kept
    }
    return slices, len(rows) - len(slices)


def _to_json(values: Mapping[str, Interval]) -> dict[str, Any]:
    return {
        name: {part: None if number is None else round(number, _DECIMALS) for part, number in value.to_json().items()}
        for name, value in values.items()
    }
