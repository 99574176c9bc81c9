"""Lambda steps. Source: SageMaker Developer Guide, "Lambda step"."""

from __future__ import annotations

import json
from typing import Any

from local_sagemaker.iam.access import Denied
from local_sagemaker.iam.needs import Needed
from local_sagemaker.lambdas import CannotInvoke, NoSuchFunction
from local_sagemaker.pipelines import cache, retries
from local_sagemaker.pipelines.expressions import to_text
from local_sagemaker.pipelines.steps.base import Context, Failed, Outcome, Succeeded

#: An output parameter's value holds this many characters.
LONGEST = 1024


class BadOutput(Exception):
    """The function answered something else than its OutputParameters say."""


def act(context: Context) -> Outcome:
    step, platform = context.step, context.platform
    arn = context.resolve(step.raw["FunctionArn"])
    arguments = context.resolve(dict(step.arguments))
    key = None
    if step.cache_seconds is not None:
        request = {"FunctionArn": arn, "Arguments": arguments, "OutputParameters": step.outputs}
        key = cache.key("Lambda", request)
        found = context.cached(key)
        if found is not None:
            return Succeeded(found["Metadata"], found["Properties"], source=found["Source"])
    metadata: dict[str, Any] = {"Lambda": {"Arn": arn}}
    try:
        name = arn.split(":function:")[-1].split(":")[0]
        plain = f"arn:aws:lambda:{context.region}:{platform.account_id}:function:{name}"
        platform.access.demand(context.execution["RoleArn"], [Needed("lambda:InvokeFunction", plain)], context.region)
        result = platform.lambdas.invoke(arn, json.dumps(arguments).encode(), context.region)
    except Denied as error:
        return Failed(f"ClientError: Failed to invoke lambda:Invoke. Error Details: {error}", metadata=metadata)
    except NoSuchFunction as error:
        return Failed(f"ClientError: Failed to invoke lambda:Invoke. Error Details: {error}", metadata=metadata)
    except CannotInvoke as error:
        reason = f"ClientError: Failed to invoke lambda:Invoke. Error Details: {error.message}"
        kind = retries.THROTTLING if error.status == 429 else retries.SERVICE_FAULT if error.status == 500 else None
        return Failed(reason, kind, metadata)
    platform.state.flush("s3")  # what the function's answer names must outlive a killed server
    if result.function_error:
        return Failed(f"ClientError: The Lambda function failed. {_failure(result.payload)}", metadata=metadata)
    try:
        outputs = read_outputs(result.payload, step.outputs)
    except BadOutput as error:
        return Failed(f"ClientError: {error}", metadata=metadata)
    listed = [{"Name": name, "Value": to_text(value)} for name, value in outputs.items()]
    if listed:
        metadata["Lambda"]["OutputParameters"] = listed
    return Succeeded(metadata, {"OutputParameters": outputs}, key)


def _failure(payload: bytes) -> str:
    """``Type: message`` of an error answer."""
    try:
        answer = json.loads(payload)
        return f"{answer.get('errorType', 'Error')}: {answer.get('errorMessage', '')}"
    except (ValueError, AttributeError):
        return payload.decode(errors="replace")


def read_outputs(payload: bytes, declared: dict[str, str]) -> dict[str, Any]:
    """The declared output parameters in a function's answer, each in its type.

    Raises:
        BadOutput: one is missing, has another type or is too long.
    """
    if not declared:
        return {}
    try:
        answer = json.loads(payload)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise BadOutput(f"The Lambda function must answer a JSON object with {', '.join(declared)}.")
    outputs: dict[str, Any] = {}
    for name, kind in declared.items():
        if name not in answer:
            raise BadOutput(f"The Lambda function's answer lacks the output parameter {name}.")
        value = _typed(answer[name], kind)
        if value is None:
            raise BadOutput(f"The output parameter {name} of the Lambda function is no {kind}: {answer[name]!r}.")
        if len(to_text(value)) > LONGEST:
            raise BadOutput(f"The output parameter {name} is longer than {LONGEST} characters.")
        outputs[name] = value
    return outputs


def _typed(value: Any, kind: str) -> Any:
    """``value`` as ``kind``, None when it is something else. A String may come as a number, as AWS's example does."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match kind:
        case "String":
            return value if isinstance(value, str) else to_text(value) if number or isinstance(value, bool) else None
        case "Integer":
            return int(value) if number and float(value).is_integer() else None
        case "Float":
            return float(value) if number else None
        case _:
            return value if isinstance(value, bool) else None
