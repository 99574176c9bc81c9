"""IAM policy documents evaluated: actions, resources, principals and conditions.

Source: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

#: What a set of statements says about a request: allowed, explicitly denied, or nothing.
Verdict = Literal["Allow", "Deny"]
#: Condition keys of a request, in lower case; a list where a key has several values.
Context = Mapping[str, str | list[str]]


def evaluate(
    documents: Iterable[Mapping[str, Any]],
    action: str,
    resource: str,
    context: Context,
    *,
    principals: Iterable[str] | None = None,
) -> Verdict | None:
    """The verdict of policy documents about ``action`` (``s3:GetObject``) on the ARN ``resource``.

    ``principals``: for resource policies, the ARNs and service names that the caller answers to; None for identity
    policies, whose statements name no principal. An explicit Deny wins.
    """
    effects = {
        statement.get("Effect")
        for document in documents
        for statement in matching(document, action, resource, context, principals=principals)
    }
    return "Deny" if "Deny" in effects else "Allow" if "Allow" in effects else None


def matching(
    document: Mapping[str, Any],
    action: str,
    resource: str,
    context: Context,
    *,
    principals: Iterable[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """The statements of a document that speak about the request, whatever they say."""
    for statement in statements(document):
        if _applies(statement, action, resource, context, principals):
            yield statement


def statements(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statements of a policy document, which may be one or a list."""
    return _listed(document.get("Statement"))


def condition_keys(document: Mapping[str, Any]) -> set[str]:
    """Every condition key that the document uses, as written."""
    return {
        key
        for statement in statements(document)
        for keys in (statement.get("Condition") or {}).values()
        for key in keys
    }


def condition_operators(document: Mapping[str, Any]) -> set[str]:
    """The condition operators of the document that are not known here: conditions with them are never met."""
    return {
        operator
        for statement in statements(document)
        for operator in statement.get("Condition") or {}
        if _plain(operator) not in _OPERATORS and _plain(operator) != "Null"
    }


def _applies(
    statement: Mapping[str, Any],
    action: str,
    resource: str,
    context: Context,
    principals: Iterable[str] | None,
) -> bool:
    if principals is not None and not _principal(statement, set(principals)):
        return False
    actions = [pattern.lower() for pattern in _listed(statement.get("Action", statement.get("NotAction")))]
    named = any(like(pattern, action.lower()) for pattern in actions)
    if named == ("NotAction" in statement):
        return False
    patterns = _listed(statement.get("Resource", statement.get("NotResource", "*")))
    named = any(_like_with_variables(pattern, resource, context) for pattern in patterns)
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


def _conditions(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    return all(
        _condition(operator, context.get(key.lower()), [str(value) for value in _listed(wanted)], context)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _condition(operator: str, value: str | list[str] | None, wanted: list[str], context: Context) -> bool:
    """One condition key. A missing key fails a positive operator and meets a negated one."""
    every, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name == "Null":
        return (value is None) == (wanted[0].lower() == "true")
    plain = _plain(operator)
    negated = plain != name
    if value is None or value == []:
        return optional or negated or every == "ForAllValues"
    test = _OPERATORS.get(plain)
    if test is None:
        return False  # an operator that nobody knows: never met, so that an Allow does not open what it should not
    patterns = [_filled(one, context) for one in wanted]
    met = [
        any(_tried(test, pattern, one) for pattern in patterns if pattern is not None) != negated
        for one in _listed(value)
    ]
    return all(met) if every == "ForAllValues" or (negated and every != "ForAnyValue") else any(met)


def _plain(operator: str) -> str:
    """The operator without its set prefix, IfExists and negation."""
    name = operator.rpartition(":")[2].removesuffix("IfExists")
    name = name.replace("StringNot", "String").replace("NumericNot", "Numeric").replace("ArnNot", "Arn")
    return name.replace("DateNot", "Date").replace("NotIpAddress", "IpAddress")


def _tried(test: Callable[[str, str], bool], wanted: str, value: str) -> bool:
    try:
        return test(wanted, value)
    except ValueError:
        return False


_VARIABLE = re.compile(r"\$\{([^}]+)\}")
#: The variables that stand for a character. Source: IAM User Guide, "IAM policy elements: Variables and tags".
_CHARACTERS = {"*": "*", "?": "?", "$": "$"}


def _filled(pattern: str, context: Context) -> str | None:
    """``pattern`` with its policy variables; None when one has no value, so that the pattern matches nothing."""
    if "${" not in pattern:
        return pattern
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        name, _, default = match[1].partition(",")
        found = _CHARACTERS.get(name.strip(), context.get(name.strip().lower()))
        if isinstance(found, str):
            return found
        if default:
            return default.strip().strip("'")
        missing = True
        return ""

    text = _VARIABLE.sub(value, pattern)
    return None if missing else text


def _like_with_variables(pattern: str, text: str, context: Context) -> bool:
    filled = _filled(pattern, context)
    return filled is not None and like(filled, text)


def like(pattern: str, text: str) -> bool:
    """Does ``text`` match a pattern with ``*`` and ``?``?"""
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
    "StringLike": like,
    "ArnEquals": like,
    "ArnLike": like,
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
