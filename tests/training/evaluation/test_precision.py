"""Both graphs of a bundle are scored; int8 is served only if it is asked for and loses no more than the bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts import bundle
from contracts.bundle import Calibration
from tests.inference import tiny
from tests.training.evaluation.steps import GATE, STEEP, Step, both_splits

ASK_INT8 = (*GATE, "--precision", "int8", "--int8-max-loss", "0.05")
SLOPE = STEEP / 2


@pytest.fixture
def step(tmp_path: Path) -> Step:
    made = Step(tmp_path)
    made.prepare(both_splits())
    made.no_champion()
    return made


def quantised(folder: Path, turn: float = 127.5) -> bytes:
    """Another graph that turns at ``turn``, in the place of the quantised one."""
    shift = SLOPE * (turn - 127.5) / 127.5
    path = folder / f"turns-at-{turn}.onnx"
    tiny.write_model(path, weights=(-SLOPE, SLOPE), bias=(shift, -shift))
    return path.read_bytes()


def train(step: Step, turn: float = 127.5, **changes: Any) -> str:
    """A bundle whose int8 graph turns at ``turn``."""
    return step.train(int8=Calibration(2.0, {}), members={bundle.INT8_MODEL: quantised(step.base, turn)}, **changes)


def test_float32_is_served_unless_the_settings_ask(step: Step) -> None:
    train(step)
    assert step.run() == 0
    serving = step.found["serving"]
    assert (serving["precision"], set(serving["graphs"])) == ("float32", {"float32", "int8"})


def test_int8_that_loses_nothing_is_served_with_its_own_temperature(step: Step) -> None:
    train(step)
    assert step.run(*ASK_INT8) == 0
    serving = step.found["serving"]
    assert (serving["precision"], serving["asked"], serving["int8_max_loss"]) == ("int8", "int8", 0.05)
    assert serving["graphs"]["int8"]["balanced_accuracy"] == serving["graphs"]["float32"]["balanced_accuracy"] == 1.0
    report = step.text("report.html")
    assert "<h2>Precision</h2>" in report and "<b>int8</b>" in report and "served as</dt><dd>int8" in report
    assert "temperature</dt><dd>2<" in report
    # Twice the temperature: less certain, so that the calibration error is another one.
    assert step.found["metrics"]["ece"]["value"] == pytest.approx(serving["graphs"]["int8"]["ece"], abs=1e-5)
    assert serving["graphs"]["int8"]["ece"] != serving["graphs"]["float32"]["ece"]


def test_int8_that_loses_too_much_is_not_served(step: Step) -> None:
    train(step, turn=170)
    assert step.run(*ASK_INT8) == 0
    serving = step.found["serving"]
    assert serving["precision"] == "float32"
    loss = serving["graphs"]["float32"]["balanced_accuracy"] - serving["graphs"]["int8"]["balanced_accuracy"]
    assert loss > 0.05 and f"it loses {loss:.4f}" in serving["reason"] and "more than the bound" in serving["reason"]
    assert step.found["metrics"]["balanced_accuracy"]["value"] == 1.0


def test_a_bundle_without_an_int8_graph_is_served_as_it_is(step: Step) -> None:
    step.train()
    assert step.run(*ASK_INT8) == 0
    assert step.found["serving"]["precision"] == "float32"
    assert "could not be quantised" in step.found["serving"]["reason"]


def test_the_champion_is_asked_with_the_graph_that_it_is_served_with(step: Step) -> None:
    train(step)
    of = step.crown(int8=Calibration(1.0, {}), members={bundle.INT8_MODEL: quantised(step.base, 170)})
    (step.champion / "evaluation.json").write_text('{"serving": {"precision": "int8"}}')
    assert step.run() == 0
    champion = step.found["champion"]
    assert champion["bundle_hash"] == of
    assert champion["metrics"]["balanced_accuracy"]["value"] < 1.0


def test_the_same_bundle_with_another_precision_is_something_new(step: Step) -> None:
    members = {bundle.INT8_MODEL: quantised(step.base)}
    same = step.train(int8=Calibration(2.0, {}), members=members)
    assert step.crown(int8=Calibration(2.0, {}), members=members) == same
    (step.champion / "evaluation.json").write_text('{"serving": {"precision": "float32"}}')
    assert step.run() == 0
    assert step.found["gate"]["outcome"] == "nothing-new"
    assert step.run(*ASK_INT8) == 0
    assert step.found["gate"]["outcome"] == "register"


def test_an_unknown_precision_is_wrong_use(step: Step) -> None:
    train(step)
    assert step.run(*GATE, "--precision", "int4") != 0
    assert "int4" in step.message
