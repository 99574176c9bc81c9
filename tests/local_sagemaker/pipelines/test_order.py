"""Random pipelines: each step runs once, after all that it needs, whatever the order of writing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_sagemaker.pipelines.definition import parse
from tests.local_sagemaker.jobs.harness import reset_moto
from tests.local_sagemaker.pipelines.harness import PipelineSageMaker, condition_step, definition, equals, get


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineSageMaker]:
    reset_moto()
    found = PipelineSageMaker(Path(tmp_path_factory.mktemp("order")) / "state")
    found.start()
    yield found
    found.stop()


@st.composite
def pipelines(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Condition steps in a random graph: they need steps before them, by name or by reference, and nest."""
    count = draw(st.integers(1, 7))
    steps: list[dict[str, Any]] = []
    top: list[dict[str, Any]] = []
    for number in range(count):
        before = [step["Name"] for step in steps]
        needs = draw(st.lists(st.sampled_from(before), unique=True, max_size=2)) if before else []
        refers = draw(st.lists(st.sampled_from(before), unique=True, max_size=1)) if before else []
        conditions = [
            equals(draw(st.integers(0, 1)), 1),
            *(equals(get(f"Steps.{name}.Outcome"), "True") for name in refers),
        ]
        step = condition_step(f"s{number}", conditions, [], [], DependsOn=needs)
        around = draw(st.sampled_from([None, *steps]))
        if around is None:
            top.append(step)
        else:
            around["Arguments"][draw(st.sampled_from(["IfSteps", "ElseSteps"]))].append(step)
        steps.append(step)
    return top


def _expected(text: str) -> dict[str, str]:
    """Which steps run and how their conditions turn out, worked out without any scheduler."""
    found = parse(text)
    outcomes: dict[str, str] = {}
    for name in found.steps:
        _settle(name, found, outcomes)
    return outcomes


def _settle(name: str, found: Any, outcomes: dict[str, str]) -> bool:
    """Whether the step runs; puts its outcome into ``outcomes``."""
    step = found.steps[name]
    if name in outcomes:
        return True
    if not all(_settle(need, found, outcomes) for need in sorted(step.needs)):
        return False
    if step.parent is not None and outcomes[step.parent] != str(step.side):
        return False

    def value(side: Any) -> Any:
        return outcomes[side["Get"].split(".")[1]] if isinstance(side, dict) else side

    holds = all(value(item["LeftValue"]) == value(item["RightValue"]) for item in step.arguments["Conditions"])
    outcomes[name] = str(holds)
    return True


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pipelines(), st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_order_of_writing_does_not_matter(
    server: PipelineSageMaker, steps: Any, random: Any, parallel: int
) -> None:
    random.shuffle(steps)
    text = definition(steps)
    expected = _expected(text)
    name = f"random-{server.token()}"
    server.create(name, steps)
    arn, execution = server.run(name, ParallelismConfiguration={"MaxParallelExecutionSteps": parallel})
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    ran = server.steps(arn)
    assert {step: item["Metadata"]["Condition"]["Outcome"] for step, item in ran.items()} == expected
    found = parse(text).steps
    order = list(ran)
    for step in order:
        assert all(order.index(need) < order.index(step) for need in found[step].needs)
        assert all(ran[need]["EndTime"] <= ran[step]["StartTime"] for need in found[step].needs)
    assert all(item["AttemptCount"] == 1 for item in ran.values())
