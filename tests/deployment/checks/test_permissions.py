"""The checks in the deployer's role, with IAM enforced: its policy is enough, and each part for them is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deployment import checks
from tests.deployment.checks.factory import Factory, acting_as
from tests.waiting import eventually

POLICY = "deployer"


@pytest.fixture(scope="module")
def deployer(factory: Factory) -> Iterator[boto3.Session]:
    """A session of the deployer's role; IAM is enforced while it is there."""
    with acting_as(factory, factory.settings.role_arn("deployer")) as session:
        yield session


def test_the_role_is_enough(factory: Factory, deployer: boto3.Session) -> None:
    package = factory.package()
    report = eventually(lambda: _known(checks.before(deployer, factory.staged, package)))
    assert report.ok, report.message
    eventually(lambda: checks.tidy(deployer, factory.staged))
    checks.forget(deployer, factory.staged)


def test_a_dataset_that_is_not_there_is_a_finding_for_the_role_too(factory: Factory, deployer: boto3.Session) -> None:
    """Who may not list a bucket is told 403 instead of 404."""
    report = checks.before(deployer, factory.release, factory.package(of_dataset=factory.dataset(known=False)))
    assert [finding.id for finding in report.findings if not finding.ok] == ["dataset.known"]


@pytest.mark.parametrize(
    ("sid", "action", "refused"),
    [
        ("CheckImages", "ecr:BatchGetImage", "ecr:BatchGetImage"),
        ("CheckImages", "ecr:GetDownloadUrlForLayer", "ecr:GetDownloadUrlForLayer"),
        ("CheckImages", "ecr:DescribeImageScanFindings", "ecr:DescribeImageScanFindings"),
        ("CheckSignatures", "kms:Verify", "kms:Verify"),
        ("KnowDatasets", "s3:GetObject", "dataset.known"),
        ("AskForGoldenAnswers", "sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpoint"),
    ],
)
def test_each_action_is_needed(factory: Factory, deployer: boto3.Session, sid: str, action: str, refused: str) -> None:
    iam, role = factory.client("iam"), factory.names.role("deployer")
    package = factory.package()
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    whole = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    less = json.loads(json.dumps(whole))
    (statement,) = [item for item in less["Statement"] if item["Sid"] == sid]
    listed = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
    assert action in listed
    statement["Action"] = [one for one in listed if one != action] or "sagemaker:ListImages"
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(less))
    try:
        assert refused in eventually(lambda: _outcome(factory, deployer, package))
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(whole))
        eventually(lambda: checks.tidy(deployer, factory.staged))
        checks.forget(deployer, factory.staged)


@pytest.mark.parametrize("target", ["endpoint", "data", "manifest"])
def test_the_role_is_no_more_than_enough(factory: Factory, deployer: boto3.Session, target: str) -> None:
    calls: dict[str, Any] = {
        "endpoint": lambda: deployer.client("sagemaker-runtime").invoke_endpoint(
            EndpointName="widgets-local-other", Body=b"{}"
        ),
        "data": lambda: deployer.client("s3").get_object(Bucket=factory.names.data_bucket, Key="blobs/aa/aa.png"),
        "manifest": lambda: deployer.client("s3").put_object(
            Bucket=factory.names.data_bucket, Key="datasets/x/manifest.json", Body=b""
        ),
    }
    with pytest.raises(ClientError, match="AccessDenied"):
        calls[target]()


def _known(report: checks.Report) -> checks.Report | None:
    return None if report.pending else report


def _outcome(factory: Factory, deployer: boto3.Session, package: Any) -> str:
    try:
        report = checks.before(deployer, factory.staged, package)
    except ClientError as error:
        return str(error)
    return "" if report.pending else report.message
