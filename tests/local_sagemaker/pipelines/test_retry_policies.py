"""Retry policies: which failures are tried again, how often, and when."""

from __future__ import annotations

from typing import Any

import pytest

from local_sagemaker.errors import ApiError, ResourceLimitExceeded
from local_sagemaker.jobs import failures
from local_sagemaker.pipelines.retries import Policy, of_api_error, of_failure_reason
from tests.local_sagemaker.pipelines.harness import PipelineSageMaker, run_step


def _policy(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "RetryPolicies": [{"ExceptionType": [kind], "IntervalSeconds": 0, "BackoffRate": 1.0, "MaxAttempts": 2, **more}]
    }


def _failing(sagemaker: PipelineSageMaker, monkeypatch: pytest.MonkeyPatch, errors: list[ApiError]) -> None:
    """CreateProcessingJob refuses with these errors, one a call, then works."""
    create = sagemaker.jobs.create

    def refuse(call: Any, kind: str) -> str:
        if errors:
            raise errors.pop(0)
        return create(call, kind)

    monkeypatch.setattr(sagemaker.jobs, "create", refuse)


def _until_it_pauses(sagemaker: PipelineSageMaker) -> None:
    steps = sagemaker.platform.store.list
    sagemaker.until(lambda: any("RetryAt" in step.body for step in steps("pipeline-step")), "the pause")


def test_a_policy_retries_its_exception(sagemaker: PipelineSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(sagemaker, monkeypatch, [ResourceLimitExceeded("full"), ResourceLimitExceeded("full")])
    sagemaker.create("Tries", [run_step("Try", **_policy("SageMaker.RESOURCE_LIMIT"))])
    arn, execution = sagemaker.run("Tries")
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert sagemaker.steps(arn)["Try"]["AttemptCount"] == 3


def test_after_max_attempts_the_step_fails(sagemaker: PipelineSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(sagemaker, monkeypatch, [ResourceLimitExceeded("full")] * 3)
    sagemaker.create("Tries", [run_step("Try", **_policy("SageMaker.RESOURCE_LIMIT"))])
    arn, execution = sagemaker.run("Tries")
    assert execution["PipelineExecutionStatus"] == "Failed"
    step = sagemaker.steps(arn)["Try"]
    assert step["AttemptCount"] == 3
    assert step["FailureReason"] == "ClientError: Failed to invoke sagemaker:CreateProcessingJob. Error Details: full"


def test_a_failing_container_is_not_retried(sagemaker: PipelineSageMaker) -> None:
    sagemaker.create("Tries", [run_step("Try", "exit 1", **_policy("SageMaker.JOB_INTERNAL_ERROR"))])
    arn, _ = sagemaker.run("Tries")
    assert sagemaker.steps(arn)["Try"]["AttemptCount"] == 1


def test_an_internal_error_of_a_job_is_retried(sagemaker: PipelineSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, calls = sagemaker.platform.images.resolve, []

    def broken(uri: str) -> Any:
        calls.append(uri)
        if len(calls) == 1:
            raise failures.JobFailed(failures.INTERNAL)
        return resolve(uri)

    monkeypatch.setattr(sagemaker.platform.images, "resolve", broken)
    sagemaker.create("Tries", [run_step("Try", **_policy("SageMaker.JOB_INTERNAL_ERROR"))])
    arn, execution = sagemaker.run("Tries")
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert sagemaker.steps(arn)["Try"]["AttemptCount"] == 2


def test_the_pause_counts_on_the_servers_clock(sagemaker: PipelineSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(sagemaker, monkeypatch, [ResourceLimitExceeded("full")])
    sagemaker.create("Tries", [run_step("Try", **_policy("SageMaker.RESOURCE_LIMIT", IntervalSeconds=3600))])
    arn = sagemaker.begin("Tries")
    _until_it_pauses(sagemaker)
    assert sagemaker.status(arn) == "Executing"
    sagemaker.platform.clock.advance(3601)
    assert sagemaker.finish(arn)["PipelineExecutionStatus"] == "Succeeded"


def test_stop_ends_a_pause(sagemaker: PipelineSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(sagemaker, monkeypatch, [ResourceLimitExceeded("full")])
    sagemaker.create("Tries", [run_step("Try", **_policy("SageMaker.RESOURCE_LIMIT", IntervalSeconds=3600))])
    arn = sagemaker.begin("Tries")
    _until_it_pauses(sagemaker)
    sagemaker("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=sagemaker.token())
    assert sagemaker.finish(arn)["PipelineExecutionStatus"] == "Stopped"
    assert sagemaker.statuses(arn) == {"Try": "Stopped"}


def test_delays_grow_and_expire() -> None:
    policy = Policy(frozenset(), interval=10, backoff=2.0, attempts=3)
    assert [policy.delay(done, 0) for done in range(4)] == [10, 20, 40, None]
    expiring = Policy(frozenset(), interval=10, backoff=1.0, expire=60)
    assert expiring.delay(100, 50) == 10
    assert expiring.delay(0, 51) is None


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (of_api_error("ThrottlingException", 400), "Step.THROTTLING"),
        (of_api_error("InternalFailure", 500), "Step.SERVICE_FAULT"),
        (of_api_error("ResourceLimitExceeded", 400), "SageMaker.RESOURCE_LIMIT"),
        (of_api_error("ValidationException", 400), None),
        (of_failure_reason(failures.INTERRUPTED), "SageMaker.JOB_INTERNAL_ERROR"),
        (of_failure_reason("CapacityError: Unable to provision"), "SageMaker.CAPACITY_ERROR"),
        (of_failure_reason("AlgorithmError: , exit code: 1"), None),
    ],
)
def test_exception_types(found: str | None, kind: str | None) -> None:
    assert found == kind
