"""Expressions of a pipeline definition: ``{"Get": …}``, ``{"Std:Join": …}``, ``{"Std:JsonGet": …}``.

Source: the pipeline definition that the SageMaker SDK writes (schema version 2020-12-01), and SageMaker Developer
Guide, "Pass Data Between Steps" and "Retrieve Property Files".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_sagemaker.pipelines import paths

GET, JOIN, JSON_GET = "Get", "Std:Join", "Std:JsonGet"
_OPERATORS = (GET, JOIN, JSON_GET)


class BadExpression(ValueError):
    """An expression that is not well formed; the message shows it."""


class CannotResolve(Exception):
    """An expression has no value in this execution; the message is the step's FailureReason."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a ``Get`` names: its ``root`` (Parameters, Execution, Steps, PipelineExperimentConfig), then the path.

    For ``Steps`` the first segment of ``path`` is the step's name.
    """

    text: str
    root: str
    path: tuple[paths.Segment, ...]


@dataclass(frozen=True, slots=True)
class PropertyFile:
    """A file that a processing step writes: ``path`` below the output ``output``."""

    name: str
    output: str
    path: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The values that expressions of one execution see.

    ``properties`` gives a finished step's document by name, ``file`` the S3 URI of a property file by step and name,
    ``read`` the bytes of an S3 object.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    execution: Mapping[str, Any] = field(default_factory=dict)
    experiment: Mapping[str, Any] = field(default_factory=dict)
    properties: Callable[[str], Mapping[str, Any]] = lambda step: {}
    file: Callable[[str, str], str] = lambda step, name: ""
    read: Callable[[str], bytes] = lambda uri: b""


def is_expression(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _OPERATORS


def parse_get(value: Any) -> Reference:
    """The reference of ``{"Get": "…"}``.

    Raises:
        BadExpression: it names nothing that can be referred to.
    """
    text = value[GET]
    if not isinstance(text, str):
        raise BadExpression(f"{_show(value)}: Get takes a text")
    try:
        root, *path = paths.parse(text)
    except paths.BadPath as error:
        raise BadExpression(f"{_show(value)}: {error}") from None
    if root not in ("Parameters", "Execution", "Steps", "PipelineExperimentConfig"):
        raise BadExpression(f"{_show(value)}: a reference begins with Parameters., Execution. or Steps.")
    if not path or (root != "Steps" and len(path) != 1) or not isinstance(path[0], str):
        raise BadExpression(
            f"{_show(value)}: {root} must be followed by {'a' if root != 'Steps' else 'a step and a'} name"
        )
    return Reference(text, str(root), tuple(path))


def references(value: Any) -> Iterator[Reference]:
    """Every ``Get`` anywhere inside ``value``; checks the form of all expressions on the way.

    Raises:
        BadExpression: an expression that is not well formed.
    """
    if is_expression(value):
        operator, operand = next(iter(value.items()))
        if operator == GET:
            yield parse_get(value)
        elif operator == JOIN:
            yield from _check_join(value, operand)
        else:
            yield from _check_json_get(value, operand)
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def _check_join(value: Any, operand: Any) -> Iterator[Reference]:
    if (
        not isinstance(operand, dict)
        or not set(operand) <= {"On", "Values"}
        or not isinstance(operand.get("Values"), list)
    ):
        raise BadExpression(f"{_show(value)}: Std:Join takes On, a text, and Values, a list")
    if not isinstance(operand.get("On", ""), str):
        raise BadExpression(f"{_show(value)}: On of Std:Join must be a text")
    for item in operand["Values"]:
        if isinstance(item, list) or (isinstance(item, dict) and not is_expression(item)) or item is None:
            raise BadExpression(f"{_show(value)}: Std:Join joins texts, numbers and references, not {_show(item)}")
        yield from references(item)


def _check_json_get(value: Any, operand: Any) -> Iterator[Reference]:
    if not isinstance(operand, dict) or not set(operand) <= {"PropertyFile", "S3Uri", "Path"}:
        raise BadExpression(f"{_show(value)}: Std:JsonGet takes PropertyFile or S3Uri, and Path")
    if ("PropertyFile" in operand) == ("S3Uri" in operand):
        raise BadExpression(f"{_show(value)}: Std:JsonGet takes either PropertyFile or S3Uri, one of the two")
    if not isinstance(operand.get("Path"), str):
        raise BadExpression(f"{_show(value)}: Path of Std:JsonGet must be a text")
    try:
        paths.parse(operand["Path"])
    except paths.BadPath as error:
        raise BadExpression(f"{_show(value)}: {error}") from None
    if "PropertyFile" in operand:
        if not is_expression(operand["PropertyFile"]) or GET not in operand["PropertyFile"]:
            raise BadExpression(f'{_show(value)}: PropertyFile must be {{"Get": "Steps.<step>.PropertyFiles.<name>"}}')
        reference = parse_get(operand["PropertyFile"])
        if not is_property_file(reference):
            raise BadExpression(f"{_show(value)}: {reference.text!r} is not Steps.<step>.PropertyFiles.<name>")
        yield reference
    else:
        if not isinstance(operand["S3Uri"], str) and not is_expression(operand["S3Uri"]):
            raise BadExpression(f"{_show(value)}: S3Uri of Std:JsonGet must be a text or an expression")
        yield from references(operand["S3Uri"])


def is_property_file(reference: Reference) -> bool:
    """Whether it is ``Steps.<step>.PropertyFiles.<name>``, which only ``Std:JsonGet`` reads."""
    return (
        reference.root == "Steps"
        and len(reference.path) == 3
        and reference.path[1] == "PropertyFiles"
        and isinstance(reference.path[2], str)
    )


def resolve(value: Any, scope: Scope) -> Any:
    """``value`` with every expression replaced by what it stands for.

    Raises:
        CannotResolve: a property, a file or a key in it is not there.
    """
    if is_expression(value):
        operator, operand = next(iter(value.items()))
        if operator == GET:
            return _get(parse_get(value), scope)
        return _join(operand, scope) if operator == JOIN else _json_get(operand, scope)
    if isinstance(value, dict):
        return {key: resolve(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    return value


def _get(reference: Reference, scope: Scope) -> Any:
    if reference.root == "Steps":
        step, path = str(reference.path[0]), reference.path[1:]
        try:
            return paths.follow(scope.properties(step), path)
        except paths.NoValue as error:
            raise CannotResolve(f"The reference {reference.text} has no value: {error} in the step {step}.") from None
    values = {"Parameters": scope.parameters, "Execution": scope.execution}.get(reference.root, scope.experiment)
    name = str(reference.path[0])
    if name not in values:
        raise CannotResolve(f"The reference {reference.text} has no value in this execution.")
    return values[name]


def _join(operand: Mapping[str, Any], scope: Scope) -> str:
    parts = [resolve(item, scope) for item in operand["Values"]]
    for part, item in zip(parts, operand["Values"], strict=True):
        if isinstance(part, (dict, list)) or part is None:
            raise CannotResolve(f"Std:Join cannot join {_show(item)}: it is {_show(part)}, not a single value.")
    return str(operand.get("On", "")).join(map(to_text, parts))


def _json_get(operand: Mapping[str, Any], scope: Scope) -> Any:
    if "PropertyFile" in operand:
        reference = parse_get(operand["PropertyFile"])
        uri = scope.file(str(reference.path[0]), str(reference.path[2]))
    else:
        uri = resolve(operand["S3Uri"], scope)
    data = scope.read(uri)
    try:
        document = json.loads(data)
    except ValueError as error:
        raise CannotResolve(f"Std:JsonGet: {uri} is not JSON: {error}") from None
    try:
        return paths.follow(document, paths.parse(operand["Path"]))
    except paths.NoValue as error:
        raise CannotResolve(f"Std:JsonGet: {error} in {uri}.") from None


def to_text(value: Any) -> str:
    """A single value as text, as Std:Join writes it: ``true`` and ``false`` for booleans."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else text[:159] + "…"
