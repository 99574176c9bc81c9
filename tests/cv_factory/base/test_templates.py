"""The documents that both readers fill: complete, and made of actions and ARNs of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.errors import ContractError
from cv_factory.operations.base import templates

POLICIES = sorted(path.name for path in (templates.folder() / "policies").glob("*.json"))
GITHUB = {"oidc_provider_arn": "arn:p", "github_repository": "acme/widgets", "github_branch": "main"}


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_can_be_filled_and_fits(settings: Any, name: str) -> None:
    places = templates.values(settings, key_arn="arn:key", signing_key_arn="arn:signing") | GITHUB
    document = templates.document(f"policies/{name}", places)
    assert document["Version"] == "2012-10-17"
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(sids) == len(set(sids)) and all(sid.isalnum() for sid in sids)
    # An inline role policy has at most 10,240 characters without white space (IAM User Guide, "IAM and STS quotas").
    assert len(json.dumps(document, separators=(",", ":"))) < 10_240


@pytest.mark.parametrize("actor", ["pipeline", "job", "endpoint", "deployer"])
def test_only_what_cannot_be_narrowed_is_open(settings: Any, actor: str) -> None:
    places = templates.values(settings, key_arn="arn:key", signing_key_arn="arn:signing")
    document = templates.document(f"policies/{actor}.json", places)
    anywhere = {
        action
        for statement in document["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        if statement["Resource"] == "*"
    }
    assert anywhere <= {
        "ecr:GetAuthorizationToken",
        "cloudwatch:PutMetricData",
        "sagemaker:ListModelPackages",
        "sagemaker:ListModels",
        "sagemaker:ListEndpointConfigs",
        "cloudwatch:ListMetrics",
        "cloudwatch:GetMetricData",
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingPolicies",
    }
    passes = [item for item in document["Statement"] if item["Action"] == "iam:PassRole"]
    assert all(item["Condition"]["StringEquals"]["iam:PassedToService"] == "sagemaker.amazonaws.com" for item in passes)


def test_images_indexed_in_place_can_be_read(other_settings: Any) -> None:
    settings = other_settings("environments: {local: {data: {source: 's3://their-bucket/photos'}}}")
    places = templates.values(settings, key_arn="k", signing_key_arn="s")
    text = json.dumps(templates.document("policies/job.json", places))
    assert "arn:aws:s3:::their-bucket/*" in text


def test_a_place_that_nobody_fills_is_named() -> None:
    with pytest.raises(ContractError, match=r"terraform/policies/job\.json names .*data_bucket"):
        templates.document("policies/job.json", {})
