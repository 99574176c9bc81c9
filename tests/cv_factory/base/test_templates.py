"""The documents that both readers fill: complete, and made of actions and ARNs of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.errors import ContractError
from cv_factory.operations.base import templates
from local_sagemaker import policies
from local_sagemaker.iam import catalogue
from tests import open_statements

POLICIES = sorted(path.name for path in (templates.folder() / "policies").glob("*.json"))
#: What only Terraform fills in: the roles of people and workflows are not made on a laptop.
MORE = {
    "oidc_provider_arn": "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com",
    "github_repository": "acme/widgets",
    "github_branch": "main",
    "boundary_arn": "arn:aws:iam::123456789012:policy/widgets-dev-boundary",
    "pipeline_role_arn": "arn:aws:iam::123456789012:role/widgets-dev-pipeline",
    "deployer_role_arn": "arn:aws:iam::123456789012:role/widgets-dev-deployer",
}
#: Documents that lie on a resource or limit what others allow: they grant nothing.
LIMITS = ("boundary.json", "key.json", "signing-key.json")


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_can_be_filled_and_fits(settings: Any, name: str) -> None:
    places = templates.values(settings, key_arn="arn:key", signing_key_arn="arn:signing") | MORE
    document = templates.document(f"policies/{name}", places)
    assert document["Version"] == "2012-10-17"
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(sids) == len(set(sids)) and all(sid.isalnum() for sid in sids)
    # An inline role policy has at most 10,240 characters without white space (IAM User Guide, "IAM and STS quotas").
    assert len(json.dumps(document, separators=(",", ":"))) < 10_240


def test_the_policies_of_one_role_fit_together(settings: Any) -> None:
    """The quota is for all inline policies of a role; here with names as long as settings may be."""
    long = {"prefix": "p" * 31, "project": "p" * 20, "env": "e" * 10, "region": "ap-southeast-1"}
    long |= dict.fromkeys(("state_bucket", "artifact_bucket", "data_bucket", "log_bucket"), "b" * 63)
    places = templates.values(settings, key_arn="k" * 75, signing_key_arn="k" * 75) | MORE | long
    documents = [
        templates.document(f"policies/{name}.json", places) for name in ("github-apply", "github-apply-network")
    ]
    assert sum(len(json.dumps(document, separators=(",", ":"))) for document in documents) < 10_240


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def filled(settings: Any, name: str) -> Any:
    places = templates.values(settings, key_arn="arn:aws:kms:r:1:key/k", signing_key_arn="arn:aws:kms:r:1:key/s")
    return templates.document(f"policies/{name}", places | MORE)


@pytest.mark.parametrize("name", POLICIES)
def test_every_action_and_condition_key_is_one_that_aws_has(settings: Any, name: str) -> None:
    document = filled(settings, name)
    for statement in document["Statement"]:
        unknown = [action for action in listed(statement["Action"]) if not catalogue.exists(action)]
        assert not unknown, f"{statement['Sid']}: {unknown}"
    assert not {key for key in policies.condition_keys(document) if not catalogue.knows_key(key)}
    assert not policies.condition_operators(document)


@pytest.mark.parametrize("name", [name for name in POLICIES if name not in LIMITS and not name.startswith("trust-")])
def test_only_what_cannot_be_narrowed_is_open(settings: Any, name: str) -> None:
    """No action with a wildcard, and ``*`` for a resource only where AWS has no finer one."""
    for statement in filled(settings, name)["Statement"]:
        assert statement["Effect"] == "Allow"
        assert not any("*" in action or "?" in action for action in listed(statement["Action"])), statement["Sid"]
        if "*" in listed(statement["Resource"]):
            finer = {action for action in listed(statement["Action"]) if catalogue.resource_types(action)}
            assert not finer, f"{statement['Sid']}: {finer} can be narrowed"
        if "iam:PassRole" in listed(statement["Action"]):
            assert listed(statement["Action"]) == ["iam:PassRole"]
            assert "iam:PassedToService" in statement["Condition"]["StringEquals"]


def says(settings: Any, name: str, action: str, resource: str, **context: str) -> str | None:
    keys = {key.replace("__", ":"): value for key, value in context.items()}
    return policies.evaluate([filled(settings, name)], action, resource, keys)


def test_a_plan_reads_what_readers_and_a_tracking_server_add(settings: Any) -> None:
    """What the provider's refresh of these resources asks for."""
    prefix, base = settings.names.prefix, f"{settings.aws.region}:{settings.aws.account_id}"
    for action, resource in {
        "ecr:GetRepositoryPolicy": f"arn:aws:ecr:{base}:repository/{prefix}/inference",
        "sagemaker:GetModelPackageGroupPolicy": f"arn:aws:sagemaker:{base}:model-package-group/{prefix}",
        "sagemaker:DescribeMlflowTrackingServer": settings.names.tracking_server_arn,
    }.items():
        assert says(settings, "github-plan.json", action, resource) == "Allow"
        assert says(settings, "github-plan.json", action, resource.replace(prefix, "theirs")) is None


def test_the_deployer_grants_the_key_to_aws_alone(settings: Any) -> None:
    for aws, verdict in (("true", "Allow"), ("false", None)):
        grant = says(
            settings, "deployer.json", "kms:CreateGrant", "arn:aws:kms:r:1:key/k", kms__grantisforawsresource=aws
        )
        assert grant == verdict


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("kms:ScheduleKeyDeletion", "arn:aws:kms:r:1:key/k"), ("kms:DisableKey", "arn:aws:kms:r:1:key/k"),
        ("kms:PutKeyPolicy", "arn:aws:kms:r:1:key/k"), ("kms:Decrypt", "arn:aws:kms:r:1:key/theirs"),
        ("kms:Sign", "arn:aws:kms:r:1:key/s"), ("s3:DeleteBucket", "arn:aws:s3:::{data}"),
        ("s3:PutBucketPolicy", "arn:aws:s3:::{data}"), ("s3:PutLifecycleConfiguration", "arn:aws:s3:::{data}"),
        ("s3:DeleteObject", "arn:aws:s3:::{data}/x"), ("s3:DeleteObjectVersion", "arn:aws:s3:::{data}/x"),
        ("s3:PutObject", "arn:aws:s3:::{data}/x"), ("s3:GetObject", "arn:aws:s3:::theirs/x"),
        ("sts:AssumeRole", "arn:aws:iam::1:role/owner"), ("ec2:RunInstances", "*"),
        ("sagemaker:UpdateModelPackage", "arn:aws:sagemaker:r:1:model-package/g/1"),
    ],
)  # fmt: skip
def test_the_boundary_keeps_a_widened_job_from(settings: Any, action: str, resource: str) -> None:
    places = {"aws__principalarn": settings.role_arn("job")}
    found = says(settings, "boundary.json", action, resource.format(data=settings.names.data_bucket), **places)
    assert found != "Allow"


def test_every_open_statement_is_explained(settings: Any) -> None:
    """docs/security.md: one row for each statement about every resource, with the reason; and no row too many."""
    open_ = [
        (name.removesuffix(".json"), statement["Sid"])
        for name in POLICIES
        if name not in LIMITS and not name.startswith("trust-")
        for statement in filled(settings, name)["Statement"]
        if "*" in listed(statement["Resource"])
    ]
    rows = open_statements.explained()
    assert all(rows.values())
    assert sorted(rows) == sorted([*open_, ("flow-logs", "FindTheGroup")])  # the last is in HCL: tests/terraform


def test_images_indexed_in_place_can_be_read(other_settings: Any) -> None:
    settings = other_settings("environments: {local: {data: {source: 's3://their-bucket/photos'}}}")
    places = templates.values(settings, key_arn="k", signing_key_arn="s")
    assert templates.role_documents(settings, "job") == ("trust-sagemaker", ("job", "source"))
    text = json.dumps(templates.document("policies/source.json", places))
    assert "arn:aws:s3:::their-bucket/*" in text


def test_a_place_that_nobody_fills_is_named() -> None:
    with pytest.raises(ContractError, match=r"terraform/policies/job\.json names .*data_bucket"):
        templates.document("policies/job.json", {})
