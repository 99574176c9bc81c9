"""Which of a bundle's graphs is to be served: the quantised one only if it is asked for and loses next to nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contracts.bundle import FLOAT32, INT8, BundleSpec
from contracts.evaluation import ACCURACY, AUC, BALANCED_ACCURACY, ECE, LATENCY_MS
from training.scoring import metrics
from training.scoring.answers import Answer, milliseconds

#: What is told of each graph beside the choice.
TOLD = (BALANCED_ACCURACY, ACCURACY, AUC, ECE)


@dataclass(frozen=True, slots=True)
class Choice:
    """The served precision and why.

    Attributes:
        asked: what the settings ask for.
        max_loss: of balanced accuracy, int8 against float32.
        graphs: precision -> metrics of each graph of the bundle, on the same images.
    """

    precision: str = FLOAT32
    reason: str = "The settings ask for float32."
    asked: str = FLOAT32
    max_loss: float = 0.0
    graphs: Mapping[str, Mapping[str, float | None]] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "precision": self.precision,
            "reason": self.reason,
            "asked": self.asked,
            "int8_max_loss": self.max_loss,
            "graphs": {
                name: {metric: None if value is None else round(value, 6) for metric, value in found.items()}
                for name, found in (self.graphs or {}).items()
            },
        }


def choose(spec: BundleSpec, answers: Mapping[str, Sequence[Answer]], asked: str, max_loss: float) -> Choice:
    """The choice from each graph's answers on the test split.

    The test split decides nothing but whether the loss is within a bound that was set before: no graph is preferred
    because it scores better.

    Args:
        answers: precision -> answers; ``float32`` is always there.
    """
    graphs = {name: _measured(spec, found) for name, found in answers.items()}
    if asked == FLOAT32:
        return Choice(asked=asked, max_loss=max_loss, graphs=graphs)
    if INT8 not in graphs:
        reason = "int8 was asked for, and the network could not be quantised."
        return Choice(FLOAT32, reason, asked, max_loss, graphs)
    loss = (graphs[FLOAT32][BALANCED_ACCURACY] or 0.0) - (graphs[INT8][BALANCED_ACCURACY] or 0.0)
    within = loss <= max_loss
    reason = (
        f"int8 was asked for; it loses {loss:.4f} of balanced accuracy, {'within' if within else 'more than'} the bound"
        f" of {max_loss:g}."
    )
    return Choice(INT8 if within else FLOAT32, reason, asked, max_loss, graphs)


def _measured(spec: BundleSpec, answers: Sequence[Answer]) -> dict[str, float | None]:
    scores = metrics.scores_of(
        spec.classes,
        spec.positive_class,
        [answer.image.label for answer in answers],
        [answer.prediction.label for answer in answers],
        [answer.prediction.probabilities for answer in answers],
    )
    estimate = metrics.estimate(scores)
    # What is not defined, the AUC of a single class for example, is None.
    found = {name: estimate[name] if np.isfinite(estimate[name]) else None for name in TOLD}
    return {**found, LATENCY_MS: float(np.median(milliseconds(answers)))}
