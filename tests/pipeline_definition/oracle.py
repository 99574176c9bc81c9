"""Is a definition one that SageMaker would take, and are its steps' requests ones that SageMaker would serve?"""

from __future__ import annotations

import json
import re
from typing import Any

import botocore.validate

from local_sagemaker import validation
from tests.pipeline_definition.resolver import Resolver, references, steps

#: Amazon SageMaker quotas, "Pipelines": steps, parameters, characters of a step's and of a parameter's name.
MAX_STEPS, MAX_PARAMETERS, MAX_NAME = 50, 200, 64

START = {
    "DatasetUri": "s3://data/datasets/0123456789abcdef0123/",
    "CheckpointUri": "s3://artifacts/checkpoints/0123456789abcdef0123/",
    "GitSha": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "StartedBy": "arn:aws:sts::111122223333:assumed-role/engineer/ann",
    "TrainingImageDigest": "sha256:" + "1a" * 32,
    "InferenceImageDigest": "sha256:" + "2b" * 32,
    "SubnetA": "subnet-0a1b2c3d4e5f60718",
    "SubnetB": "subnet-0a1b2c3d4e5f60719",
    "SecurityGroup": "sg-0a1b2c3d4e5f60718",
}

_OPERATIONS = {
    "Processing": ("CreateProcessingJob", {"ProcessingJobName": "pipelines-abcdefghijkl-Step-0123456789"}),
    "Training": ("CreateTrainingJob", {"TrainingJobName": "pipelines-abcdefghijkl-Step-0123456789"}),
    "RegisterModel": ("CreateModelPackage", {}),
}
#: What the step cache compares ("Caching pipeline steps", default keys).
_CACHED = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": (
        "AlgorithmSpecification", "CheckpointConfig", "DebugHookConfig", "DebugRuleConfigurations", "Environment",
        "HyperParameters", "InputDataConfig",
    ),
}  # fmt: skip


def check(text: str, name: str, role_arn: str) -> Resolver:
    """Every rule that can be checked without AWS. Returns the resolved requests; raises AssertionError."""
    request = {
        "PipelineName": name,
        "PipelineDefinition": text,
        "RoleArn": role_arn,
        "ClientRequestToken": "0" * 32,
    }
    validation.check("CreatePipeline", request)
    definition = json.loads(text)
    assert definition["Version"] == "2020-12-01"
    _check_names(definition)
    _check_references(definition)
    _check_cache(definition)
    declared = {parameter["Name"] for parameter in definition["Parameters"]}
    start = {key: value for key, value in START.items() if key in declared}
    validation.check(
        "StartPipelineExecution",
        {
            "PipelineName": name,
            "PipelineParameters": [{"Name": key, "Value": value} for key, value in start.items()],
            "ClientRequestToken": "0" * 32,
        },
    )
    resolver = Resolver(definition, start)
    for step, (kind, arguments) in resolver.requests.items():
        if kind in _OPERATIONS:
            _check_request(step, kind, arguments)
        elif kind == "Lambda":
            _check_lambda(next(item for item in steps(definition) if item["Name"] == step), arguments)
        elif kind == "Fail":
            assert set(arguments) == {"ErrorMessage"} and 0 < len(arguments["ErrorMessage"]) <= 1024
        else:
            assert kind == "Condition", kind
    return resolver


def _check_request(step: str, kind: str, arguments: dict[str, Any]) -> None:
    operation, named = _OPERATIONS[kind]
    request = {**named, **arguments}
    validation.check(operation, request)
    shape = validation.operation_model(operation).input_shape
    report = botocore.validate.ParamValidator().validate(request, shape)
    assert not report.has_errors(), f"{step}: {report.generate_report()}"
    assert "Tags" not in request or operation != "CreateModelPackage", "a versioned package takes no tags"
    group = json.dumps(request)
    assert "SAGEMAKER_" not in group and "timestamp" not in group.lower()


def _check_lambda(step: dict[str, Any], payload: Any) -> None:
    invoke = validation.operation_model("Invoke", "lambda").input_shape
    name = {"FunctionName": step["FunctionArn"]}
    assert not validation.problems(invoke.members["FunctionName"], name["FunctionName"])  # type: ignore[union-attr]
    assert len(json.dumps(payload).encode()) <= 256 * 1024
    assert all(isinstance(value, str) for value in payload.values())
    assert len(step["OutputParameters"]) <= 50
    for output in step["OutputParameters"]:
        assert output["OutputType"] == "String" and 0 < len(output["OutputName"]) <= 256


def _check_names(definition: dict[str, Any]) -> None:
    names = [step["Name"] for step in steps(definition)]
    parameters = [parameter["Name"] for parameter in definition["Parameters"]]
    assert len(names) <= MAX_STEPS and len(parameters) <= MAX_PARAMETERS
    for group in (names, parameters):
        assert len(group) == len(set(group)), group
        assert all(re.fullmatch(rf"[A-Za-z0-9\-_]{{1,{MAX_NAME}}}", name) for name in group), group
    for parameter in definition["Parameters"]:
        assert parameter["Type"] == "String"
        if "EnumValues" in parameter and "DefaultValue" in parameter:
            assert parameter["DefaultValue"] in parameter["EnumValues"]


def _check_references(definition: dict[str, Any]) -> None:
    """No reference dangles, none points into a branch that it is not in, and none makes a cycle."""
    parameters = {parameter["Name"] for parameter in definition["Parameters"]}

    def visit(listed: list[dict[str, Any]], outer: dict[str, dict[str, Any]]) -> None:
        visible = dict(outer)
        for step in listed:
            for reference in references(step["Arguments"]):
                kind, _, rest = reference.partition(".")
                if kind == "Parameters":
                    assert rest in parameters, reference
                elif kind == "Execution":
                    assert rest.startswith("Pipeline"), reference
                else:
                    target = rest.split(".")[0]
                    assert kind == "Steps" and target in visible, f"{step['Name']} refers to {reference}"
                    _check_output(visible[target], rest)
            for name in step.get("DependsOn", ()):
                assert name in visible, f"{step['Name']} depends on {name}"
            visible[step["Name"]] = step
            if step["Type"] == "Condition":
                for branch in ("IfSteps", "ElseSteps"):
                    visit(step["Arguments"][branch], visible)

    visit(definition["Steps"], {})


def _check_output(step: dict[str, Any], path: str) -> None:
    """A referred output is one that the step declares."""
    named = re.search(r"\['([^']+)'\]", path)
    if step["Type"] == "Lambda":
        assert named and named[1] in {output["OutputName"] for output in step["OutputParameters"]}, path
    elif step["Type"] == "Processing" and ".PropertyFiles." in path:
        files = {file["PropertyFileName"]: file["OutputName"] for file in step["PropertyFiles"]}
        outputs = {output["OutputName"] for output in step["Arguments"]["ProcessingOutputConfig"]["Outputs"]}
        assert files[path.rsplit(".", 1)[1]] in outputs
    elif step["Type"] == "Processing":
        outputs = {output["OutputName"] for output in step["Arguments"]["ProcessingOutputConfig"]["Outputs"]}
        assert named and named[1] in outputs, path


def _check_cache(definition: dict[str, Any]) -> None:
    """Nothing that differs from run to run is in what the step cache compares."""
    for step in steps(definition):
        if step.get("CacheConfig", {}).get("Enabled"):
            for member in _CACHED[step["Type"]]:
                for reference in references(step["Arguments"].get(member, {})):
                    assert not reference.startswith("Execution."), f"{step['Name']}.{member}: {reference}"
