"""The release owner's own role, with IAM enforced: what is due is shown as far as the role may look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cv_factory.operations import due
from cv_factory.operations.base import templates
from cv_factory.session import Target
from deployment import observed, packages
from tests.deployment.checks.factory import Factory, acting_as

NAME = "widgets-owner-of-the-tests"


@pytest.fixture
def owner(factory: Factory) -> Iterator[boto3.Session]:
    """A session in the role that Terraform gives a release owner; IAM is enforced while it is there."""
    iam, names = factory.client("iam"), factory.names
    kms = factory.client("kms")
    arns = {
        key: kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"]
        for key, alias in (("key_arn", names.key_alias_arn), ("signing_key_arn", names.signing_key_alias))
    }
    trusted = {
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{names.account_id}:root"},
    }  # fmt: skip
    trust = {"Version": "2012-10-17", "Statement": [trusted]}
    role = iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    policy = templates.document("policies/owner.json", templates.values(factory.settings, **arns))
    iam.put_role_policy(RoleName=NAME, PolicyName="owner", PolicyDocument=json.dumps(policy))
    try:
        with acting_as(factory, role) as session:
            yield session
    finally:
        iam.delete_role_policy(RoleName=NAME, PolicyName="owner")
        iam.delete_role(RoleName=NAME)


def test_plan_in_the_owners_role(factory: Factory, owner: boto3.Session) -> None:
    package = factory.package()
    packages.set_approval(factory.client("sagemaker"), package, packages.APPROVED, "good")
    try:
        target = Target(factory.settings, factory.folder / "factory.yaml", "the local SageMaker", owner)
        found = due.plan(target)
        assert found.goal.package is not None and found.goal.package.arn == package.arn
        assert found.not_readable == tuple(due.PARTS[name] for name in observed.PARTS)
        assert [action.kind for action in found.plan.actions] == ["check-package"]
        assert found.plan.message == f"version {package.version} is being checked"
        for part in found.not_readable:
            assert refused(owner, part.needs[0]), "the part is readable: it need not be left out"
    finally:
        packages.set_approval(factory.client("sagemaker"), package, packages.REJECTED, "only a test")


def refused(session: Any, action: str) -> bool:
    """May the session not do it?"""
    calls = {
        "sagemaker:ListModels": lambda: session.client("sagemaker").list_models(),
        "cloudwatch:DescribeAlarms": lambda: session.client("cloudwatch").describe_alarms(),
        "application-autoscaling:DescribeScalableTargets": lambda: session.client(
            "application-autoscaling"
        ).describe_scalable_targets(ServiceNamespace="sagemaker"),
    }
    try:
        calls[action]()
    except ClientError as error:
        return error.response["Error"]["Code"].startswith("AccessDenied")
    return False
