"""The temperature: right with many images, careful with few groups."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.calibration import fit_temperature, negative_log_likelihood


def sample(temperature: float, count: int = 20_000) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits that are ``temperature`` times what would be right, and labels drawn from what is right."""
    generator = np.random.default_rng(0)
    right = generator.normal(0, 2, (count, 3))
    probabilities = np.exp(right) / np.exp(right).sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    return (temperature * right).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_many_images_give_the_temperature_that_is_right(temperature: float) -> None:
    logits, labels = sample(temperature)
    assert fit_temperature(logits, labels, len(labels)) == pytest.approx(temperature, rel=0.05)


def test_few_groups_stay_near_one() -> None:
    logits, labels = sample(2.5)
    few, some, many = (fit_temperature(logits, labels, observations) for observations in (1, 5, 5000))
    assert 1 < few < some < many


def test_no_image_is_wrong_and_the_temperature_stays_finite() -> None:
    logits = np.asarray([[9.0, -9.0], [-9.0, 9.0]], np.float32)
    assert 0.25 <= fit_temperature(logits, np.asarray([0, 1]), 2) <= 1


def test_negative_log_likelihood_does_not_overflow() -> None:
    logits = np.asarray([[1e4, 0.0], [0.0, 1e4]])
    assert negative_log_likelihood(logits, np.asarray([0, 1])) == 0
    assert negative_log_likelihood(logits, np.asarray([1, 1])) == pytest.approx(5e3)
