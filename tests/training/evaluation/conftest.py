"""A processing job's folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.evaluation.steps import Step


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(tmp_path / "ml")


@pytest.fixture
def ready(step: Step) -> Step:
    """A dataset, a good model, no champion."""
    step.prepare()
    step.train()
    step.no_champion()
    return step
