"""The operations on pipelines and their versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from local_sagemaker import tags
from local_sagemaker.api import Call, operation, page
from local_sagemaker.errors import ConflictException, ValidationException
from local_sagemaker.objects import ObjectError
from local_sagemaker.pipelines import (  # noqa: F401  (execution_api registers its handlers)
    definition,
    execution_api,
    records,
)
from local_sagemaker.store import Record

_KEPT = ("PipelineDisplayName", "PipelineDescription", "RoleArn", "ParallelismConfiguration")
_SHOWN = ("PipelineVersionDisplayName", "PipelineVersionDescription")


@operation("CreatePipeline")
def create_pipeline(call: Call) -> dict[str, Any]:
    request, store = call.request, call.platform.store
    name = request["PipelineName"]
    token = request["ClientRequestToken"]
    known = records.known_token(store, call.region, call.operation, "", token)
    if known is not None:
        return {"PipelineArn": known}
    text = _definition_text(call)
    if text is None:
        raise ValidationException("Either PipelineDefinition or PipelineDefinitionS3Location is required.")
    definition.parse(text)
    tags.check(request.get("Tags"))
    arn = call.arn("pipeline", name)
    body = {
        "PipelineName": name,
        "PipelineArn": arn,
        "PipelineStatus": "Active",
        "PipelineDisplayName": name,
        **_given(request),
        "CreatedBy": records.user_context(call.caller_arn),
        "LastModifiedBy": records.user_context(call.caller_arn),
        "Version": 0,
    }
    with store.transaction():
        if store.get(records.PIPELINE, call.region, name.lower()) is not None:
            raise ValidationException(
                "Pipeline names must be unique within an AWS account and region. "
                f"Pipeline with name ({name}) already exists."
            )
        store.insert(records.PIPELINE, call.region, name.lower(), body)
        _add_version(call, name.lower(), text)
        tags.create(call, arn, request.get("Tags"))
        records.keep_token(store, call.region, call.operation, "", token, arn)
    return {"PipelineArn": arn}


@operation("UpdatePipeline")
def update_pipeline(call: Call) -> dict[str, Any]:
    store = call.platform.store
    record = _find(call)
    text = _definition_text(call)
    if text is not None:
        definition.parse(text)
    given = _given(call.request)

    def change(body: dict[str, Any]) -> None:
        body.update(given)
        body["LastModifiedBy"] = records.user_context(call.caller_arn)

    with store.transaction():
        updated = store.update(records.PIPELINE, call.region, record.name, change)
        version = updated.body["Version"]
        if text is not None and text != _version(call, record.name, version).body["Definition"]:
            version = _add_version(call, record.name, text)
    return {"PipelineArn": record.body["PipelineArn"], "PipelineVersionId": version}


@operation("DescribePipeline")
def describe_pipeline(call: Call) -> dict[str, Any]:
    record = _find(call)
    version = _version(call, record.name, call.request.get("PipelineVersionId") or record.body["Version"])
    body = record.body | {"PipelineDefinition": version.body["Definition"]}
    body |= {name: version.body[name] for name in _SHOWN if name in version.body}
    body.pop("Version")
    return body | {"CreationTime": record.created, "LastModifiedTime": record.modified}


@operation("ListPipelines")
def list_pipelines(call: Call) -> dict[str, Any]:
    prefix = (call.request.get("PipelineNamePrefix") or "").lower()
    found = call.platform.store.list(records.PIPELINE, call.region, prefix=prefix)
    return page(_renamed(call), found, _summary, "PipelineSummaries")


@operation("DeletePipeline")
def delete_pipeline(call: Call) -> dict[str, Any]:
    """As on AWS the executions go with it; so does the cache."""
    store, token = call.platform.store, call.request["ClientRequestToken"]
    known = records.known_token(store, call.region, call.operation, "", token)
    if known is not None:
        return {"PipelineArn": known}
    record = _find(call)
    arn = record.body["PipelineArn"]
    with store.transaction():
        executions = records.executions_of(store, call.region, record.name)
        running = [item for item in executions if item.body["PipelineExecutionStatus"] in records.RUNNING]
        if running:
            raise ConflictException(
                f"Pipeline {arn} has {len(running)} running execution(s), for example "
                f"{running[0].body['PipelineExecutionArn']}. Stop them before the pipeline is deleted."
            )
        for item in executions:
            _delete_all(call, records.STEP, f"{item.name}/")
            store.delete(records.EXECUTION, call.region, item.name)
        _delete_all(call, records.VERSION, f"{record.name}/")
        _delete_all(call, records.CACHE, f"{record.name}/")
        store.delete(records.PIPELINE, call.region, record.name)
        tags.drop(call, arn)
        records.keep_token(store, call.region, call.operation, "", token, arn)
    return {"PipelineArn": arn}


@operation("ListPipelineVersions")
def list_pipeline_versions(call: Call) -> dict[str, Any]:
    record = _find(call)
    versions = call.platform.store.list(records.VERSION, call.region, prefix=f"{record.name}/")

    def summary(version: Record) -> dict[str, Any]:
        kept = {name: version.body[name] for name in _SHOWN if name in version.body}
        last = version.body.get("LastExecutionPipelineExecutionArn")
        return {
            "PipelineArn": record.body["PipelineArn"],
            "PipelineVersionId": version.body["PipelineVersionId"],
            "CreationTime": version.created,
            **kept,
            **({"LastExecutionPipelineExecutionArn": last} if last else {}),
        }

    return page(_renamed(call), versions, summary, "PipelineVersionSummaries")


@operation("UpdatePipelineVersion")
def update_pipeline_version(call: Call) -> dict[str, Any]:
    request = call.request
    record = records.find_pipeline(call.platform.store, call.region, call.account_id, request["PipelineArn"])
    version = _version(call, record.name, request["PipelineVersionId"])
    given = {name: request[name] for name in _SHOWN if request.get(name) is not None}
    call.platform.store.update(records.VERSION, call.region, version.name, lambda body: body.update(given))
    return {"PipelineArn": record.body["PipelineArn"], "PipelineVersionId": request["PipelineVersionId"]}


def _find(call: Call) -> Record:
    return records.find_pipeline(call.platform.store, call.region, call.account_id, call.request["PipelineName"])


def _version(call: Call, pipeline: str, version: int) -> Record:
    return records.find_version(call.platform.store, call.region, pipeline, version)


def _given(request: dict[str, Any]) -> dict[str, Any]:
    return {name: request[name] for name in _KEPT if request.get(name) is not None}


def _definition_text(call: Call) -> str | None:
    """The definition in the request or in S3; None when there is neither."""
    text, location = call.request.get("PipelineDefinition"), call.request.get("PipelineDefinitionS3Location")
    if text is not None and location is not None:
        raise ValidationException("PipelineDefinition and PipelineDefinitionS3Location cannot be given together.")
    if location is None:
        return text
    uri = f"s3://{location['Bucket']}/{location['ObjectKey']}"
    try:
        return call.platform.objects.read(uri).decode()
    except ObjectError as error:
        raise ValidationException(f"The pipeline definition cannot be read from {uri}: {error}") from None
    except UnicodeDecodeError:
        raise ValidationException(f"The pipeline definition {uri} is not UTF-8 text.") from None


def _add_version(call: Call, pipeline: str, text: str) -> int:
    store = call.platform.store
    version = 0

    def change(body: dict[str, Any]) -> None:
        nonlocal version
        version = body["Version"] = body["Version"] + 1

    store.update(records.PIPELINE, call.region, pipeline, change)
    body = {"PipelineVersionId": version, "Definition": text}
    store.insert(records.VERSION, call.region, f"{pipeline}/{version}", body)
    return version


def _delete_all(call: Call, kind: str, prefix: str) -> None:
    for record in call.platform.store.list(kind, call.region, prefix=prefix):
        call.platform.store.delete(kind, call.region, record.name)


def _renamed(call: Call) -> Call:
    """These operations say CreatedAfter where others say CreationTimeAfter."""
    names = {"CreatedAfter": "CreationTimeAfter", "CreatedBefore": "CreationTimeBefore"}
    return replace(call, request={names.get(name, name): value for name, value in call.request.items()})


def _summary(record: Record) -> dict[str, Any]:
    names = ("PipelineArn", "PipelineName", "PipelineDisplayName", "PipelineDescription", "RoleArn")
    answer = {name: record.body[name] for name in names if name in record.body}
    if "LastRunTime" in record.body:
        answer["LastExecutionTime"] = record.body["LastRunTime"]
    return answer | {"CreationTime": record.created, "LastModifiedTime": record.modified}
