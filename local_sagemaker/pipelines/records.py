"""How pipelines, their versions, executions and steps are stored.

====================== ============================== ==========================================================
kind                   name                           body
====================== ============================== ==========================================================
``pipeline``           pipeline's name, lower case    what DescribePipeline answers, without the definition
``pipeline-version``   ``<pipeline>/<version>``       ``Definition`` and the version's own members
``pipeline-execution`` execution id                   what DescribePipelineExecution answers, ``Parameters``, …
``pipeline-step``      ``<execution id>/<step>``      what ListPipelineExecutionSteps answers, and how to go on
``pipeline-cache``     ``<pipeline>/<step>/<key>``    the last success with these decisive attributes
``pipeline-token``     ``<operation>/<scope>/<token>`` the answer given to a ClientRequestToken
====================== ============================== ==========================================================

Times in bodies are seconds since the epoch.
"""

from __future__ import annotations

from typing import Any

from local_sagemaker.errors import ResourceNotFound
from local_sagemaker.pipelines.definition import Definition, parse
from local_sagemaker.pipelines.names import pipeline_of
from local_sagemaker.store import Exists, Record, Store

PIPELINE, VERSION, EXECUTION, STEP = "pipeline", "pipeline-version", "pipeline-execution", "pipeline-step"
CACHE, TOKEN = "pipeline-cache", "pipeline-token"

RUNNING = ("Executing", "Stopping")
ENDED = ("Succeeded", "Failed", "Stopped")


def find_pipeline(store: Store, region: str, account_id: str, name_or_arn: str) -> Record:
    """
    Raises:
        ResourceNotFound: there is none.
    """
    name = pipeline_of(name_or_arn)
    record = store.get(PIPELINE, region, name)
    if record is None:
        raise ResourceNotFound(f"Pipeline 'arn:aws:sagemaker:{region}:{account_id}:pipeline/{name}' does not exist.")
    return record


def find_version(store: Store, region: str, pipeline: str, version: int) -> Record:
    """
    Raises:
        ResourceNotFound: there is none.
    """
    record = store.get(VERSION, region, f"{pipeline}/{version}")
    if record is None:
        raise ResourceNotFound(f"Pipeline {pipeline} has no version {version}.")
    return record


def find_execution(store: Store, region: str, arn: str) -> Record:
    """
    Raises:
        ResourceNotFound: there is none.
    """
    record = store.get(EXECUTION, region, arn.rsplit("/", 1)[-1])
    if record is None or record.body["PipelineExecutionArn"] != arn:
        raise ResourceNotFound(f"Pipeline execution '{arn}' does not exist.")
    return record


def definition_of(store: Store, execution: Record) -> Definition:
    """The definition that an execution runs: its pipeline's version at the start."""
    body = execution.body
    return parse(find_version(store, execution.region, body["Pipeline"], body["PipelineVersionId"]).body["Definition"])


def known_token(store: Store, region: str, operation: str, scope: str, token: str) -> str | None:
    """The answer that was given to this token before."""
    record = store.get(TOKEN, region, f"{operation}/{scope}/{token}")
    return str(record.body["Answer"]) if record else None


def keep_token(store: Store, region: str, operation: str, scope: str, token: str, answer: str) -> None:
    try:
        store.insert(TOKEN, region, f"{operation}/{scope}/{token}", {"Answer": answer})
    except Exists:  # the same request twice at the same time gets the same answer
        return


def user_context(caller_arn: str) -> dict[str, Any]:
    """CreatedBy and LastModifiedBy."""
    return {"IamIdentity": {"Arn": caller_arn, "PrincipalId": caller_arn.rsplit(":", 1)[-1].rsplit("/", 1)[-1]}}


def executions_of(store: Store, region: str, pipeline: str) -> list[Record]:
    """All executions of a pipeline, oldest first."""
    return [record for record in store.list(EXECUTION, region) if record.body["Pipeline"] == pipeline]
