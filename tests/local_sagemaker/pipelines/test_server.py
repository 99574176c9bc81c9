"""The whole way: a server of its own, plain boto3, kill -9 in the middle."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_sagemaker import control, processes
from tests.local_sagemaker.jobs.harness import ACCOUNT, IMAGE, REGION, ROLE, s3_output
from tests.local_sagemaker.pipelines.harness import condition_step, definition, equals, get, join, json_get, run_step

BUCKET = "whole-way"
OUT = "/opt/ml/processing/output/out"


class Server:
    def __init__(self, state: Path) -> None:
        self.state = state
        self.start()

    def start(self) -> None:
        self.info = control.start(self.state, ACCOUNT, REGION)
        session = boto3.Session("test", "test", region_name=REGION)
        config = Config(retries={"total_max_attempts": 1})

        def client(service: str) -> Any:
            return session.client(service, endpoint_url=self.info.endpoint_url, config=config)

        self.sagemaker, self.s3, self.iam, self.logs = (client(name) for name in ("sagemaker", "s3", "iam", "logs"))

    def close(self) -> None:
        for client in (self.sagemaker, self.s3, self.iam, self.logs):
            client.close()

    def kill(self) -> None:
        os.kill(self.info.pid, signal.SIGKILL)
        _until(lambda: not processes.is_running(self.info.pid, self.info.started))
        self.close()

    def bind(self, folder: Path) -> None:
        body = {"pattern": IMAGE, "entrypoint": ["/bin/sh"], "environment": {}, "working_dir": str(folder)}
        request = urllib.request.Request(  # noqa: S310
            f"{self.info.endpoint_url}/_local/images", json.dumps(body).encode(), {"Content-Type": "application/json"},
            method="PUT",
        )  # fmt: skip
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            assert answer.status == 200

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        listed = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}

    def job(self, step: dict[str, Any]) -> dict[str, Any]:
        name = step["Metadata"]["ProcessingJob"]["Arn"].rsplit("/", 1)[1]
        found: dict[str, Any] = self.sagemaker.describe_processing_job(ProcessingJobName=name)
        return found

    def log(self, step: dict[str, Any]) -> list[str]:
        answer = self.logs.filter_log_events(
            logGroupName="/aws/sagemaker/ProcessingJobs",
            logStreamNamePrefix=f"{self.job(step)['ProcessingJobName']}/algo-1-",
        )
        return [event["message"] for event in answer["events"]]

    def finish(self, arn: str) -> str:
        def status() -> str:
            return str(self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"])

        _until(lambda: status() not in ("Executing", "Stopping"))
        return status()


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path / "state")
    found.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    found.iam.create_role(
        RoleName="jobs", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    found.bind(tmp_path)
    yield found
    found.close()
    control.stop(found.state)


def test_killed_in_the_middle_and_started_again(server: Server, tmp_path: Path) -> None:
    """The step that ran is retried by its policy; its predecessor's output is still there."""
    uri = join(f"s3://{BUCKET}/runs", get("Execution.PipelineExecutionId"), "made", on="/")
    make = run_step(
        "Make", f"echo '{{\"score\": 0.75}}' > {OUT}/result.json; echo made it",
        Arguments={"ProcessingOutputConfig": {"Outputs": [s3_output("out", uri)]}},  # type: ignore[arg-type]
        PropertyFiles=[{"PropertyFileName": "F", "OutputName": "out", "FilePath": "result.json"}],
    )  # fmt: skip
    retry = [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 0, "MaxAttempts": 1}]
    script = f"cd {tmp_path}; test -e on && exit 0; echo $$ > pid; touch on; exec sleep 600"
    steps = [
        make,
        run_step("Long", script, DependsOn=["Make"], RetryPolicies=retry),
        condition_step(
            "If", [equals(json_get("Make", "F", "score"), 0.75)], [run_step("Last")], [], DependsOn=["Long"]
        ),
    ]
    sagemaker = server.sagemaker
    sagemaker.create_pipeline(PipelineName="whole", PipelineDefinition=definition(steps), RoleArn=ROLE)
    arn = sagemaker.start_pipeline_execution(PipelineName="whole")["PipelineExecutionArn"]
    _until((tmp_path / "on").exists)
    pid = int((tmp_path / "pid").read_text())
    assert server.log(server.steps(arn)["Make"]) == ["made it"]
    server.kill()
    server.start()
    assert processes.start_time(pid) is None
    assert server.finish(arn) == "Succeeded", [step.get("FailureReason") for step in server.steps(arn).values()]
    found = server.steps(arn)
    assert list(found) == ["Make", "Long", "If", "Last"]
    assert found["Long"]["AttemptCount"] == 2
    job = server.job(found["Make"])
    assert job["ProcessingJobStatus"] == "Completed"
    assert job["ProcessingEndTime"] >= job["ProcessingStartTime"]
    failed = server.sagemaker.list_processing_jobs(StatusEquals="Failed")["ProcessingJobSummaries"]
    assert [item["FailureReason"].split(":")[0] for item in failed] == ["InternalServerError"]


def test_a_refused_definition_reaches_the_client_as_a_validation_exception(server: Server) -> None:
    with pytest.raises(ClientError) as error:
        server.sagemaker.create_pipeline(
            PipelineName="bad", PipelineDefinition=definition([run_step("A", DependsOn=["B"])]), RoleArn=ROLE
        )
    assert error.value.response["Error"]["Code"] == "ValidationException"
    assert (
        "step A: DependsOn names the step B, which is not in the pipeline" in error.value.response["Error"]["Message"]
    )
