"""EventBridge's event patterns, its input paths and its input transformers.

Source: EventBridge User Guide, "Comparison operators for use in event patterns" and "Amazon EventBridge input
transformation". Unlike moto's matcher this one looks into arrays of objects, tells numbers from booleans, and knows
every filter of an anything-but.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

_PATH = re.compile(r"\.([A-Za-z0-9_-]+)|\['([^']+)'\]|\[(\d+)\]")
_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.-]+)>")


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Does the event match? An event that is an array matches when one of its elements does."""
    if isinstance(event, list):
        return any(matches(pattern, element) for element in event)
    if not isinstance(event, dict):
        event = {}
    for key, wanted in pattern.items():
        if key == "$or" and isinstance(wanted, list):
            if not any(matches(alternative, event) for alternative in wanted):
                return False
        elif isinstance(wanted, dict):
            if not matches(wanted, event.get(key, {})):
                return False
        elif not _any_filter(wanted, key in event, event.get(key)):
            return False
    return True


def _any_filter(filters: Any, there: bool, value: Any) -> bool:
    if not isinstance(filters, list):
        return False
    candidates = value if isinstance(value, list) else [value]
    for wanted in filters:
        if isinstance(wanted, dict) and "exists" in wanted:
            leaf = there and not isinstance(value, dict)  # "exists" is for leaf nodes only
            if leaf is wanted["exists"]:
                return True
        elif there and any(_filter(wanted, candidate) for candidate in candidates):
            return True
    return False


def _filter(wanted: Any, value: Any) -> bool:
    if not isinstance(wanted, dict):
        return _equal(wanted, value)
    return all(_named(name, argument, value) for name, argument in wanted.items())


def _named(name: str, argument: Any, value: Any) -> bool:
    match name:
        case "anything-but":
            return _anything_but(argument, value)
        case "numeric":
            return _is_number(value) and _compare(argument, value)
        case "cidr":
            return isinstance(value, str) and _in_network(argument, value)
        case "prefix" | "suffix" | "equals-ignore-case" | "wildcard":
            return isinstance(value, str) and _text(name, argument, value)
    return False


def _anything_but(argument: Any, value: Any) -> bool:
    if isinstance(value, (dict, list)):
        return False
    if isinstance(argument, dict):
        return not any(
            isinstance(value, str) and _text(name, one, value)
            for name, given in argument.items()
            for one in (given if isinstance(given, list) else [given])
        )
    return not any(_equal(one, value) for one in (argument if isinstance(argument, list) else [argument]))


def _text(name: str, argument: Any, value: str) -> bool:
    if isinstance(argument, dict):  # {"prefix": {"equals-ignore-case": "…"}}
        argument, value = str(argument.get("equals-ignore-case", "")).lower(), value.lower()
    if not isinstance(argument, str):
        return False
    match name:
        case "prefix":
            return value.startswith(argument)
        case "suffix":
            return value.endswith(argument)
        case "equals-ignore-case":
            return value.lower() == argument.lower()
    return _wildcard(argument).fullmatch(value) is not None


@lru_cache(maxsize=256)
def _wildcard(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\\[*\\]|\*|[^*\\]+|\\", pattern)
    texts = [
        ".*" if part == "*" else re.escape(part[1:] if len(part) == 2 and part[0] == "\\" else part) for part in parts
    ]
    return re.compile("".join(texts), re.DOTALL)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _equal(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if _is_number(wanted) != _is_number(value):
        return False
    return bool(wanted == value)


def _compare(argument: Any, value: float) -> bool:
    if not isinstance(argument, list) or len(argument) % 2:
        return False
    for operator, limit in zip(argument[::2], argument[1::2], strict=True):
        if not _is_number(limit):
            return False
        good = {"<": value < limit, "<=": value <= limit, "=": value == limit, ">=": value >= limit, ">": value > limit}
        if not good.get(operator, False):
            return False
    return True


def _in_network(network: Any, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


class BadPath(ValueError):
    """An input path that is not of the supported form ``$.a.b[0]``."""


def find(path: str, document: Any) -> Any:
    """The value at a JSON path such as ``$.detail.items[0].name``; None when there is none.

    Raises:
        BadPath.
    """
    if not path.startswith("$"):
        raise BadPath(path)
    position = 1
    for found in _PATH.finditer(path, 1):
        if found.start() != position:
            raise BadPath(path)
        position = found.end()
        name, quoted, index = found.groups()
        if index is not None:
            document = document[int(index)] if isinstance(document, list) and int(index) < len(document) else None
        else:
            document = document.get(name or quoted) if isinstance(document, dict) else None
    if position != len(path):
        raise BadPath(path)
    return document


def transform(template: str, paths: Mapping[str, str], event: Mapping[str, Any], rule: str, rule_arn: str) -> str:
    """The text that an InputTransformer makes of an event.

    A placeholder inside a JSON string gives the bare text, one outside gives JSON.
    """
    values = {name: find(path, event) for name, path in paths.items()}
    values |= {
        "aws.events.rule-name": rule, "aws.events.rule-arn": rule_arn, "aws.events.event": event,
        "aws.events.event.json": event, "aws.events.event.ingestion-time": event.get("time", ""),
    }  # fmt: skip
    return "".join(_filled(template, values))


def _filled(template: str, values: Mapping[str, Any]) -> Iterator[str]:
    quoted = False
    position = 0
    for found in _PLACEHOLDER.finditer(template):
        before = template[position : found.start()]
        position = found.end()
        yield before
        quoted ^= len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        if found[1] not in values:
            yield found[0]
            continue
        value = values[found[1]]
        if value is None:
            yield ""
        elif not quoted:
            yield json.dumps(value)
        elif isinstance(value, str):
            yield json.dumps(value)[1:-1]
        else:
            yield json.dumps(json.dumps(value))[1:-1]
    yield template[position:]
