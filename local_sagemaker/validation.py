"""Requests checked against botocore's service model, more strictly than botocore itself does it.

botocore's client checks types, required members and minimal lengths. AWS also checks patterns, maximal lengths, ranges
and enumerations; so does this module, with AWS's sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape

from local_sagemaker.errors import ValidationException


@cache
def service_model(service: str = "sagemaker") -> ServiceModel:
    loader = botocore.session.get_session().get_component("data_loader")
    return ServiceModel(loader.load_service_model(service, "service-2"), service)


@cache
def operation_model(operation: str, service: str = "sagemaker") -> OperationModel:
    return service_model(service).operation_model(operation)


def check(operation: str, request: dict[str, Any]) -> None:
    """Refuse a request that the service model of ``operation`` does not allow.

    Raises:
        ValidationException: in AWS's words, every problem counted.
    """
    shape = operation_model(operation).input_shape
    problems = list(_problems(shape, request, "")) if shape is not None else []
    if problems:
        noun = "error" if len(problems) == 1 else "errors"
        raise ValidationException(f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")


def problems(shape: Shape, value: Any) -> list[str]:
    """Everything that is wrong with ``value`` as an instance of ``shape``."""
    return list(_problems(shape, value, ""))


_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,), "map": (dict,), "list": (list, tuple), "string": (str,), "boolean": (bool,),
    "integer": (int,), "long": (int,), "float": (int, float), "double": (int, float),
}  # fmt: skip


def _problems(shape: Shape, value: Any, at: str) -> Iterator[str]:
    kind = shape.type_name
    wanted = _JSON_TYPES.get(kind)
    if wanted is not None and (not isinstance(value, wanted) or (isinstance(value, bool) and kind != "boolean")):
        yield f"Value {_show(value)} at '{at or 'request'}' failed to satisfy constraint: Member must be of type {kind}"
        return
    match kind:
        case "structure":
            members = shape.members  # type: ignore[attr-defined]
            for name in shape.required_members:
                if value.get(name) is None:
                    yield f"Value null at '{_join(at, name)}' failed to satisfy constraint: Member must not be null"
            for name, item in value.items():
                if name not in members:
                    yield f"Value at '{_join(at, name)}' failed to satisfy constraint: Member is unknown"
                elif item is not None:
                    yield from _problems(members[name], item, _join(at, name))
        case "list":
            yield from _limits(shape, len(value), value, at, "length")
            for number, item in enumerate(value, 1):
                yield from _problems(shape.member, item, f"{at}.{number}.member")  # type: ignore[attr-defined]
        case "map":
            yield from _limits(shape, len(value), value, at, "length")
            for key, item in value.items():
                yield from _problems(shape.key, key, f"{at}.key")  # type: ignore[attr-defined]
                yield from _problems(shape.value, item, f"{at}.{key}")  # type: ignore[attr-defined]
        case "string":
            yield from _limits(shape, len(value), value, at, "length")
            enum = shape.metadata.get("enum")
            if enum and value not in enum:
                yield f"{_value(value, at)} Member must satisfy enum value set: [{', '.join(enum)}]"
            pattern = shape.metadata.get("pattern")
            if pattern and not _matches(pattern, value):
                yield f"{_value(value, at)} Member must satisfy regular expression pattern: {pattern}"
        case "integer" | "long" | "float" | "double":
            yield from _limits(shape, value, value, at, "value")


def _limits(shape: Shape, size: float, value: Any, at: str, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    noun = "have length" if what == "length" else "have value"
    if low is not None and size < float(low):
        yield f"{_value(value, at)} Member must {noun} greater than or equal to {low}"
    if high is not None and size > float(high):
        yield f"{_value(value, at)} Member must {noun} less than or equal to {high}"


def _value(value: Any, at: str) -> str:
    return f"Value {_show(value)} at '{at or 'request'}' failed to satisfy constraint:"


def _show(value: Any) -> str:
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 200 else text[:197] + "…"


def _join(at: str, name: str) -> str:
    return f"{at}.{name[0].lower()}{name[1:]}" if at else f"{name[0].lower()}{name[1:]}"


@lru_cache(maxsize=2048)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:  # a Java expression that Python does not know: AWS would check it, this server cannot
        return None


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None
