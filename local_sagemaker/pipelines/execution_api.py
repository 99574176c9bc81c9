"""The operations on executions and their steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from local_sagemaker.api import Call, operation, page
from local_sagemaker.errors import ValidationException, not_executed
from local_sagemaker.pipelines import events, names, parameters, records
from local_sagemaker.pipelines.definition import parse
from local_sagemaker.pipelines.run import set_status
from local_sagemaker.store import Record

_KEPT = ("PipelineExecutionDisplayName", "PipelineExecutionDescription", "ParallelismConfiguration")


@operation("StartPipelineExecution")
def start_pipeline_execution(call: Call) -> dict[str, Any]:
    request, store = call.request, call.platform.store
    pipeline = records.find_pipeline(store, call.region, call.account_id, request["PipelineName"])
    token = request["ClientRequestToken"]
    known = records.known_token(store, call.region, call.operation, pipeline.name, token)
    if known is not None:
        return {"PipelineExecutionArn": known}
    version = request.get("PipelineVersionId") or pipeline.body["Version"]
    definition = parse(records.find_version(store, call.region, pipeline.name, version).body["Definition"])
    values = parameters.bind(definition.parameters, request.get("PipelineParameters") or [])
    identity, now = names.execution_id(), call.platform.clock.time()
    arn = f"{pipeline.body['PipelineArn']}/execution/{identity}"
    user = records.user_context(call.caller_arn)
    body: dict[str, Any] = {
        "Pipeline": pipeline.name,
        "PipelineName": pipeline.body["PipelineName"],
        "PipelineArn": pipeline.body["PipelineArn"],
        "PipelineExecutionArn": arn,
        "PipelineExecutionDisplayName": f"execution-{round(now * 1000)}",
        "PipelineExecutionStatus": "Executing",
        "PipelineVersionId": version,
        "RoleArn": pipeline.body["RoleArn"],
        "Parameters": values,
        "StartTime": now,
        "CreatedBy": user,
        "LastModifiedBy": user,
    }
    if pipeline.body.get("ParallelismConfiguration"):
        body["ParallelismConfiguration"] = pipeline.body["ParallelismConfiguration"]
    body |= {name: request[name] for name in _KEPT if request.get(name) is not None}
    # A killed server goes on with the execution: the roles, functions and data of its steps are on disk before it is.
    call.platform.state.flush("s3", "iam", "ecr", "awslambda")
    with store.transaction():
        record = store.insert(records.EXECUTION, call.region, identity, body)
        store.update(records.PIPELINE, call.region, pipeline.name, lambda body: body.update(LastRunTime=now))
        store.update(
            records.VERSION, call.region, f"{pipeline.name}/{version}",
            lambda body: body.update(LastExecutionPipelineExecutionArn=arn),
        )  # fmt: skip
        records.keep_token(store, call.region, call.operation, pipeline.name, token, arn)
        events.execution_changed(call.platform, call.region, body, None)
    call.platform.executions.begin(record)
    return {"PipelineExecutionArn": arn}


@operation("StopPipelineExecution")
def stop_pipeline_execution(call: Call) -> dict[str, Any]:
    store, token = call.platform.store, call.request["ClientRequestToken"]
    with store.transaction():
        record = _find(call)
        answer = {"PipelineExecutionArn": record.body["PipelineExecutionArn"]}
        if records.known_token(store, call.region, call.operation, record.name, token) is not None:
            return answer
        status = record.body["PipelineExecutionStatus"]
        if status != "Executing":
            raise ValidationException(
                f"Pipeline execution {answer['PipelineExecutionArn']} is {status}; "
                "only one that is Executing can be stopped."
            )
        set_status(call.platform, call.region, record.name, "Stopping")
        records.keep_token(store, call.region, call.operation, record.name, token, record.name)
    call.platform.executions.look_again(record)
    return answer


@operation("RetryPipelineExecution")
def retry_pipeline_execution(call: Call) -> dict[str, Any]:
    """Run again what failed or was stopped, and what never ran; what succeeded stays."""
    store, token = call.platform.store, call.request["ClientRequestToken"]
    with store.transaction():
        record = _find(call)
        answer = {"PipelineExecutionArn": record.body["PipelineExecutionArn"]}
        if records.known_token(store, call.region, call.operation, record.name, token) is not None:
            return answer
        previous = record.body["PipelineExecutionStatus"]
        if previous not in ("Failed", "Stopped"):
            raise ValidationException(
                f"Pipeline execution {answer['PipelineExecutionArn']} is {previous}; "
                "only one that is Failed or Stopped can be retried."
            )
        for step in _steps(call, record):
            if step.body["StepStatus"] != "Succeeded":
                store.delete(records.STEP, call.region, step.name)

        def change(body: dict[str, Any]) -> None:
            body["PipelineExecutionStatus"] = "Executing"
            body["LastModifiedBy"] = records.user_context(call.caller_arn)
            for name in ("EndTime", "FailureReason"):
                body.pop(name, None)
            if call.request.get("ParallelismConfiguration"):
                body["ParallelismConfiguration"] = call.request["ParallelismConfiguration"]

        record = store.update(records.EXECUTION, call.region, record.name, change)
        records.keep_token(store, call.region, call.operation, record.name, token, record.name)
        events.execution_changed(call.platform, call.region, record.body, previous)
    call.platform.executions.begin(record)
    return answer


@operation("UpdatePipelineExecution")
def update_pipeline_execution(call: Call) -> dict[str, Any]:
    record = _find(call)
    given = {name: call.request[name] for name in _KEPT if call.request.get(name) is not None}
    given["LastModifiedBy"] = records.user_context(call.caller_arn)
    call.platform.store.update(records.EXECUTION, call.region, record.name, lambda body: body.update(given))
    call.platform.executions.look_again(record)
    return {"PipelineExecutionArn": record.body["PipelineExecutionArn"]}


_DESCRIBED = (
    "PipelineArn", "PipelineExecutionArn", "PipelineExecutionDisplayName", "PipelineExecutionStatus",
    "PipelineExecutionDescription", "FailureReason", "CreatedBy", "LastModifiedBy", "ParallelismConfiguration",
    "PipelineVersionId",
)  # fmt: skip


@operation("DescribePipelineExecution")
def describe_pipeline_execution(call: Call) -> dict[str, Any]:
    record = _find(call)
    answer = {name: record.body[name] for name in _DESCRIBED if record.body.get(name) is not None}
    return answer | {"CreationTime": record.created, "LastModifiedTime": record.modified}


@operation("DescribePipelineDefinitionForExecution")
def describe_pipeline_definition_for_execution(call: Call) -> dict[str, Any]:
    record = _find(call)
    version = records.find_version(
        call.platform.store, call.region, record.body["Pipeline"], record.body["PipelineVersionId"]
    )
    return {"PipelineDefinition": version.body["Definition"], "CreationTime": version.created}


@operation("ListPipelineExecutions")
def list_pipeline_executions(call: Call) -> dict[str, Any]:
    store = call.platform.store
    pipeline = records.find_pipeline(store, call.region, call.account_id, call.request["PipelineName"])
    found = records.executions_of(store, call.region, pipeline.name)
    renamed = {"CreatedAfter": "CreationTimeAfter", "CreatedBefore": "CreationTimeBefore"}
    request = {renamed.get(name, name): value for name, value in call.request.items()}
    if request.get("SortBy") == "PipelineExecutionArn":
        request["SortBy"] = "Name"
    return page(replace(call, request=request), found, _summary, "PipelineExecutionSummaries")


def _summary(record: Record) -> dict[str, Any]:
    shown = (
        "PipelineExecutionArn", "PipelineExecutionStatus", "PipelineExecutionDescription",
        "PipelineExecutionDisplayName",
    )  # fmt: skip
    answer = {name: record.body[name] for name in shown if record.body.get(name) is not None}
    if record.body.get("FailureReason"):
        answer["PipelineExecutionFailureReason"] = record.body["FailureReason"]
    return answer | {"StartTime": record.body["StartTime"]}


_STEP = (
    "StepName", "StepDisplayName", "StepDescription", "StartTime", "EndTime", "StepStatus", "CacheHitResult",
    "FailureReason", "Metadata", "AttemptCount",
)  # fmt: skip


@operation("ListPipelineExecutionSteps")
def list_pipeline_execution_steps(call: Call) -> dict[str, Any]:
    """Steps that have started, the latest first unless SortOrder says otherwise."""
    if not call.request.get("PipelineExecutionArn"):
        raise ValidationException("PipelineExecutionArn is required.")
    found = _steps(call, _find(call))
    return page(
        call,
        found,
        lambda step: {name: step.body[name] for name in _STEP if name in step.body},
        "PipelineExecutionSteps",
    )


def _step(record: Record) -> dict[str, Any]:
    return {name: record.body[name] for name in _STEP if name in record.body}


@operation("ListPipelineParametersForExecution")
def list_pipeline_parameters_for_execution(call: Call) -> dict[str, Any]:
    listed = parameters.listed(_find(call).body["Parameters"])
    size, start = int(call.request.get("MaxResults") or 100), _offset(call)
    answer: dict[str, Any] = {"PipelineParameters": listed[start : start + size]}
    if start + size < len(listed):
        answer["NextToken"] = str(start + size)
    return answer


@operation("SendPipelineExecutionStepSuccess")
def send_pipeline_execution_step_success(call: Call) -> dict[str, Any]:
    raise not_executed(call.operation, "a callback step", "Use a Lambda step.")


@operation("SendPipelineExecutionStepFailure")
def send_pipeline_execution_step_failure(call: Call) -> dict[str, Any]:
    raise not_executed(call.operation, "a callback step", "Use a Lambda step.")


def _find(call: Call) -> Record:
    return records.find_execution(call.platform.store, call.region, call.request["PipelineExecutionArn"])


def _steps(call: Call, execution: Record) -> list[Record]:
    return call.platform.store.list(records.STEP, call.region, prefix=f"{execution.name}/")


def _offset(call: Call) -> int:
    try:
        return int(call.request.get("NextToken") or 0)
    except ValueError:
        raise ValidationException("Invalid NextToken") from None
