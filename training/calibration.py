"""Temperature scaling: one number, fitted on the validation split, that makes probabilities mean what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

#: No temperature outside this range is believed: a few validation images can ask for any.
SMALLEST, LARGEST = 0.25, 4.0


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature that minimises the negative log likelihood (Guo et al. 2017, arXiv:1706.04599), 4 decimals.

    Args:
        logits: ``(N, classes)`` of the exported graph for the validation images.
        labels: ``(N,)`` numbers of the classes.
    """
    exact = logits.astype(np.float64)
    found = minimize_scalar(
        lambda log_temperature: negative_log_likelihood(exact / np.exp(log_temperature), labels),
        bounds=(np.log(SMALLEST), np.log(LARGEST)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return round(float(np.exp(found.x)), 4)


def negative_log_likelihood(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean of -log softmax(logits)[label], in nats."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sums - shifted[np.arange(len(labels)), labels]).mean())
