"""Running, following and explaining: against answers as SageMaker gives them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.errors import RefusedError
from cv_factory.operations import executions, runs, state
from cv_factory.operations.executions import Execution
from tests.cv_factory.cli.conftest import Call
from tests.cv_factory.helpers import ROOT, Cloud

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/shapes-local/execution/abcdefghijkl"
PREPROCESS = {"Arn": "arn:aws:sagemaker:eu-west-1:1:processing-job/pipelines-abcdefghijkl-preprocess-1"}
TRAIN = {"Arn": "arn:aws:sagemaker:eu-west-1:1:training-job/pipelines-abcdefghijkl-train-7"}
KEEP = {
    "Arn": "arn:aws:lambda:eu-west-1:1:function:deployer", "OutputParameters": [{"Name": "known", "Value": ""}],
}  # fmt: skip


class Answers:
    """A SageMaker client that knows one execution."""

    class meta:  # noqa: N801 (as botocore has it)
        endpoint_url = "http://127.0.0.1:1"

    def __init__(self, status: str, *steps: dict[str, Any], reason: str = "") -> None:
        self.status, self.steps, self.reason = status, steps, reason

    def describe_pipeline_execution(self, **_: Any) -> dict[str, Any]:
        return {
            "PipelineExecutionArn": ARN, "PipelineExecutionStatus": self.status, "CreationTime": START,
            "LastModifiedTime": START + timedelta(seconds=90), "FailureReason": self.reason,
        }  # fmt: skip

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"PipelineExecutionSteps": list(self.steps)}]


class FakeTarget:
    """What :mod:`executions` uses of a target."""

    is_local = True

    def __init__(self, sagemaker: Answers, cloud: Cloud | None = None) -> None:
        self.sagemaker, self.cloud = sagemaker, cloud

    def client(self, service: str) -> Any:
        if service == "sagemaker":
            return self.sagemaker
        assert self.cloud is not None
        return self.cloud.client(service)


def step(name: str, status: str, kind: str = "", about: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "StepName": name, "StepStatus": status, "StartTime": START, "EndTime": START + timedelta(seconds=12.5),
        "Metadata": {kind: about or {}} if kind else {}, **more,
    }  # fmt: skip


def describe(
    *steps: dict[str, Any], status: str = "Failed", reason: str = "", cloud: Cloud | None = None
) -> tuple[Any, Execution]:
    target: Any = FakeTarget(Answers(status, *steps, reason=reason), cloud)
    return target, executions.describe(target, ARN)


def test_steps_as_sagemaker_answers_them() -> None:
    _, found = describe(
        step(
            "Preprocess", "Succeeded", "ProcessingJob", PREPROCESS, CacheHitResult={"SourcePipelineExecutionArn": "x"}
        ),
        step("Keep", "Succeeded", "Lambda", KEEP),
        step("Gate", "Succeeded", "Condition", {"Outcome": "True"}),
        status="Succeeded",
    )
    assert [(each.name, each.kind, each.job) for each in found.steps] == [
        ("Preprocess", "Processing", "pipelines-abcdefghijkl-preprocess-1"),
        ("Keep", "Lambda", "deployer"),
        ("Gate", "Condition", ""),
    ]
    assert found.steps[0].to_json() == {"name": "Preprocess", "status": "Succeeded", "cache_hit": True, "seconds": 12.5}
    assert found.steps[1].outputs == {"known": ""} and found.seconds == 90 and found.id == "abcdefghijkl"


def test_failed_step_is_told_with_its_own_last_lines(cloud: Cloud) -> None:
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs")
    logs.create_log_stream(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName="pipelines-abcdefghijkl-Train-7/algo-1-1"
    )
    now = int(datetime.now(tz=UTC).timestamp() * 1000)
    lines = [f"line {number}" for number in range(30)] + ["RuntimeError: out of memory"]
    logs.put_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName="pipelines-abcdefghijkl-Train-7/algo-1-1",
        logEvents=[{"timestamp": now + number, "message": line} for number, line in enumerate(lines)],
    )  # fmt: skip
    target, found = describe(
        step("Train", "Failed", "TrainingJob", TRAIN, FailureReason="AlgorithmError: exit code 1"), cloud=cloud
    )
    error = runs.failure(target, found)
    assert error.headline == "step Train failed: AlgorithmError: exit code 1" and error.exit_code == 1
    assert "  | RuntimeError: out of memory" in error.hint and "line 0\n" not in error.hint
    assert "cv-factory status abcdefghijkl --logs" in error.hint
    assert "cv-factory pipeline start --retry abcdefghijkl" in error.hint


def test_job_without_a_log_still_has_its_reason(cloud: Cloud) -> None:
    target, found = describe(
        step("Preprocess", "Failed", "ProcessingJob", PREPROCESS, FailureReason="no capacity"), cloud=cloud
    )
    error = runs.failure(target, found)
    assert "no capacity" in error.headline and "it wrote no log" in error.hint


def test_refusal_of_the_gate_is_exit_code_3() -> None:
    message = "balanced_accuracy is 0.61, below 0.70"
    target, found = describe(step("Refuse", "Failed", "Fail", {"ErrorMessage": message}), reason="Step failed")
    error = runs.failure(target, found)
    assert isinstance(error, RefusedError) and error.exit_code == 3
    assert error.headline == message


def test_stopped_execution_says_how_to_go_on() -> None:
    target, found = describe(status="Stopped")
    assert "--retry abcdefghijkl" in runs.failure(target, found).hint


def test_new_log_lines_come_once(cloud: Cloud) -> None:
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="/aws/sagemaker/ProcessingJobs")
    logs.create_log_stream(
        logGroupName="/aws/sagemaker/ProcessingJobs", logStreamName="pipelines-abcdefghijkl-Preprocess-1/algo-1"
    )
    now = int(datetime.now(tz=UTC).timestamp() * 1000)

    clock = itertools.count(now)

    def write(*lines: str) -> None:
        logs.put_log_events(
            logGroupName="/aws/sagemaker/ProcessingJobs", logStreamName="pipelines-abcdefghijkl-Preprocess-1/algo-1",
            logEvents=[{"timestamp": next(clock), "message": line} for line in lines],
        )  # fmt: skip

    target, found = describe(
        step("Preprocess", "Executing", "ProcessingJob", PREPROCESS), status="Executing", cloud=cloud
    )
    reader = executions.LogReader(target)
    write("one", "two")
    assert list(reader.new_lines(found)) == [("Preprocess", "one"), ("Preprocess", "two")]
    assert list(reader.new_lines(found)) == []
    write("three")
    assert list(reader.new_lines(found)) == [("Preprocess", "three")]


@contextmanager
def held(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of a state folder."""
    code = (
        "import sys, pathlib\nfrom cv_factory.operations import state\n"
        "with state.lock(pathlib.Path(sys.argv[1]), 'cv-factory run'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.stdin.close()


def test_second_run_on_the_same_state_is_refused(aws: Cloud, call: Call, folder: Path, photos: Any) -> None:
    photos()
    with held(folder / ".cv-factory" / "dev") as other:
        answer = call("--env", "dev", "run")
        assert answer.code == 3
        assert f"cv-factory run (process {other.pid}) is running on" in answer.err and "status --follow" in answer.err
    assert "is running on" not in call("--env", "dev", "run").err


def test_lock_of_a_killed_run_is_no_lock(tmp_path: Path) -> None:
    with held(tmp_path) as other:
        other.kill()
        other.wait()
        with state.lock(tmp_path, "cv-factory run"):
            pass


def test_demo_image_is_of_the_test_split_and_always_the_same() -> None:
    from contracts.dataset import ImportedDataset, ImportedImage

    def image(path: str, split: str, sha256: str) -> ImportedImage:
        return ImportedImage(path, path, "a", 1, sha256, 1, 1, "L", split)

    images = (image("1", "train", "0"), image("2", "test", "b"), image("3", "test", "a"), image("4", "validation", "0"))
    dataset = ImportedDataset("x", "s3://bucket/", ("a", "b"), "a", "group", 0.25, 0, "id", (), images)
    assert runs.held_out(dataset).path == "3"
