"""What a person sees of an execution: lines where nobody watches, a table on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cv_factory.cli import view
from cv_factory.cli.common import Screen
from cv_factory.operations.executions import Execution, Step

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/p/execution/e1"


def execution(*steps: Step, status: str = "Executing") -> Execution:
    return Execution(ARN, status, "", steps, 10.0)


def test_lines_tell_each_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    with view.watching(Screen(json=False, verbose=False), lambda step: "never asked") as show:
        show(execution(Step("Preprocess", "Executing", "Processing")))
        show(execution(Step("Preprocess", "Executing", "Processing")))
        show(
            execution(
                Step("Preprocess", "Succeeded", "Processing", cache_hit=True, seconds=0.25),
                Step("Gate", "Succeeded", "Condition"),
                Step("Train", "Failed", "Training", seconds=61),
                status="Failed",
            )
        )
    assert capsys.readouterr().out.splitlines() == [
        "  Preprocess: Executing",
        "  Preprocess: Succeeded (cache) in 0.2 s",
        "  Train: Failed in 61.0 s",
    ]


def test_terminal_shows_waiting_steps_and_the_last_log_line() -> None:
    screen = Screen(json=False, verbose=False)
    text = io.StringIO()
    screen.__dict__["out"] = Console(file=text, force_terminal=True, width=100, highlight=False)
    asked = []

    def last_line(step: Step) -> str:
        asked.append(step.name)
        return "epoch=3 train_loss=0.31"

    with view.watching(screen, last_line) as show:
        for _ in range(5):
            show(execution(Step("Train", "Executing", "Training", job="train-1", seconds=5)))
        screen.say("Report: [here]")
    shown = text.getvalue()
    assert "Report: [here]" in shown and "[dim]" not in shown and "[yellow]" not in shown
    assert "epoch=3 train_loss=0.31" in shown and "Evaluate" in shown and "waiting" in shown
    assert asked == ["Train"]  # the log is not read at every look


def test_names_with_brackets_are_no_markup() -> None:
    text = io.StringIO()
    failed = Step("Train", "Failed", "Training", failure="[/red] no such file [bold]")
    Console(file=text, width=100).print(view.table(execution(failed, status="Failed"), waiting=False))
    assert "[/red] no such file [bold]" in text.getvalue()
