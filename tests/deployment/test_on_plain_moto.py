"""The decisions also work where only a control plane answers; a package that nobody vouches for is refused there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deployment import approve, deploy, outcome, reject

BUNDLE = "c" * 64


@pytest.fixture
def moto() -> Iterator[boto3.Session]:
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        yield boto3.Session(region_name="eu-west-1")


def test_approve_deploy_reject(moto: boto3.Session, settings: Any) -> None:
    account = moto.client("sts").get_caller_identity()["Account"]
    settings = dataclasses.replace(settings, account_id=account)
    names = settings.names
    moto.client("s3").create_bucket(
        Bucket=names.artifact_bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    sagemaker = moto.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=names.package_group)
    arn = sagemaker.create_model_package(
        ModelPackageGroupName=names.package_group,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [
                {
                    "Image": names.image(names.inference_repository, digest="sha256:" + "1" * 64),
                    "ModelDataUrl": f"s3://{names.artifact_bucket}/packages/{BUNDLE}/model.tar.gz",
                }
            ],
            "SupportedContentTypes": ["image/png"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]

    assert approve(moto, settings, reason="good").changed
    refused = deploy(moto, settings)
    assert (refused.action, refused.package_arn) == (outcome.REFUSED, arn)
    assert "inference.registry" in refused.message and not sagemaker.list_endpoints()["Endpoints"]
    assert deploy(moto, settings, "1").pinned
    assert reject(moto, settings, "1", why="on second thought").changed
    assert deploy(moto, settings).action == outcome.NONE
