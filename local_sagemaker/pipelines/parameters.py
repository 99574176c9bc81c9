"""The parameters that an execution is started with, checked against the definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker.errors import ValidationException
from local_sagemaker.pipelines.definition import Parameter
from local_sagemaker.pipelines.expressions import to_text


def bind(parameters: Mapping[str, Parameter], given: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Every parameter's value in its own type: the given one, else the default.

    Raises:
        ValidationException: a parameter that is unknown, given twice, missing, of the wrong type or not in its enum.
    """
    names = [item["Name"] for item in given]
    for name in names:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise ValidationException(f"Unknown pipeline parameter {name}. The pipeline definition has: {known}.")
        if names.count(name) > 1:
            raise ValidationException(f"The pipeline parameter {name} is given more than once.")
    values = {item["Name"]: _typed(parameters[item["Name"]], item["Value"]) for item in given}
    missing = [name for name, parameter in parameters.items() if name not in values and parameter.default is None]
    if missing:
        raise ValidationException(
            f"Pipeline parameters without a default value must be given at the start; missing: {', '.join(missing)}."
        )
    return {name: values.get(name, parameter.default) for name, parameter in parameters.items()}


def listed(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """As ListPipelineParametersForExecution answers them."""
    return [{"Name": name, "Value": to_text(value)} for name, value in values.items()]


def _typed(parameter: Parameter, text: str) -> Any:
    if not text:
        raise ValidationException(
            f'[string "" is too short (length: 0, required minimum: 1)]: parameter {parameter.name}'
        )
    value: Any = text
    try:
        if parameter.kind == "Integer":
            value = int(text)
        elif parameter.kind == "Float":
            value = float(text)
        elif parameter.kind == "Boolean":
            value = {"true": True, "false": False}[text.lower()]
    except (ValueError, KeyError):
        raise ValidationException(
            f"The value {text!r} of the pipeline parameter {parameter.name} is no {parameter.kind}."
        ) from None
    if parameter.enum is not None and value not in parameter.enum:
        allowed = ", ".join(map(to_text, parameter.enum))
        raise ValidationException(
            f"The value {text!r} of the pipeline parameter {parameter.name} is not one of its enum values: {allowed}."
        )
    return value
