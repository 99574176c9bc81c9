"""A processing job's folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.evaluation.steps import GATE, Item, Step, both_splits, items


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


@pytest.fixture
def evaluated(step: Step) -> Step:
    """Slices, groups, soft targets, mistakes and a champion."""
    chosen = [
        *items(60, wrong=6, slices={"camera": "old"}, group="m1"),
        *items(60, first=100, slices={"camera": "new"}, group="m2"),
        Item(240, "dark", target=0.25, number=500, slices={"camera": "new"}, group="m3"),
    ]
    step.prepare([*both_splits(count=0), *chosen], protocol="group")
    step.train()
    step.crown(turn=135.0)
    assert step.run(*GATE, "--gate-min-per-slice", "balanced_accuracy=0.6", "--gate-max", "ece=0.001") == 0
    return step
