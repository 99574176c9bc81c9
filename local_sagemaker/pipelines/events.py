"""EventBridge events of executions and steps, in AWS's shape (camelCase detail).

Source: SageMaker Developer Guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge", sections on the state
of pipeline executions and pipeline steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

EXECUTION = "SageMaker Model Building Pipeline Execution Status Change"
STEP = "SageMaker Model Building Pipeline Execution Step Status Change"


def execution_changed(platform: Platform, region: str, body: Mapping[str, Any], previous: str | None) -> None:
    """``body`` is the execution's record; ``previous`` its status before, None at the start."""
    detail: dict[str, Any] = {
        "pipelineExecutionDisplayName": body.get("PipelineExecutionDisplayName"),
        "pipelineExecutionDescription": body.get("PipelineExecutionDescription"),
        "currentPipelineExecutionStatus": body["PipelineExecutionStatus"],
        "previousPipelineExecutionStatus": previous,
        "executionStartTime": _instant(body["StartTime"]),
        "executionEndTime": _instant(body.get("EndTime")),
        "failureReason": body.get("FailureReason"),
    }
    _publish(platform, region, EXECUTION, detail, body)


def step_changed(
    platform: Platform, region: str, execution: Mapping[str, Any], step: Mapping[str, Any], previous: str | None
) -> None:
    """``step`` is the step's record after the change."""
    detail: dict[str, Any] = {
        "metadata": _camel(step.get("Metadata", {})),
        "stepStartTime": _instant(step["StartTime"]),
        "stepEndTime": _instant(step.get("EndTime")),
        "stepName": step["StepName"],
        "stepType": step["Type"],
        "previousStepStatus": previous,
        "currentStepStatus": step["StepStatus"],
        "failureReason": step.get("FailureReason"),
    }
    if step.get("CacheHitResult"):
        detail["cacheHitResult"] = _camel(step["CacheHitResult"])
    _publish(platform, region, STEP, detail, execution)


def _publish(platform: Platform, region: str, kind: str, detail: dict[str, Any], execution: Mapping[str, Any]) -> None:
    arns = {"pipelineArn": execution["PipelineArn"], "pipelineExecutionArn": execution["PipelineExecutionArn"]}
    said = {name: value for name, value in detail.items() if value is not None}
    platform.events.publish("aws.sagemaker", kind, said | arns, list(arns.values()), region)


def _camel(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key[:1].lower() + key[1:]: _camel(item) for key, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
