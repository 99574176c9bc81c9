"""IAM: SimulatePrincipalPolicy is missing. For a role, the evaluator that enforces policies here answers it.

As AWS does, it looks at the role's policies and its boundary, not at policies of resources, and takes the values of
condition keys from the request: one that a policy needs and the request does not name is told as missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.responses import IamResponse

from local_sagemaker.iam.decisions import decide
from local_sagemaker.iam.principals import Principal, of_session
from local_sagemaker.moto_gaps.patching import replace
from local_sagemaker.policies import Context, condition_keys

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def install(platform: Platform) -> None:
    @replace(IamResponse)
    def simulate_principal_policy(self: Any) -> ActionResult:
        arn = self._get_param("PolicySourceArn")
        if arn not in {role.arn for role in list(self.backend.roles.values())}:
            raise NotFoundException(f"Entity {arn} not found or does not exist")
        principal = of_session(platform, arn, "simulation")
        context: dict[str, str | list[str]] = {
            entry["ContextKeyName"].lower(): entry["ContextKeyValues"]
            for entry in self._get_param("ContextEntries") or []
        }
        results = [
            _result(principal, action, resource, context)
            for action in self._get_param("ActionNames")
            for resource in self._get_param("ResourceArns") or ["*"]
        ]
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})


def _result(principal: Principal, action: str, resource: str, context: Context) -> dict[str, Any]:
    decision = decide(principal, action, resource, context, None)
    denied = "explicitDeny" if "explicit deny" in decision.why else "implicitDeny"
    documents = [*principal.policies.values(), *([principal.boundary] if principal.boundary else [])]
    used = {key for document in documents for key in condition_keys(document)}
    verdict = "allowed" if decision.allowed else denied
    lacking = sorted(key for key in used if key.lower() not in context)
    specific = {"EvalResourceName": resource, "EvalResourceDecision": verdict, "MissingContextValues": lacking}
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": verdict,
        "MatchedStatements": [],
        **({"MissingContextValues": lacking} if resource == "*" else {"ResourceSpecificResults": [specific]}),
    }
