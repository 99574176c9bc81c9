"""Looking at executions: their steps, the log of a step, and following one until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts import evaluation, jsonio, names
from contracts.errors import ContractError, FactoryError
from contracts.s3uri import S3Uri
from deployment import aws

if TYPE_CHECKING:
    from cv_factory.session import Target

SUCCEEDED, FAILED, STOPPED = "Succeeded", "Failed", "Stopped"
RUNNING = ("Executing", "Stopping", "Starting")
#: Seconds between two looks: soon after a change, later while nothing changes; (shortest, longest), local and on AWS,
#: where ListPipelineExecutionSteps is throttled per account.
_PAUSES = {True: (0.25, 2.0), False: (5.0, 10.0)}
#: How an endpoint says that it does not know an operation: moto's server, AWS's own answer, other emulators.
_UNKNOWN_OPERATION = (
    "500",
    "501",
    "404",
    "NotImplemented",
    "UnknownOperationException",
    "InvalidAction",
    "InternalFailure",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an execution, as far as it has got.

    Attributes:
        kind: ``Processing``, ``Training``, ``Lambda``, ``Condition``, ``RegisterModel``, ``Fail``, or empty.
        job: name of the processing or training job, or of the Lambda function; empty until there is one. A job's is as
            its ARN has it: in lower case, while the job itself may have capitals.
        outputs: of a Lambda step.
        seconds: wall time so far.
    """

    name: str
    status: str
    kind: str = ""
    job: str = ""
    arn: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    outcome: str = ""
    cache_hit: bool = False
    failure: str = ""
    seconds: float = 0.0
    started: datetime | None = None
    ended: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "status": self.status,
            "cache_hit": self.cache_hit,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution at one moment."""

    arn: str
    status: str
    failure: str
    steps: tuple[Step, ...]
    seconds: float

    @property
    def id(self) -> str:
        return self.arn.rsplit("/", 1)[-1]

    @property
    def running(self) -> bool:
        return self.status in RUNNING

    def step(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)

    def failed_steps(self) -> list[Step]:
        return [step for step in self.steps if step.status == FAILED]

    def to_json(self) -> dict[str, Any]:
        return {
            "execution_arn": self.arn,
            "status": self.status,
            "failure_reason": self.failure,
            "steps": [step.to_json() for step in self.steps],
            "seconds": round(self.seconds, 3),
        }


def describe(target: Target, arn: str) -> Execution:
    """An execution and its steps, in the order they started.

    Raises:
        FactoryError: the endpoint does not know the operation that lists steps.
    """
    sagemaker = target.client("sagemaker")
    about = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
    now = datetime.now(tz=about["CreationTime"].tzinfo)
    status = about["PipelineExecutionStatus"]
    end = now if status in RUNNING else about.get("LastModifiedTime", now)
    return Execution(
        arn=about["PipelineExecutionArn"],
        status=status,
        failure=about.get("FailureReason", ""),
        steps=tuple(_step(item, now) for item in _list_steps(sagemaker, arn)),
        seconds=max(0.0, (end - about["CreationTime"]).total_seconds()),
    )


def _list_steps(sagemaker: Any, arn: str) -> Iterator[dict[str, Any]]:
    from botocore.exceptions import ClientError
    from botocore.parsers import ResponseParserError

    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder="Ascending"
    )
    try:
        for page in pages:
            yield from page["PipelineExecutionSteps"]
    except ResponseParserError:
        raise _no_steps(sagemaker) from None
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _UNKNOWN_OPERATION:
            raise _no_steps(sagemaker) from None
        raise


def _no_steps(sagemaker: Any) -> FactoryError:
    return FactoryError(
        f"{sagemaker.meta.endpoint_url} does not know ListPipelineExecutionSteps: it keeps pipelines and runs none",
        "data import, pipeline upsert and pipeline start work there. Steps run on AWS, or after: cv-factory local up",
    )


def _step(item: dict[str, Any], now: datetime) -> Step:
    metadata: dict[str, dict[str, Any]] = item.get("Metadata") or {}
    kind, about = next(iter(metadata.items()), ("", {}))
    start = item.get("StartTime")
    end = item.get("EndTime") or now
    arn = about.get("Arn", "")
    return Step(
        name=item["StepName"],
        status=item["StepStatus"],
        kind=kind.removesuffix("Job"),
        job=arn.rsplit(":", 1)[-1] if kind == "Lambda" else arn.rsplit("/", 1)[-1],
        arn=arn,
        outputs={output["Name"]: str(output["Value"]) for output in about.get("OutputParameters", [])},
        outcome=about.get("Outcome", ""),
        cache_hit=bool(item.get("CacheHitResult")),
        failure=item.get("FailureReason") or about.get("ErrorMessage", ""),
        seconds=max(0.0, (end - start).total_seconds()) if start else 0.0,
        started=start,
        ended=item.get("EndTime"),
    )


def follow(target: Target, arn: str, changed: Callable[[Execution], None]) -> Execution:
    """Call ``changed`` with every look at an execution until it has ended; the last look."""
    shortest, longest = _PAUSES[target.is_local]
    pause, last = shortest, None
    while True:
        execution = describe(target, arn)
        changed(execution)
        if not execution.running:
            return execution
        now = [(step.name, step.status) for step in execution.steps]
        pause = shortest if now != last else min(pause * 1.3, longest)
        last = now
        time.sleep(pause)


# --- logs -------------------------------------------------------------------------------------------------------------

#: Kind of a job -> the log group that SageMaker gives it, one for all jobs of the account.
LOG_GROUPS = {"Processing": "/aws/sagemaker/ProcessingJobs", "Training": "/aws/sagemaker/TrainingJobs"}


def log_group(step: Step) -> str:
    """The CloudWatch log group of a step; empty where a step writes no log."""
    return f"/aws/lambda/{step.job}" if step.kind == "Lambda" else LOG_GROUPS.get(step.kind, "")


def last_lines(target: Target, step: Step, count: int) -> list[str]:
    """The last lines that a step's job wrote; none where it has written nothing, or writes no log."""
    group = log_group(step)
    if not group or not step.job:
        return []
    found: list[tuple[int, str]] = []
    logs = target.client("logs")
    for stream in _streams(logs, group, step):
        events = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=count, startFromHead=False)[
            "events"
        ]
        found.extend((event["timestamp"], event["message"]) for event in events)
    if step.kind == "Lambda" and step.started is not None:
        since = int(step.started.timestamp() * 1000)
        found = [item for item in found if item[0] >= since]
    found.sort(key=lambda item: item[0])
    return [line.rstrip("\n") for _, line in found][-count:]


class LogReader:
    """New lines of an execution's steps since the last call."""

    def __init__(self, target: Target) -> None:
        self._logs = target.client("logs")
        self._tokens: dict[tuple[str, str], str] = {}
        self._functions: set[str] = set()

    def new_lines(self, execution: Execution) -> Iterator[tuple[str, str]]:
        """(step name, line) of everything that jobs wrote since the last call."""
        for step in execution.steps:
            group = log_group(step)
            if not group or not step.job or step.cache_hit:
                continue
            if step.kind == "Lambda":
                yield from ((step.name, line) for line in self._function_lines(group, step))
                continue
            for stream in _streams(self._logs, group, step):
                yield from ((step.name, line) for line in self._read(group, stream))

    def _function_lines(self, group: str, step: Step) -> Iterator[str]:
        """What the function logged while a step ran, once it has ended; functions write into shared streams."""
        if step.started is None or step.ended is None or step.name in self._functions:
            return
        self._functions.add(step.name)
        window = {
            "startTime": int(step.started.timestamp() * 1000),
            "endTime": int(step.ended.timestamp() * 1000) + 999,
        }
        try:
            for page in self._logs.get_paginator("filter_log_events").paginate(logGroupName=group, **window):
                yield from (event["message"].rstrip("\n") for event in page["events"])
        except self._logs.exceptions.ResourceNotFoundException:
            return

    def _read(self, group: str, stream: str) -> Iterator[str]:
        while True:
            token = self._tokens.get((group, stream))
            more = {"nextToken": token} if token else {}
            page = self._logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **more)
            for event in page["events"]:
                yield event["message"].rstrip("\n")
            self._tokens[group, stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token or not page["events"]:
                return


def _streams(logs: Any, group: str, step: Step) -> list[str]:
    """The log streams of a step's job; of a function, the one written last."""
    try:
        if step.kind == "Lambda":
            answer = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=1)
        else:
            answer = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=_certain_prefix(step.job))
    except logs.exceptions.ResourceNotFoundException:
        return []
    found = [stream["logStreamName"] for stream in answer["logStreams"]]
    return found if step.kind == "Lambda" else [name for name in found if _same_job(name.partition("/")[0], step)]


def _certain_prefix(job: str) -> str:
    """The start of a job's name that has no capitals: pipelines call theirs ``pipelines-<execution id>-<Step>-…``."""
    parts = job.split("-")
    return f"pipelines-{parts[1]}-" if parts[0] == "pipelines" and len(parts) > 2 else job


def _same_job(name: str, step: Step) -> bool:
    return name.casefold() == step.job.casefold()


# --- results ----------------------------------------------------------------------------------------------------------


def evaluation_uri(target: Target, execution: Execution) -> S3Uri | None:
    """The prefix that step Evaluate wrote to; None until it has succeeded."""
    step = execution.step(names.EVALUATE)
    if step is None or step.status != SUCCEEDED or not step.job:
        return None
    sagemaker = target.client("sagemaker")
    jobs = sagemaker.get_paginator("list_processing_jobs").paginate(NameContains=_certain_prefix(step.job))
    found = (item["ProcessingJobName"] for page in jobs for item in page["ProcessingJobSummaries"])
    name = next((name for name in found if _same_job(name, step)), step.job)
    job = sagemaker.describe_processing_job(ProcessingJobName=name)
    for output in job.get("ProcessingOutputConfig", {}).get("Outputs", []):
        if output["OutputName"] == "evaluation":
            return S3Uri.parse(output["S3Output"]["S3Uri"]).as_prefix
    return None


def read_evaluation(target: Target, prefix: S3Uri) -> dict[str, Any]:
    """``evaluation.json`` below a prefix.

    Raises:
        ContractError: it is missing or no JSON object.
    """
    where = prefix / evaluation.EVALUATION
    value = aws.read_json(target.client("s3"), where)
    if value is None:
        raise ContractError(f"{where} is missing", "The run's results may have expired. Run again.")
    if not isinstance(value, dict):
        raise ContractError(f"{where} is not a JSON object")
    return value


def save_report(target: Target, execution: Execution, prefix: S3Uri) -> Path:
    """The report of an execution on this machine; downloaded once."""
    file = target.state / "reports" / execution.id / evaluation.REPORT
    if not file.is_file():
        where = prefix / evaluation.REPORT
        s3 = target.client("s3")
        try:
            jsonio.write_bytes(file, s3.get_object(Bucket=where.bucket, Key=where.key)["Body"].read())
        except s3.exceptions.NoSuchKey:
            raise ContractError(f"{where} is missing", "The run's results may have expired. Run again.") from None
    return file
