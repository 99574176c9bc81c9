"""What a release owner reads: what is due, and what was released. Against plain moto, which deploys at once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

import deployment
from contracts import settings
from cv_factory.operations.base import release as base
from deployment import checks
from tests.cv_factory.cli.conftest import Call
from tests.cv_factory.helpers import Cloud

BUCKET = "shapes-dev-artifacts-123456789012"


@pytest.fixture
def approved(aws: Cloud, folder: Path) -> str:
    """The base's objects, and a package that somebody has approved; its ARN."""
    found = settings.load(folder / "factory.yaml", "dev")
    s3, sagemaker = aws.client("s3"), aws.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region})
    for key, body in base.objects(found).items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    sagemaker.create_model_package_group(ModelPackageGroupName="shapes-dev")
    arn: str = sagemaker.create_model_package(
        ModelPackageGroupName="shapes-dev",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [
                {
                    "Image": found.names.image(found.names.inference_repository, digest="sha256:" + "1" * 64),
                    "ModelDataUrl": f"s3://{BUCKET}/packages/{'c' * 64}/model.tar.gz",
                }
            ],
            "SupportedContentTypes": ["image/png"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    return arn


def test_plan_says_what_is_due_and_does_nothing(aws: Cloud, call: Call, approved: str) -> None:
    answer = call("--env", "dev", "plan")
    assert answer.code == 0, answer.err
    lines = [line.strip() for line in answer.out.splitlines()]
    assert lines[1:3] == ["desired: version 1 (Approved)", "endpoint shapes-dev: none yet"]
    assert lines[3].startswith("1. check-package arn:") and "nothing is rolled out unchecked" in lines[3]
    assert lines[4] == "then: version 1 is being checked"
    assert "Now: cv-factory --env dev deploy" in answer.out or "Now: cv-factory deploy --env dev" in answer.out
    assert aws.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert aws.keys(BUCKET, "release/") == ["release/no-champion/none.json", "release/settings.json"]


def test_plan_for_machines(aws: Cloud, call: Call, approved: str) -> None:
    found = call("--env", "dev", "plan", "--json").document["release"]
    assert found["desired"] == {"model_package_arn": approved, "version": 1}
    assert (found["pinned"], found["endpoint"], found["open_release"]) == (False, None, None)
    assert (found["result"], found["instance_type"]) == ("waiting", "ml.m5.xlarge")
    assert all(set(action) == {"action", "name", "reason"} for action in found["actions"])


def test_without_its_function_deploy_says_what_makes_it(aws: Cloud, call: Call, approved: str) -> None:
    answer = call("--env", "dev", "deploy")
    assert answer.code == 1
    assert "there is no function shapes-dev-deployer" in answer.err and "--env dev infra apply" in answer.err


def test_a_package_that_nobody_vouches_for_is_refused(aws: Cloud, folder: Path, call: Call, approved: str) -> None:
    """Plain moto has neither its images nor its bundle, and runs no function: this process acts."""
    release_settings = base.release_settings(settings.load(folder / "factory.yaml", "dev"))
    refused = deployment.deploy(aws, release_settings)
    assert not refused.ok and "version 1 is refused, and nothing was changed: inference.registry:" in refused.message
    assert aws.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert "version 1 is refused, and nothing was changed" in " ".join(call("--env", "dev", "plan").out.split())
    told = call("--env", "dev", "status", "--releases").out
    assert "refused    version 1" in told and "refused by the checks: inference.registry:" in told


def test_what_was_released_is_listed_newest_first(
    aws: Cloud, folder: Path, call: Call, approved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the checks find is told: plain moto has no images. tests/deployment/checks has them, on a real server."""
    fine = checks.Report((checks.Finding("bundle.hash", True, "c" * 64),))
    monkeypatch.setattr(checks, "before", lambda *_: fine)
    monkeypatch.setattr(checks, "golden", lambda *_: fine)
    release_settings = base.release_settings(settings.load(folder / "factory.yaml", "dev"))
    assert deployment.deploy(aws, release_settings).ok  # plain moto runs no function
    assert call("--env", "dev", "plan", "--json").document["release"]["open_release"]["state"] == "started"
    assert deployment.deploy(aws, release_settings).ok  # sees that it serves, and closes the release
    answer = call("--env", "dev", "status", "--releases")
    assert answer.code == 0
    packages, _, told = answer.out.partition("Releases, newest first:")
    assert "1  Approved" in packages and "<- served" in packages
    assert "succeeded  version 1, canary on ml.m5.xlarge, approved by arn:aws:sagemaker:" in told
    assert told.rstrip().endswith(": the endpoint serves it")
    (release,) = call("--env", "dev", "status", "--releases", "--json").document["releases"]
    assert (release["package_arn"], release["bundle_hash"], release["state"]) == (approved, "c" * 64, "succeeded")
    assert "nothing to do: the endpoint serves version 1" in call("--env", "dev", "plan").out


def test_without_its_base_plan_says_what_to_apply(aws: Cloud, call: Call) -> None:
    answer = call("--env", "dev", "plan")
    assert answer.code == 1 and "cv-factory infra apply" in answer.err


def test_plan_says_which_parts_a_role_may_not_read(
    aws: Cloud, call: Call, approved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release owner's role; tests/deployment/checks/test_owner.py has the role itself."""

    def refuse(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        body = b'{"__type": "AccessDeniedException", "message": "no"}'
        return AWSResponse(
            request.url, 400, HTTPHeaders(), urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
        )

    class Owner(boto3.Session):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            for call in ("sagemaker.ListModels", "application-autoscaling.DescribeScalableTargets"):
                self.events.register(f"before-send.{call}", refuse)

    monkeypatch.setattr(boto3, "Session", Owner)
    answer = call("--env", "dev", "plan")
    text = " ".join(answer.out.split())
    assert answer.code == 0, answer.err
    assert "models and endpoint configurations: not readable with this role" in text
    assert "needs sagemaker:ListModels, sagemaker:ListEndpointConfigs" in text
    assert "autoscaling: not readable" in text and "log group: not readable" not in text
    assert "check-package arn:" in text and text.count("then: version 1 is being checked") == 1
    found = call("--env", "dev", "plan", "--json").document["release"]
    assert [each["part"] for each in found["not_readable"]] == ["models and endpoint configurations", "autoscaling"]
    assert found["result"] == "waiting"
