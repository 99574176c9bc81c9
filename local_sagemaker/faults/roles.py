"""A role that was just made cannot be assumed for some seconds: IAM is eventually consistent.

Source: IAM User Guide, "Troubleshoot IAM: Changes that I make are not always immediately visible".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.awslambda.exceptions import InvalidParameterValueException
from moto.awslambda.models import LambdaBackend
from moto.core.exceptions import ServiceException
from moto.iam.models import IAMBackend
from moto.sts.responses import TokenResponse

from local_sagemaker.faults.eventual import is_assumable, make_late
from local_sagemaker.faults.registry import NOT_YET_ASSUMABLE
from local_sagemaker.moto_gaps.patching import replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


class _Denied(ServiceException):
    code = "AccessDenied"
    status = 403


def install(platform: Platform) -> None:
    @replace(IAMBackend)
    def create_role(self: Any, role_name: str, *args: Any, **kwargs: Any) -> Any:
        role = create_role.original(self, role_name, *args, **kwargs)  # type: ignore[attr-defined]
        fault = platform.faults.strike(NOT_YET_ASSUMABLE, service="iam", operation="CreateRole", resource=role_name)
        if fault is not None:
            make_late(role, platform.clock.time() + fault.seconds)
        return role

    @replace(LambdaBackend)
    def create_function(self: Any, spec: dict[str, Any]) -> Any:
        role = platform.roles.find(str(spec.get("Role")))
        if role is not None and not is_assumable(role, platform.clock.time()):
            raise InvalidParameterValueException("The role defined for the function cannot be assumed by Lambda.")
        return create_function.original(self, spec)  # type: ignore[attr-defined]

    @replace(TokenResponse)
    def assume_role(self: Any) -> Any:
        arn = self._get_param("RoleArn")
        role = platform.roles.find(arn)
        if role is not None and not is_assumable(role, platform.clock.time()):
            caller = platform.caller_arn(self)
            raise _Denied(f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}")
        return assume_role.original(self)  # type: ignore[attr-defined]
