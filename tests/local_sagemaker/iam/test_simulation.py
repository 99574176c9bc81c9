"""SimulatePrincipalPolicy, as botocore calls it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

ACCOUNT_TRUST = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
READS = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::theirs/*"}
DENIES = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::theirs/secret"}
SENDS = {
    "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
    "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
}  # fmt: skip


def document(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def decisions(iam: Any, arn: str, action: str, *resources: str, **context: str) -> list[str]:
    entries = [
        {"ContextKeyName": name.replace("_", ":"), "ContextKeyValues": [value], "ContextKeyType": "string"}
        for name, value in context.items()
    ]
    answer = iam.simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=[action], ResourceArns=list(resources), ContextEntries=entries
    )
    assert [one["EvalResourceName"] for one in answer["EvaluationResults"]] == list(resources)
    return [one["EvalDecision"] for one in answer["EvaluationResults"]]


def test_a_role_is_simulated_by_its_policies_boundary_and_the_given_values(server: Any) -> None:
    iam = server.client("iam")
    arn = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=document(ACCOUNT_TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName="reader", PolicyName="own", PolicyDocument=document(READS, DENIES, SENDS))
    objects = ("arn:aws:s3:::theirs/a", "arn:aws:s3:::theirs/secret", "arn:aws:s3:::ours/a")
    assert decisions(iam, arn, "s3:GetObject", *objects) == ["allowed", "explicitDeny", "implicitDeny"]
    passed = "arn:aws:iam::123456789012:role/job"
    assert decisions(iam, arn, "iam:PassRole", passed, iam_PassedToService="sagemaker.amazonaws.com") == ["allowed"]
    assert decisions(iam, arn, "iam:PassRole", passed, iam_PassedToService="ec2.amazonaws.com") == ["implicitDeny"]
    (result,) = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["iam:PassRole"], ResourceArns=[passed])[
        "EvaluationResults"
    ]
    assert result["EvalDecision"] == "implicitDeny"
    assert result["ResourceSpecificResults"][0]["MissingContextValues"] == ["iam:PassedToService"]

    limit = iam.create_policy(PolicyName="limit", PolicyDocument=document(SENDS))["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName="reader", PermissionsBoundary=limit)
    assert decisions(iam, arn, "s3:GetObject", objects[0]) == ["implicitDeny"]


def test_a_role_that_is_not_there(server: Any) -> None:
    with pytest.raises(ClientError) as caught:
        decisions(server.client("iam"), "arn:aws:iam::123456789012:role/nobody", "s3:GetObject", "*")
    assert caught.value.response["Error"]["Code"] == "NoSuchEntity"
