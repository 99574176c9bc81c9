"""Lambda.

- Invoke runs handlers in child processes (:mod:`local_sagemaker.lambdas`); moto needs Docker for it. Calls that moto
  makes itself (SNS, log subscriptions, event source mappings) become asynchronous calls.
- DeadLetterConfig and LoggingConfig get lost, so that Terraform plans a new version each time.
- An event source mapping on an alias answers the ARN of a version.
- PutFunctionEventInvokeConfig adds a configuration and reads the first one back; it knows no qualifier.
- AddPermission takes a statement id twice.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto.awslambda.exceptions import LambdaClientError, UnknownEventConfig
from moto.awslambda.models import EventInvokeConfig, EventSourceMapping, LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.core.responses import ActionResult

from local_sagemaker.iam import workloads
from local_sagemaker.iam.access import Denied
from local_sagemaker.lambdas import CannotInvoke, NoSuchFunction
from local_sagemaker.moto_gaps.patching import replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_KEPT = ("DeadLetterConfig", "LoggingConfig")

LATEST = "$LATEST"

#: The largest payload of an asynchronous call, bytes.
_LARGEST_EVENT = 1_048_576


class _BadDestination(LambdaClientError):
    def __init__(self, destination: str) -> None:
        super().__init__(
            "InvalidParameterValueException",
            "The provided destination config is invalid: The function's execution role does not have permissions to "
            f"call SendMessage on {destination}",
        )


class _StatementExists(LambdaClientError):
    code = 409

    def __init__(self, identity: str) -> None:
        super().__init__(
            "ResourceConflictException",
            f"The statement id ({identity}) provided already exists. Please provide a new statement id, or remove the "
            f"existing statement.",
        )


def install(platform: Platform) -> None:
    _install_invoke(platform)
    _install_configuration()
    _install_invoke_configs(platform)


def _install_invoke(platform: Platform) -> None:
    @replace(LambdaResponse)
    def invoke(self: Any) -> Any:
        name = unquote(self.path.rstrip("/").rsplit("/", 2)[-2])
        qualifier = self.querystring.get("Qualifier", [None])[0]
        kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        payload = self.raw_body if isinstance(self.raw_body, bytes) else str(self.raw_body or "").encode()
        try:
            function = platform.lambdas.find(name, self.region, qualifier)
            if kind == "DryRun":
                return 204, {"status": "204"}, ""
            if kind == "Event":
                return _later(platform, function, name, qualifier, payload, self.region)
            result = platform.lambdas.invoke(name, payload, self.region, qualifier=qualifier)
        except NoSuchFunction as error:
            return _error("ResourceNotFoundException", str(error), 404)
        except CannotInvoke as error:
            return _error(error.code, error.message, error.status)
        headers = {"Content-Type": "application/json", "X-Amz-Executed-Version": result.version}
        if result.function_error:
            headers["X-Amz-Function-Error"] = result.function_error
        if self.headers.get("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(result.log_tail.encode()).decode()
        return result.status, headers, result.payload

    @replace(LambdaResponse)
    def invoke_async(self: Any) -> Any:
        name = unquote(self.path.rstrip("/").rsplit("/", 2)[-2])
        try:
            function = platform.lambdas.find(name, self.region)
        except NoSuchFunction as error:
            return _error("ResourceNotFoundException", str(error), 404)
        return _later(platform, function, name, None, str(self.body or "").encode(), self.region)

    @replace(LambdaFunction, "invoke")
    def invoke_by_moto(self: Any, body: str, request_headers: Any, response_headers: Any) -> bytes:
        platform.events.invoke_later(self.function_arn, body or "{}", self.region, "another service")
        return b""


def _later(platform: Platform, function: Any, name: str, qualifier: str | None, payload: bytes, region: str) -> Any:
    if len(payload) > _LARGEST_EVENT:
        message = (
            f"{len(payload)} byte payload is too large for the Event invocation type (limit {_LARGEST_EVENT} bytes)"
        )
        return _error("RequestTooLargeException", message, 413)
    try:
        json.loads(payload or b"{}")
    except ValueError as error:
        return _error("InvalidRequestContentException", f"Could not parse request body into json: {error}", 400)
    arn = function.function_arn
    if qualifier and not arn.endswith(f":{qualifier}"):
        arn = f"{':'.join(arn.split(':')[:7])}:{qualifier}"
    platform.events.invoke_later(arn, payload.decode() or "{}", region, "Invoke")
    return 202, {"status": "202"}, ""


def _error(code: str, message: str, status: int) -> Any:
    headers = {"status": str(status), "Content-Type": "application/json", "x-amzn-ErrorType": code}
    return status, headers, json.dumps({"Type": "User", "Message": message, "message": message})


def _check_destination(platform: Platform, function: Any, config: dict[str, Any]) -> None:
    """A queue for failed events must be one that the function's role may send to."""
    queue = ((config.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination") or ""
    if not queue.startswith("arn:aws:sqs:"):
        return
    try:
        workloads.check_destination(platform, function.role, function.region, queue, function.function_name)
    except Denied:
        raise _BadDestination(queue) from None


def _install_configuration() -> None:
    @replace(LambdaFunction)
    def __init__(self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:  # noqa: N807
        __init__.original(self, account_id, spec, *args, **kwargs)  # type: ignore[attr-defined]
        self.kept = {name: spec[name] for name in _KEPT if spec.get(name)}

    @replace(LambdaFunction)
    def update_configuration(self: Any, config_updates: dict[str, Any]) -> Any:
        self.kept = getattr(self, "kept", {}) | {name: config_updates[name] for name in _KEPT if name in config_updates}
        return update_configuration.original(self, config_updates)  # type: ignore[attr-defined]

    @replace(LambdaFunction)
    def get_configuration(self: Any, on_create: bool = False) -> Any:
        found = get_configuration.original(self, on_create)  # type: ignore[attr-defined]
        found["LoggingConfig"] = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"}
        return found | {name: value for name, value in getattr(self, "kept", {}).items() if value}

    @replace(EventSourceMapping, "get_configuration")
    def get_mapping(self: Any) -> Any:
        found = get_mapping.original(self)  # type: ignore[attr-defined]
        name, colon, qualifier = self.function_name.split(":function:")[-1].partition(":")
        if colon:
            found["FunctionArn"] = f"{found['FunctionArn'].split(':function:')[0]}:function:{name}:{qualifier}"
        return found

    @replace(LambdaBackend)
    def add_permission(self: Any, function_name: str, qualifier: str, raw: str) -> Any:
        wanted = json.loads(raw).get("StatementId")
        if wanted in [
            statement.get("Sid") for statement in self.get_function(function_name, qualifier).policy.statements
        ]:
            raise _StatementExists(wanted)
        return add_permission.original(self, function_name, qualifier, raw)  # type: ignore[attr-defined]


def _install_invoke_configs(platform: Platform) -> None:
    """One configuration of asynchronous calls for each qualifier, kept with the function itself: an alias that moves to
    another version keeps its own."""

    def configs(backend: Any, name: str) -> tuple[Any, dict[str, Any], str]:
        parts = name.split(":")[6:] if name.startswith("arn:") else name.split(":")
        function = backend.get_function(parts[0])
        backend.get_function(":".join(parts))  # no such version or alias: refused
        held: dict[str, Any] = function.__dict__.setdefault("invoke_configs", {})
        return function, held, parts[1] if len(parts) > 1 else LATEST

    def name_of(response: Any) -> str:
        name = unquote(response.path.rstrip("/").rsplit("/", 2)[-2])
        qualifier = response.querystring.get("Qualifier", [LATEST])[0]
        return name if qualifier == LATEST else f"{name}:{qualifier}"

    @replace(LambdaResponse, "put_function_event_invoke_config")
    def put(self: Any) -> Any:
        return ActionResult(self.backend.put_function_event_invoke_config(name_of(self), self.json_body))

    @replace(LambdaResponse, "update_function_event_invoke_config")
    def update(self: Any) -> Any:
        return ActionResult(self.backend.update_function_event_invoke_config(name_of(self), self.json_body))

    @replace(LambdaResponse, "get_function_event_invoke_config")
    def get(self: Any) -> Any:
        return ActionResult(self.backend.get_function_event_invoke_config(name_of(self)))

    @replace(LambdaResponse, "delete_function_event_invoke_config")
    def delete(self: Any) -> Any:
        self.backend.delete_function_event_invoke_config(name_of(self))
        return 204, {"status": 204}, "{}"

    @replace(LambdaBackend)
    def put_function_event_invoke_config(self: Any, function_name: str, config: dict[str, Any]) -> Any:
        function, held, qualifier = configs(self, function_name)
        _check_destination(platform, function, config)
        held[qualifier] = EventInvokeConfig(f"{function.function_arn}:{qualifier}", function.last_modified, config)
        return held[qualifier].response()

    @replace(LambdaBackend)
    def update_function_event_invoke_config(self: Any, function_name: str, config: dict[str, Any]) -> Any:
        _, held, qualifier = configs(self, function_name)
        before = held[qualifier].config if qualifier in held else {}
        return self.put_function_event_invoke_config(function_name, before | config)

    @replace(LambdaBackend)
    def get_function_event_invoke_config(self: Any, function_name: str) -> Any:
        function, held, qualifier = configs(self, function_name)
        if qualifier not in held:
            raise UnknownEventConfig(f"{function.function_arn}:{qualifier}")
        return held[qualifier].response()

    @replace(LambdaBackend)
    def delete_function_event_invoke_config(self: Any, function_name: str) -> None:
        self.get_function_event_invoke_config(function_name)
        _, held, qualifier = configs(self, function_name)
        del held[qualifier]

    @replace(LambdaBackend)
    def list_function_event_invoke_configs(self: Any, function_name: str) -> Any:
        _, held, _ = configs(self, function_name)
        return {"FunctionEventInvokeConfigs": [one.response() for one in held.values()]}


def invoke_config(function: Any, qualifier: str) -> dict[str, Any]:
    """The configuration of asynchronous calls of a function's ($LATEST's) qualifier; empty where there is none.

    Args:
        function: moto's function object, of no version.
    """
    held = getattr(function, "invoke_configs", {})
    return dict(held[qualifier].config) if qualifier in held else {}
