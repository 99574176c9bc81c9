"""The actions of the services, from AWS's Service Authorization Reference (``actions.json``)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "actions.json"
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")

#: Condition keys of every service. Source: IAM User Guide, "AWS global condition context keys".
GLOBAL_KEYS = frozenset(
    {
        "aws:currenttime", "aws:multifactorauthpresent", "aws:principalaccount", "aws:principalarn",
        "aws:principalisawsservice", "aws:principalorgid", "aws:principaltype", "aws:requestedregion",
        "aws:resourceaccount", "aws:securetransport", "aws:sourceaccount", "aws:sourcearn", "aws:sourceip",
        "aws:sourcevpc", "aws:sourcevpce", "aws:tagkeys", "aws:userid", "aws:username", "aws:viaawsservice",
        "aws:principalservicename",
    }
)  # fmt: skip
_GLOBAL_PREFIXES = ("aws:principaltag/", "aws:requesttag/", "aws:resourcetag/")
#: Keys that a trust policy may use beside those of sts: what GitHub's identity provider says of a workflow.
FEDERATED_KEYS = frozenset({"token.actions.githubusercontent.com:aud", "token.actions.githubusercontent.com:sub"})


@lru_cache(maxsize=1)
def _services() -> dict[str, Any]:
    services: dict[str, Any] = json.loads(_FILE.read_text())["services"]
    for service in services.values():
        service["by_lower"] = {name.lower(): name for name in service["actions"]}
    return services


def resource_types(action: str) -> dict[str, bool] | None:
    """Type of resource -> whether the action needs one, of ``service:Action`` in any case; None: no such action."""
    service, _, name = action.partition(":")
    known = _services().get(service)
    if known is None:
        return None
    exact = known["by_lower"].get(name.lower())
    return None if exact is None else known["actions"][exact]


def exists(pattern: str) -> bool:
    """Does ``service:Action``, with wildcards, name an action?"""
    service, _, name = pattern.partition(":")
    known = _services().get(service.lower())
    if known is None:
        return False
    wanted = re.compile(re.escape(name.lower()).replace(r"\*", ".*").replace(r"\?", "."))
    return any(wanted.fullmatch(action) for action in known["by_lower"])


def knows_key(key: str) -> bool:
    """Is this a condition key that AWS documents for every service, or for one that the file holds?"""
    lower = key.lower()
    if lower in GLOBAL_KEYS or lower in FEDERATED_KEYS or lower.startswith(_GLOBAL_PREFIXES):
        return True
    known = _services().get(lower.partition(":")[0])
    if known is None:
        return False
    return any(_key_matches(pattern, lower) for pattern in known["keys"])


def _key_matches(pattern: str, key: str) -> bool:
    parts = re.split(r"\$\{\w+\}", pattern.lower())
    return re.fullmatch(".+".join(map(re.escape, parts)), key) is not None


def page(service: str) -> str:
    """The address of the service's page in the reference."""
    return str(_services()[service]["page"])


def arns(action: str, value: Callable[[str], list[str]], places: Mapping[str, str]) -> list[str]:
    """The resources that a call of ``action`` is checked on; ``["*"]`` where AWS has no finer one.

    Args:
        value: the values that the request has for a placeholder of an ARN format (``EndpointName``); an ARN is taken
            as it is.
        places: Partition, Region, Account.
    """
    types = resource_types(action)
    if not types:
        return ["*"]
    service = _services()[action.partition(":")[0]]
    found: list[str] = []
    for kind, required in types.items():
        template = service["resources"].get(kind)
        if template is None:
            continue
        names = [name for name in _PLACEHOLDER.findall(template) if name not in places]
        given = [value(name) for name in names]
        if all(given):
            found += _filled(template, dict(zip(names, given, strict=True)), places)
        elif required:
            found += _filled(template, {name: item or ["*"] for name, item in zip(names, given, strict=True)}, places)
    return found or ["*"]


def _filled(template: str, given: Mapping[str, list[str]], places: Mapping[str, str]) -> list[str]:
    if len(given) == 1:
        ((name, values),) = given.items()
        return [item if item.startswith("arn:") else fill(template, {**places, name: item}) for item in values]
    return [fill(template, {**places, **{name: values[0] for name, values in given.items()}})]


def fill(template: str, values: Mapping[str, str]) -> str:
    """``template`` with its placeholders replaced."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)
