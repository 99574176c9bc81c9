"""A killed server: the next one fails its jobs with a reason, and goes on with its executions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_sagemaker.jobs.harness import IMAGE, processing, reset_moto, training
from tests.local_sagemaker.pipelines.harness import (
    BUCKET,
    PipelineSageMaker,
    condition_step,
    equals,
    lambda_step,
    run_step,
)

RETRY = {"RetryPolicies": [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 0, "MaxAttempts": 2}]}


class Servers:
    """One after the other on the same state."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.now = self._next()
        self.now.platform.images.bind(IMAGE, ["/bin/sh", "-c", "true"], {}, str(folder))

    def _next(self) -> PipelineSageMaker:
        server = PipelineSageMaker(self._folder / "state", parallel=1)
        server._tokens = 1000 * id(server) % 10**9
        return server

    def again(self) -> PipelineSageMaker:
        self.now.crash()
        self.now = self._next()
        self.now.start()
        return self.now


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    reset_moto()
    found = Servers(tmp_path)
    found.now.start()
    yield found
    found.now.stop()


def test_running_jobs_fail_with_a_reason_and_waiting_ones_run(servers: Servers, tmp_path: Path) -> None:
    first = servers.now
    first("CreateProcessingJob", **processing("running", f"touch {tmp_path}/on; exec sleep 600"))
    first("CreateProcessingJob", **processing("waiting", f"touch {tmp_path}/ran"))
    first.wait_for_file(tmp_path / "on")
    second = servers.again()
    job = second("DescribeProcessingJob", ProcessingJobName="running")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("InternalServerError: We encountered an internal error.")
    assert "The local SageMaker ended while this job was running." in job["FailureReason"]
    assert second.wait("waiting")["ProcessingJobStatus"] == "Completed"
    assert (tmp_path / "ran").exists()


def test_checkpoints_of_a_killed_job_are_kept(servers: Servers, tmp_path: Path) -> None:
    servers.now.jobs.sync_interval = 3600
    script = f"echo 7 > /opt/ml/checkpoints/step; touch {tmp_path}/on; exec sleep 600"
    request = training("ckpt", script, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/ckpt/"})
    servers.now("CreateTrainingJob", **request)
    servers.now.wait_for_file(tmp_path / "on")
    second = servers.again()
    assert second("DescribeTrainingJob", TrainingJobName="ckpt")["TrainingJobStatus"] == "Failed"
    assert second.read("ckpt/step") == b"7\n"
    assert not list((second.state_dir / "jobs").rglob("checkpoints"))


@pytest.mark.parametrize("policy", [{}, RETRY])
def test_an_execution_goes_on(servers: Servers, tmp_path: Path, policy: dict[str, Any]) -> None:
    """Its running job has failed; the retry policy decides whether that ends the execution."""
    script = f"test -e {tmp_path}/on && exit 0; touch {tmp_path}/on; exec sleep 600"
    steps = [
        run_step("Before"),
        run_step("Long", script, DependsOn=["Before"], **policy),
        condition_step("After", [equals(1, 1)], [], [], DependsOn=["Long"]),
    ]
    servers.now.create("Goes", steps)
    arn = servers.now.begin("Goes")
    servers.now.wait_for_file(tmp_path / "on")
    second = servers.again()
    execution = second.finish(arn)
    if policy:
        assert execution["PipelineExecutionStatus"] == "Succeeded", second.steps(arn)
        assert second.steps(arn)["Long"]["AttemptCount"] == 2
        assert list(second.statuses(arn)) == ["Before", "Long", "After"]
    else:
        assert execution["PipelineExecutionStatus"] == "Failed"
        assert second.steps(arn)["Long"]["FailureReason"].startswith("InternalServerError: ")


def test_a_step_that_was_only_intended_is_done(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the step's state was stored and before its job was created."""
    monkeypatch.setattr(servers.now.executions, "act", lambda *_: None)
    servers.now.create("Intends", [run_step("Only", f"echo >> {tmp_path}/ran")])
    arn = servers.now.begin("Intends")
    servers.now.until(lambda: servers.now.statuses(arn) == {"Only": "Starting"}, "the start")
    second = servers.again()
    assert second.finish(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert (tmp_path / "ran").read_text() == "\n"


def test_a_job_that_was_created_is_not_created_again(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the job was created and before its step knew of it."""
    act = servers.now.executions.act
    monkeypatch.setattr(servers.now.executions, "act", lambda run, step, attempt, action: act(run, step, -1, action))
    monkeypatch.setattr(servers.now.executions, "_job_ended", lambda key: None)
    servers.now.create("Creates", [run_step("Only", f"echo >> {tmp_path}/ran")])
    arn = servers.now.begin("Creates")
    jobs = servers.now.platform.store.list
    servers.now.until(
        lambda: [r for r in jobs("processing-job") if r.body["Status"] == "Completed"], "the end of the job"
    )
    assert servers.now.statuses(arn) == {"Only": "Starting"}
    second = servers.again()
    assert second.finish(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert (tmp_path / "ran").read_text() == "\n"
    assert len(second.platform.store.list("processing-job")) == 1


def test_a_lambda_in_flight_is_invoked_again(servers: Servers, tmp_path: Path) -> None:
    source = f"""
import pathlib, time
def handler(event, context):
    again = pathlib.Path({str(tmp_path / "on")!r})
    if not again.exists():
        again.touch()
        time.sleep(60)
    return {{"ok": "yes"}}
"""
    arn = servers.now.function("slow", source, timeout=100)
    servers.now.create("Asks", [lambda_step("Ask", arn, {}, {"ok": "String"})])
    execution = servers.now.begin("Asks")
    servers.now.wait_for_file(tmp_path / "on")
    second = servers.again()
    assert second.finish(execution)["PipelineExecutionStatus"] == "Succeeded"


def test_stopping_goes_on_too(servers: Servers, tmp_path: Path) -> None:
    servers.now.jobs.grace = 60
    script = f"trap '' TERM; touch {tmp_path}/on; while true; do sleep 0.05; done"
    servers.now.create("Stops", [run_step("Deaf", script), run_step("Next", DependsOn=["Deaf"])])
    arn = servers.now.begin("Stops")
    servers.now.wait_for_file(tmp_path / "on")
    servers.now("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=servers.now.token())
    servers.now.until(lambda: servers.now.statuses(arn) == {"Deaf": "Stopping"}, "the stop")
    second = servers.again()
    assert second.finish(arn)["PipelineExecutionStatus"] == "Failed"  # its job failed when the server was killed
    assert list(second.statuses(arn)) == ["Deaf"]


def test_a_full_disk_delays_transitions_but_loses_none(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_sagemaker.pipelines.interpreter.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("local_sagemaker.jobs.service.RETRY_SECONDS", 0.01)
    sagemaker = servers.now
    sagemaker.create(
        "Full", [run_step("One", f"touch {tmp_path}/on; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; exit 1")]
    )
    arn = sagemaker.begin("Full")
    sagemaker.wait_for_file(tmp_path / "on")
    update, failures = sagemaker.platform.store.update, []

    def full(*arguments: Any) -> Any:
        if len(failures) < 8:
            failures.append(arguments)
            raise sqlite3.OperationalError("database or disk is full")
        return update(*arguments)

    monkeypatch.setattr(sagemaker.platform.store, "update", full)
    (tmp_path / "go").touch()
    assert sagemaker.finish(arn)["PipelineExecutionStatus"] == "Failed"
    assert len(failures) == 8
