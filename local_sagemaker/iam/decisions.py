"""Allowed or not: identity policies, the boundary, the session's policy and the resource's own policy together.

Source: IAM User Guide, "Policy evaluation logic", "… for requests within a single account" and "Permissions boundaries
for IAM entities".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_sagemaker import policies
from local_sagemaker.iam.principals import Principal

#: Services whose own policy alone decides: an identity policy is not enough. Source: KMS Developer Guide, "Key
#: policies in AWS KMS"; IAM User Guide, "Roles terms and concepts" (trust policy).
_OWN_POLICY_DECIDES = ("kms", "sts")


@dataclass(frozen=True, slots=True)
class Decision:
    """``why`` is the end of AWS's sentence (``no identity-based policy allows the s3:GetObject action``)."""

    allowed: bool
    why: str = ""
    statements: tuple[str, ...] = ()


def decide(
    principal: Principal,
    action: str,
    resource: str,
    context: policies.Context,
    resource_policy: Mapping[str, Any] | None,
) -> Decision:
    """May the principal do this? ``statements`` names the identity statements that allow it, ``policy/Sid``."""
    if principal.is_root:
        return Decision(True)
    by_resource, named = _resource_verdict(principal, action, resource, context, resource_policy)
    identity = policies.evaluate(principal.policies.values(), action, resource, context)
    if by_resource == "Deny":
        return Decision(False, "with an explicit deny in a resource-based policy")
    if identity == "Deny":
        return Decision(False, "with an explicit deny in an identity-based policy")
    for what, document in (("a permissions boundary", principal.boundary), ("a session policy", principal.session)):
        if document is None:
            continue
        verdict = policies.evaluate([document], action, resource, context)
        if verdict == "Deny":
            return Decision(False, f"with an explicit deny in {what}")
        if verdict is None and not (by_resource == "Allow" and named):
            return Decision(False, f"because no {what.removeprefix('a ')} allows the {action} action")
    decisive = action.partition(":")[0] in _OWN_POLICY_DECIDES and resource_policy is not None
    if decisive and by_resource is None:
        return Decision(False, f"because no resource-based policy allows the {action} action")
    if identity == "Allow":
        return Decision(True, statements=_sids(principal, action, resource, context))
    if by_resource == "Allow" and named:
        return Decision(True)
    return Decision(False, f"because no identity-based policy allows the {action} action")


def _resource_verdict(
    principal: Principal, action: str, resource: str, context: policies.Context, document: Mapping[str, Any] | None
) -> tuple[policies.Verdict | None, bool]:
    """The resource policy's verdict, and whether it names the caller rather than its whole account."""
    if document is None:
        return None, False
    callers = {principal.arn, principal.principal_arn}
    # A policy that lies on a resource speaks about that resource, whatever its own Resource says.
    found = list(policies.matching(document, action, resource, context, principals=callers))
    effects = {statement.get("Effect") for statement in found}
    if "Deny" in effects:
        return "Deny", False
    allowing = [statement for statement in found if statement.get("Effect") == "Allow"]
    return ("Allow" if allowing else None), any(_names(statement, callers) for statement in allowing)


def _names(statement: Mapping[str, Any], callers: set[str]) -> bool:
    given = statement.get("Principal", {})
    wanted = (
        [given]
        if isinstance(given, str)
        else [one for values in given.values() for one in (values if isinstance(values, list) else [values])]
    )
    return bool(callers & set(wanted)) or "*" in wanted


def _sids(principal: Principal, action: str, resource: str, context: policies.Context) -> tuple[str, ...]:
    return tuple(
        f"{name}/{statement.get('Sid', '')}"
        for name, document in principal.policies.items()
        for statement in policies.matching(document, action, resource, context)
        if statement.get("Effect") == "Allow"
    )
