"""A step's Arguments and its properties, compared with botocore's shapes before anything runs.

Expressions stand for any single value. The resolved request is checked once more, fully, when the step runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from local_sagemaker import fields, validation
from local_sagemaker.pipelines import paths
from local_sagemaker.pipelines.expressions import is_expression

#: Step type -> operation that it performs, the member that the pipeline fills in, and the answer its properties show.
REQUESTS = {
    "Processing": ("CreateProcessingJob", "ProcessingJobName", "DescribeProcessingJob"),
    "Training": ("CreateTrainingJob", "TrainingJobName", "DescribeTrainingJob"),
    "Transform": ("CreateTransformJob", "TransformJobName", "DescribeTransformJob"),
    "RegisterModel": ("CreateModelPackage", "ModelPackageName", "DescribeModelPackage"),
    "Model": ("CreateModel", "ModelName", "DescribeModel"),
}


def check_request(step_type: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be right in a step's Arguments, whatever its expressions stand for."""
    operation, name, _ = REQUESTS[step_type]
    yield from _problems(validation.operation_model(operation).input_shape, {name: {"Get": ""}, **arguments}, "")
    for path, kind in fields.table().get(operation, {}).items():
        if kind == fields.REFUSED and any(fields.values(arguments, path)):
            yield f"Arguments.{path} is not supported by the local SageMaker"


def _problems(shape: Any, value: Any, at: str) -> Iterator[str]:
    kind = shape.type_name
    where = f"Arguments.{at}" if at else "Arguments"
    if is_expression(value):
        if kind in ("structure", "list", "map"):
            yield f"{where} must be a {kind}, an expression stands for a single value only"
        return
    if kind == "structure" and isinstance(value, dict):
        members = shape.members
        for name in shape.required_members:
            if value.get(name) is None:
                yield f"{where} lacks the member {name}"
        for name, item in value.items():
            if name not in members:
                yield f"{where} has the unknown member {name}"
            elif item is not None:
                yield from _problems(members[name], item, f"{at}.{name}" if at else name)
    elif kind == "list" and isinstance(value, list):
        for number, item in enumerate(value):
            yield from _problems(shape.member, item, f"{at}[{number}]")
    elif kind == "map" and isinstance(value, dict):
        for key, item in value.items():
            yield from _problems(shape.value, item, f"{at}.{key}")
    else:
        for problem in validation.problems(shape, value):
            yield f"Arguments.{at}: {problem}"


def check_property(step_type: str, path: tuple[paths.Segment, ...]) -> str | None:
    """Why a step of this type has no such property; None when its description has it."""
    operation = REQUESTS[step_type][2]
    shape: Any = validation.operation_model(operation).output_shape
    for number, segment in enumerate(path):
        kind = shape.type_name
        if kind == "structure" and segment in shape.members:
            shape = shape.members[segment]
        elif kind == "list":
            shape = shape.member
        elif kind == "map" and isinstance(segment, str):
            shape = shape.value
        else:
            return f"names {paths.show(path[: number + 1])}, which {operation} does not answer"
    return None
