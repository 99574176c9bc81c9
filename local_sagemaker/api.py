"""SageMaker operations that this server owns: a handler each, checked against the service model before it runs.

A handler is registered with :func:`operation`. moto dispatches by method name, so :func:`install` gives moto's
SageMaker responder one method an operation; moto still authenticates and authorises the call first. What is not
registered stays moto's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_sagemaker import fields, validation
from local_sagemaker.errors import ApiError, ValidationException
from local_sagemaker.faults import answers
from local_sagemaker.store import Record

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


@dataclass(frozen=True, slots=True)
class Call:
    """One API call: who asks for what, and the running server's parts.

    ``access_key`` is empty where the server itself calls, for a step of a pipeline or an event.
    """

    platform: Platform
    operation: str
    account_id: str
    region: str
    caller_arn: str
    request: dict[str, Any]
    access_key: str = ""

    def arn(self, kind: str, name: str) -> str:
        """``arn:aws:sagemaker:<region>:<account>:<kind>/<name>``; SageMaker writes names in ARNs in lower case."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:{kind}/{name.lower()}"


Handler = Callable[[Call], dict[str, Any] | None]
OPERATIONS: dict[str, Handler] = {}


def operation(name: str) -> Callable[[Handler], Handler]:
    """Register the handler of a SageMaker operation, for example ``CreateTrainingJob``."""

    def register(handler: Handler) -> Handler:
        if name in OPERATIONS:
            raise RuntimeError(f"{name} has two handlers")
        validation.operation_model(name)  # an unknown operation fails here
        OPERATIONS[name] = handler
        return handler

    return register


def perform(call: Call) -> dict[str, Any]:
    """Check the request against the service model, refuse what is not executed here, and answer with the handler.

    Raises:
        ApiError: what the caller gets to see.
    """
    try:
        answers.before(call.platform.faults, "sagemaker", call.operation, call.access_key)
        validation.check(call.operation, call.request)
        fields.refuse(call)
        found = OPERATIONS[call.operation](call) or {}
        answers.after(call.platform.faults, "sagemaker", call.operation, call.access_key)
    except answers.Refusal as refusal:
        raise ApiError(refusal.message, code=refusal.code, status=refusal.status) from None
    return found


def install(platform: Platform) -> None:
    """Make moto's SageMaker responder answer every registered operation through :func:`perform`."""
    from moto.core.responses import ActionResult
    from moto.core.utils import camelcase_to_underscores
    from moto.sagemaker.responses import SageMakerResponse

    from local_sagemaker.iam.requests import credentials

    def method(name: str) -> Callable[[Any], Any]:
        def act(self: Any) -> Any:
            call = Call(
                platform=platform,
                operation=name,
                account_id=self.current_account,
                region=self.region,
                caller_arn=platform.caller_arn(self),
                request=json.loads(self.body or "{}"),
                access_key=credentials({"HTTP_AUTHORIZATION": self.headers.get("Authorization", "")})[0],
            )
            try:
                return ActionResult(perform(call))
            except ApiError as error:
                if error.status < 500:
                    raise _as_moto(error) from error
                _, headers, body = self.serialized(ActionResult(_as_moto(error)))  # moto would answer 400
                headers["status"] = str(error.status)
                return error.status, headers, body

        return act

    for name in OPERATIONS:
        setattr(SageMakerResponse, camelcase_to_underscores(name), method(name))


def _as_moto(error: ApiError) -> Exception:
    from moto.core.exceptions import ServiceException

    kind = type(error.code, (ServiceException,), {"code": error.code, "status": error.status})
    return kind(error.message)  # type: ignore[no-any-return]


def page(
    call: Call,
    records: Iterable[Record],
    summarise: Callable[[Record], dict[str, Any]],
    key: str,
    *,
    default_size: int = 10,
) -> dict[str, Any]:
    """A List answer: the filters and the paging that SageMaker's List operations share.

    Honoured: NameContains, CreationTimeAfter/Before, LastModifiedTimeAfter/Before, StatusEquals (against the body's
    ``Status``), SortBy (Name, CreationTime, LastModifiedTime, Status), SortOrder, MaxResults, NextToken.
    """
    request = call.request
    found = [record for record in records if _wanted(record, request)]
    sort_by = request.get("SortBy", "CreationTime")
    keys: dict[str, Callable[[Record], Any]] = {
        "Name": lambda record: record.name,
        "Status": lambda record: (record.body.get("Status", ""), record.number),
        "LastModifiedTime": lambda record: (record.modified, record.number),
    }
    found.sort(
        key=keys.get(sort_by, lambda record: record.number),
        reverse=request.get("SortOrder", "Descending") == "Descending",
    )
    size = int(request.get("MaxResults") or default_size)
    try:
        start = int(request.get("NextToken") or 0)
    except ValueError:
        raise ValidationException("Invalid NextToken") from None
    answer: dict[str, Any] = {key: [summarise(record) for record in found[start : start + size]]}
    if start + size < len(found):
        answer["NextToken"] = str(start + size)
    return answer


def _wanted(record: Record, request: dict[str, Any]) -> bool:
    contains = request.get("NameContains")
    if contains is not None and contains.lower() not in record.name.lower():
        return False
    status = request.get("StatusEquals")
    if status is not None and record.body.get("Status") != status:
        return False
    for name, instant in (("CreationTime", record.created), ("LastModifiedTime", record.modified)):
        after, before = request.get(f"{name}After"), request.get(f"{name}Before")
        if (after is not None and instant <= float(after)) or (before is not None and instant >= float(before)):
            return False
    return True
