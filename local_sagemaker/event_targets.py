"""What a matched event is sent to: Lambda functions, SQS, SNS, other buses, log groups, SageMaker pipelines.

Lambda targets are invoked as AWS does it asynchronously: whoever calls :meth:`Targets.send` gets the outcome and
decides about the next attempt.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_sagemaker import policies
from local_sagemaker.lambdas import CannotInvoke, LambdaResult, NoSuchFunction

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. ``again``: AWS would try once more."""

    delivered: bool
    text: str
    code: str = ""
    again: bool = False
    result: LambdaResult | None = None


class Targets:
    """Sends to targets of one account."""

    def __init__(self, platform: Platform, publish: Callable[..., str]) -> None:
        self._platform = platform
        self._publish = publish

    def send(self, arn: str, target: dict[str, Any], payload: str, region: str) -> Outcome:
        """One attempt. ``target`` holds the parameters of an EventBridge or Scheduler target."""
        parts = arn.split(":", 5)
        service = parts[2] if len(parts) == 6 else arn
        region = parts[3] if len(parts) == 6 and parts[3] else region
        try:
            match service:
                case "lambda":
                    return self._invoke(arn, payload, region, target.get("RuleArn"))
                case "sqs":
                    self._to_queue(parts[5], target, payload, region)
                case "sns":
                    self._to_topic(arn, target, payload, region)
                case "events":
                    self._to_bus(parts[5], payload, region)
                case "logs":
                    name = parts[5].removeprefix("log-group:").removesuffix(":*")
                    self._platform.logs.stream(name, str(uuid.uuid4()), region).write(payload)
                case "sagemaker" if parts[5].startswith("pipeline/"):
                    self._start_pipeline(arn, target, region)
                case _:
                    return Outcome(
                        False, f"undeliverable: the local SageMaker has no targets of {service}", "UNSUPPORTED"
                    )
        except Exception as error:
            message = getattr(error, "message", None) or str(error) or repr(error)
            _log.warning("delivery to %s failed: %s", arn, message)
            return Outcome(False, f"failed: {message}", getattr(error, "code", None) or type(error).__name__)
        return Outcome(True, "delivered")

    def dead_letter(self, arn: str, payload: str, attributes: dict[str, str], region: str) -> str:
        """Give up: send ``payload`` to a queue or topic that takes what failed; returns what became of it."""
        parts = arn.split(":", 5)
        try:
            if parts[2] == "sqs":
                typed = {
                    name: {"DataType": "String", "StringValue": value[:1024]} for name, value in attributes.items()
                }
                self._backend("sqs", parts[3]).send_message(parts[5], payload, message_attributes=typed)
                self._platform.state.changed("sqs")
            else:
                outcome = self.send(arn, {}, payload, region)
                return f"to {arn}: {outcome.text}"
        except Exception as error:
            return f"to {arn}: failed: {error}"
        return f"to {arn}: delivered"

    def _invoke(self, arn: str, payload: str, region: str, rule_arn: str | None) -> Outcome:
        try:
            if rule_arn is not None and not self._allows(arn, region, rule_arn):
                text = f"failed: the function's policy does not allow the rule {rule_arn} to invoke it (AddPermission)"
                return Outcome(False, text, "NO_PERMISSIONS")
            result = self._platform.lambdas.invoke(arn, payload.encode(), region)
        except NoSuchFunction as error:
            return Outcome(False, f"failed: {error}", "RESOURCE_NOT_FOUND")
        except CannotInvoke as error:
            again = error.status in (429, 500)
            return Outcome(False, f"failed: {error.message}", error.code, again)
        if result.function_error is None:
            return Outcome(True, "delivered", result=result)
        text = result.payload.decode(errors="replace")
        return Outcome(False, f"function error: {text[:1000]}", "FUNCTION_ERROR", again=True, result=result)

    def _allows(self, arn: str, region: str, rule_arn: str) -> bool:
        """Does the function's own policy let EventBridge call it for this rule? No role can stand in for it."""
        function = self._platform.lambdas.find(arn, region)
        policy = {"Statement": [statement | {"Resource": "*"} for statement in function.policy.statements]}
        context = {"aws:sourcearn": rule_arn, "aws:sourceaccount": self._platform.account_id}
        verdict = policies.evaluate(
            [policy], "lambda:InvokeFunction", arn, context, principals=["events.amazonaws.com"]
        )
        return verdict == "Allow"

    def _to_queue(self, name: str, target: dict[str, Any], payload: str, region: str) -> None:
        group = target.get("SqsParameters", {}).get("MessageGroupId")
        backend = self._backend("sqs", region)
        options: dict[str, Any] = {"group_id": group} if group else {}
        if name.endswith(".fifo") and backend.get_queue(name).attributes.get("ContentBasedDeduplication") != "true":
            options["deduplication_id"] = str(uuid.uuid4())
        backend.send_message(name, payload, **options)
        self._platform.state.changed("sqs")

    def _to_topic(self, arn: str, target: dict[str, Any], payload: str, region: str) -> None:
        self._backend("sns", region).publish(payload, arn=arn, subject=target.get("Subject"))
        self._platform.state.changed("sns", "sqs")

    def _to_bus(self, resource: str, payload: str, region: str) -> None:
        event = json.loads(payload)
        self._publish(
            event["source"], event["detail-type"], event["detail"], event.get("resources", []), region,
            bus=resource.removeprefix("event-bus/"),
        )  # fmt: skip

    def _start_pipeline(self, arn: str, target: dict[str, Any], region: str) -> None:
        from local_sagemaker import api

        request: dict[str, Any] = {"PipelineName": arn, "ClientRequestToken": uuid.uuid4().hex + uuid.uuid4().hex[:8]}
        parameters = target.get("SageMakerPipelineParameters", {}).get("PipelineParameterList")
        if parameters:
            request["PipelineParameters"] = parameters
        account = self._platform.account_id
        role = target.get("RoleArn")
        call = api.Call(
            self._platform, "StartPipelineExecution", account, region, role or f"arn:aws:iam::{account}:root", request
        )
        if role:
            self._platform.access.call(call, role)
        api.perform(call)

    def _backend(self, service: Any, region: str) -> Any:
        from moto.backends import get_backend

        return get_backend(service)[self._platform.account_id][region]
