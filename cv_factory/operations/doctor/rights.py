"""May each role do what the factory asks of it? A dry run with IAM's own simulator: nothing is called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from contracts.settings import Settings
from cv_factory.operations.base.templates import ACTORS
from cv_factory.operations.doctor.base import apply, missing
from cv_factory.operations.doctor.finding import PROBLEM, WARNING, Finding
from cv_factory.session import Target


def calls(settings: Settings, key_arn: str) -> dict[str, list[tuple[str, str]]]:
    """Actor -> a few (action, resource) without which nothing works; the policies themselves are compared elsewhere."""
    names = settings.names
    artifacts = f"arn:aws:s3:::{names.artifact_bucket}"
    ours = f"arn:aws:sagemaker:{names.region}:{names.account_id}"
    return {
        "pipeline": [
            ("sagemaker:CreateProcessingJob", f"{ours}:processing-job/pipelines-x-Preprocess-x"),
            ("sagemaker:CreateTrainingJob", f"{ours}:training-job/pipelines-x-Train-x"),
            ("iam:PassRole", settings.role_arn("job")),
            ("s3:GetObject", f"{artifacts}/runs/x/report.json"),
        ],
        "job": [
            ("s3:GetObject", f"arn:aws:s3:::{names.data_bucket}/datasets/x/manifest.json"),
            ("s3:PutObject", f"{artifacts}/runs/x/model.tar.gz"),
            ("kms:GenerateDataKey", key_arn),
        ],
        "endpoint": [("s3:GetObject", f"{artifacts}/packages/x/model.tar.gz"), ("kms:Decrypt", key_arn)],
        "deployer": [
            ("sagemaker:CreateEndpointConfig", f"{ours}:endpoint-config/{names.prefix}-x"),
            ("sagemaker:CreateEndpoint", f"{ours}:endpoint/{names.endpoint}"),
            ("iam:PassRole", settings.role_arn("endpoint")),
            ("s3:PutObject", f"{artifacts}/release/x.json"),
        ],
    }


def rights(target: Target) -> Iterator[Finding]:
    """Refusals of the simulator's; only a warning where a policy has conditions whose values it was not given."""
    settings, iam = target.settings, target.client("iam")
    try:
        key = str(target.client("kms").describe_key(KeyId=settings.names.key_alias)["KeyMetadata"]["Arn"])
    except ClientError as error:
        if not missing(error):
            raise
        return  # the check of the keys says so
    wanted = calls(settings, key)
    for actor in ACTORS:
        arn = settings.role_arn(actor)
        existing = getattr(settings.aws.existing, f"{actor}_role")
        for action, resource in wanted[actor]:
            try:
                answer = iam.simulate_principal_policy(
                    PolicySourceArn=arn, ActionNames=[action], ResourceArns=[resource],
                    ContextEntries=_context(settings, arn),
                )  # fmt: skip
            except ClientError as error:
                if not missing(error) and error.response["Error"].get("Code") != "NoSuchEntity":
                    raise
                break  # the check of the roles says so
            (result,) = answer["EvaluationResults"]
            if result["EvalDecision"] == "allowed":
                continue
            specific = result.get("ResourceSpecificResults", [])
            lacking = sorted({key for one in (result, *specific) for key in one.get("MissingContextValues", [])})
            unsure = f"; nobody gave the simulator {', '.join(lacking)}" if lacking else ""
            by_hand = f"Let {arn} do {action} on {resource}: terraform/policies/{actor}.json has all that it needs."
            yield Finding(
                "roles", WARNING if unsure else PROBLEM,
                f"{arn} may not {action} on {resource} ({result['EvalDecision']}{unsure})",
                by_hand if existing else apply(target),
            )  # fmt: skip


def _context(settings: Settings, role_arn: str) -> list[Any]:
    """What is known of such a call: AWS's simulator fills in no value by itself."""
    values = {
        "aws:PrincipalArn": role_arn,
        "aws:PrincipalAccount": settings.names.account_id,
        "aws:ResourceAccount": settings.names.account_id,
        "aws:RequestedRegion": settings.names.region,
        "aws:SecureTransport": "true",
        "cloudwatch:namespace": "/aws/sagemaker/TrainingJobs",
        "iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com",
        "iam:PassedToService": "sagemaker.amazonaws.com",
        "kms:ViaService": f"s3.{settings.names.region}.amazonaws.com",
        "kms:GrantIsForAWSResource": "true",
    }
    return [
        {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for name, value in values.items()
    ]
