"""Definitions that are refused, each with a sentence that names the place."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.errors import ValidationException
from local_sagemaker.pipelines import graph
from local_sagemaker.pipelines.definition import LONGEST, parse
from tests.local_sagemaker.jobs.harness import channel, s3_input
from tests.local_sagemaker.pipelines.harness import (
    condition_step,
    definition,
    equals,
    fail_step,
    get,
    join,
    json_get,
    lambda_step,
    run_step,
    train_step,
)

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


def words(text: str) -> str:
    with pytest.raises(ValidationException) as error:
        parse(text)
    assert error.value.message.startswith("Unable to parse pipeline definition: ")
    return error.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is not JSON"),
        ("[]", "it must be a JSON object"),
        ('{"Version": "1"}', "Version is '1'; it must be '2020-12-01'"),
        (definition([]), "Steps must be a list with one step or more"),
        (definition([run_step("A")], Triggers=[]), "unknown member Triggers"),
        (json.dumps({"Version": "2020-12-01", "Steps": [1]}), "each step must be an object with a Name"),
        ("x" * (LONGEST + 1), "1,048,577 characters"),
        (definition([run_step("A"), run_step("A")]), "the step name A is used more than once"),
        (definition([run_step("A b")]), "the step name 'A b' must be"),
        (definition([{"Name": "A", "Type": "Magic", "Arguments": {}}]), "step A: unknown Type 'Magic'; known are"),
        (
            definition([{"Name": "A", "Type": "Endpoint", "Arguments": {}}]),
            "step A: steps of type Endpoint are not supported by the local SageMaker (it carries no deployment",
        ),
        (
            definition([{"Name": "A", "Type": "Callback", "Arguments": {}}]),
            "step A: steps of type Callback are not supported by the local SageMaker",
        ),
        (definition([{"Name": "A", "Type": "Fail"}]), "step A: Arguments must be an object"),
        (definition([run_step("A", FunctionArn="x")]), "step A: a Processing step has no member FunctionArn"),
    ],
)
def test_form(text: str, said: str) -> None:
    assert said in words(text)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ([{"Name": "P", "Type": "Date"}], "parameter P has the Type 'Date'; known are String, Integer, Float, Boolean"),
        (
            [{"Name": "P", "Type": "Integer", "DefaultValue": "1"}],
            "parameter P has the DefaultValue '1', which is no Integer",
        ),
        ([{"Name": "P", "Type": "Integer", "DefaultValue": True}], "which is no Integer"),
        (
            [{"Name": "P", "Type": "String", "DefaultValue": "c", "EnumValues": ["a", "b"]}],
            "not one of its EnumValues ['a', 'b']",
        ),
        ([{"Name": "P", "Type": "String"}] * 2, "the parameter name P is used more than once"),
        ([{"Name": "P", "Type": "String", "Max": 1}], "parameter P has the unknown member Max"),
        ({}, "Parameters must be a list"),
    ],
)
def test_parameters(parameters: Any, said: str) -> None:
    document = json.loads(definition([run_step("A")])) | {"Parameters": parameters}
    assert said in words(json.dumps(document))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (run_step("A", DependsOn=["B"]), "step A: DependsOn names the step B, which is not in the pipeline"),
        (
            run_step("A", DependsOn=[{"Step": "B", "Trigger": "Failed"}]),
            "step A: DependsOn with Trigger 'Failed' is not supported",
        ),
        (
            fail_step("A", get("Parameters.X")),
            "step A: the reference Parameters.X names a parameter that is not defined; defined are: P",
        ),
        (fail_step("A", get("Execution.X")), "step A: the reference Execution.X names no execution variable"),
        (
            fail_step("A", get("Steps.B.Outcome")),
            "step A: the reference Steps.B.Outcome names the step B, which is not in the pipeline",
        ),
        (
            fail_step("A", get("Steps.Made.Nothing")),
            "the reference Steps.Made.Nothing names Nothing, which DescribeProcessingJob does not answer",
        ),
        (
            fail_step("A", get("Steps.Made.ProcessingOutputConfig.Outputs['o'].S3")),
            "names ProcessingOutputConfig.Outputs.o.S3, which DescribeProcessingJob",
        ),
        (fail_step("A", json_get("Made", "F", "x")), "names a property file that the step Made does not declare"),
        (
            fail_step("A", get("Steps.Said.OutputParameters['y']")),
            "must be OutputParameters['…'] with an output of the Lambda step: x",
        ),
        (fail_step("A", get("Steps.Said.Payload")), "must be OutputParameters['…']"),
        (fail_step("A", join(["x"])), "Std:Join joins texts, numbers and references"),
        (fail_step("A", 5), "Arguments of a Fail step take ErrorMessage"),
        (condition_step("A", [], [], []), "step A: Conditions must be a list with one condition or more"),
        (
            {"Name": "A", "Type": "Condition", "Arguments": {"Conditions": []}},
            "must have Conditions, IfSteps and ElseSteps",
        ),
        (condition_step("A", [equals(get("Steps.A.Outcome"), "True")], [], []), "its steps form a cycle: A -> A"),
        (
            condition_step("A", [equals(get("Steps.B.ProcessingJobName"), "x")], [run_step("B")], []),
            "form a cycle: A -> B -> A",
        ),
        (lambda_step("A", ARN, {}, {"x": "Text"}), "the output x has the OutputType 'Text'"),
        ({"Name": "A", "Type": "Lambda", "Arguments": {}}, "step A: FunctionArn is missing"),
        (run_step("A", CacheConfig={"Enabled": True}), "CacheConfig needs ExpireAfter"),
        (run_step("A", CacheConfig={"Enabled": True, "ExpireAfter": "soon"}), "CacheConfig.ExpireAfter is 'soon'"),
        (run_step("A", RetryPolicies=[{"ExceptionType": ["Step.OOM"], "MaxAttempts": 1}]), "ExceptionType 'Step.OOM'"),
        (run_step("A", RetryPolicies=[{"ExceptionType": ["Step.THROTTLING"]}]), "needs MaxAttempts or ExpireAfterMin"),
        (
            run_step("A", RetryPolicies=[{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 21}]),
            "MaxAttempts 21; it must be a number from 1 to 20",
        ),
        (
            run_step("A", PropertyFiles=[{"PropertyFileName": "F", "OutputName": "o", "FilePath": "f"}]),
            "the property file F is in the output 'o', which the step does not have",
        ),
        (run_step("A", Arguments={"Environ": {}}), "step A: Arguments has the unknown member Environ"),
        (run_step("A", Arguments={"RoleArn": None}), "step A: Arguments lacks the member RoleArn"),
        (
            run_step("A", Arguments={"ProcessingInputs": get("Parameters.P")}),
            "Arguments.ProcessingInputs must be a list, an expression stands for a single value only",
        ),
        (
            run_step("A", Arguments={"ProcessingInputs": [s3_input("i", "s3://b/k", S3DataType="Zip")]}),
            "Arguments.ProcessingInputs[0].S3Input.S3DataType: Value 'Zip'",
        ),
        (
            train_step("A", Arguments={"ResourceConfig": {"InstanceCount": "1"}}),
            "Arguments.ResourceConfig.InstanceCount: Value '1'",
        ),
        (
            train_step("A", Arguments={"MlflowConfig": {"MlflowResourceArn": "arn:aws:x"}}),
            "Arguments.MlflowConfig is not supported by the local SageMaker",
        ),
    ],
)
def test_steps(step: dict[str, Any], said: str) -> None:
    others = [run_step("Made"), lambda_step("Said", ARN, {}, {"x": "String"})]
    assert said in words(definition([*others, step], [{"Name": "P", "Type": "String"}]))


def test_problems_inside_conditions_are_found() -> None:
    inner = condition_step("In", [equals(1, 1)], [], [run_step("Deep", DependsOn=["Gone"])])
    assert "step Deep: DependsOn names the step Gone" in words(
        definition([condition_step("Out", [equals(1, 1)], [inner], [])])
    )


def test_a_cycle_is_shown_step_by_step() -> None:
    steps = [
        train_step("A", Arguments={"InputDataConfig": [channel("c", get("Steps.C.ProcessingJobName"))]}),  # type: ignore[arg-type]
        run_step("B", DependsOn=["A"]),
        run_step("C", DependsOn=["B"]),
    ]
    assert "its steps form a cycle: A -> B -> C -> A." in words(definition(steps))


def test_what_a_step_needs() -> None:
    steps = [
        run_step("A"),
        run_step("B", DependsOn=["A"]),
        condition_step(
            "If", [equals(get("Steps.B.ProcessingJobStatus"), "Completed")],
            [fail_step("No", join(get("Steps.A.ProcessingJobArn")))], [],
        ),
    ]  # fmt: skip
    found = parse(definition(steps))
    assert {name: set(step.needs) for name, step in found.steps.items()} == {
        "A": set(), "B": {"A"}, "If": {"B"}, "No": {"A", "If"},
    }  # fmt: skip
    assert (found.steps["No"].parent, found.steps["No"].side) == ("If", True)


@given(st.text(max_size=60))
def test_any_text_is_refused_with_a_sentence(text: str) -> None:
    words(text)


_NODES = st.integers(1, 9).flatmap(
    lambda count: st.fixed_dictionaries({
        f"s{number}": st.sets(st.sampled_from([f"s{other}" for other in range(count)]), max_size=3)
        for number in range(count)
    })
)  # fmt: skip


@given(_NODES)
def test_a_cycle_is_found_exactly_when_there_is_no_order(needs: dict[str, set[str]]) -> None:
    cycle = graph.find_cycle(needs)
    done: set[str] = set()
    while any(name not in done and needs[name] <= done for name in needs):
        done |= {name for name in needs if needs[name] <= done}
    assert (cycle is None) == (done == set(needs))
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(before in needs[after] for before, after in pairwise(cycle))
