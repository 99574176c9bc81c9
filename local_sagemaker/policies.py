"""IAM policy documents evaluated: actions, resources, principals and conditions.

Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

#: What a set of statements says about a request: allowed, explicitly denied, or nothing.
Verdict = Literal["Allow", "Deny"]


def evaluate(
    documents: Iterable[Mapping[str, Any]],
    action: str,
    resource: str,
    context: Mapping[str, str],
    *,
    principals: Iterable[str] | None = None,
) -> Verdict | None:
    """The verdict of policy documents about ``action`` (``s3:GetObject``) on the ARN ``resource``.

    ``context`` holds the condition keys, in lower case. ``principals``: for resource policies, the ARNs and service
    names that the caller answers to; None for identity policies, whose statements name no principal. An explicit Deny
    wins.
    """
    allowed = False
    for document in documents:
        for statement in statements(document):
            if _applies(statement, action, resource, context, principals):
                if statement.get("Effect") == "Deny":
                    return "Deny"
                allowed = True
    return "Allow" if allowed else None


def statements(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statements of a policy document, which may be one or a list."""
    return _listed(document.get("Statement"))


def _applies(
    statement: Mapping[str, Any],
    action: str,
    resource: str,
    context: Mapping[str, str],
    principals: Iterable[str] | None,
) -> bool:
    if principals is not None and not _principal(statement, set(principals)):
        return False
    actions = [pattern.lower() for pattern in _listed(statement.get("Action", statement.get("NotAction")))]
    named = any(_like(pattern, action.lower()) for pattern in actions)
    if named == ("NotAction" in statement):
        return False
    patterns = _listed(statement.get("Resource", statement.get("NotResource", "*")))
    named = any(_like(pattern, resource) for pattern in patterns)
    if named == ("NotResource" in statement):
        return False
    return _conditions(statement.get("Condition") or {}, context)


def _principal(statement: Mapping[str, Any], callers: set[str]) -> bool:
    inverted = "NotPrincipal" in statement
    given = statement.get("NotPrincipal" if inverted else "Principal", {})
    wanted = {given} if isinstance(given, str) else {one for values in given.values() for one in _listed(values)}
    accounts = {caller.split(":")[4] for caller in callers if caller.startswith("arn:")}
    named = "*" in wanted or bool(wanted & callers) or bool(wanted & accounts)
    named = named or any(
        one.endswith(":root") and one.split(":")[4] in accounts for one in wanted if one.startswith("arn:")
    )
    return named != inverted


def _conditions(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    return all(
        _condition(operator, context.get(key.lower()), [str(value) for value in _listed(wanted)])
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _condition(operator: str, value: str | None, wanted: list[str]) -> bool:
    """One condition key. A missing key fails a positive operator and meets a negated one."""
    every, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name == "Null":
        return (value is None) == (wanted[0].lower() == "true")
    negated = name.replace("StringNot", "String").replace("NumericNot", "Numeric").replace("ArnNot", "Arn")
    negated = negated.replace("DateNot", "Date").replace("NotIpAddress", "IpAddress")
    if value is None:
        return optional or negated != name or every == "ForAllValues"
    test = _OPERATORS.get(negated)
    if test is None:
        return False  # an operator that nobody knows: never met, so that an Allow does not open what it should not
    return any(_tried(test, one, value) for one in wanted) == (negated == name)


def _tried(test: Callable[[str, str], bool], wanted: str, value: str) -> bool:
    try:
        return test(wanted, value)
    except ValueError:
        return False


def _like(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, value: wanted == value,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "NumericEquals": lambda wanted, value: float(wanted) == float(value),
    "NumericLessThan": lambda wanted, value: float(value) < float(wanted),
    "NumericLessThanEquals": lambda wanted, value: float(value) <= float(wanted),
    "NumericGreaterThan": lambda wanted, value: float(value) > float(wanted),
    "NumericGreaterThanEquals": lambda wanted, value: float(value) >= float(wanted),
    "DateEquals": lambda wanted, value: wanted == value,  # dates in one ISO form order as texts
    "DateLessThan": lambda wanted, value: value < wanted,
    "DateLessThanEquals": lambda wanted, value: value <= wanted,
    "DateGreaterThan": lambda wanted, value: value > wanted,
    "DateGreaterThanEquals": lambda wanted, value: value >= wanted,
    "IpAddress": lambda wanted, value: ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False),
}
