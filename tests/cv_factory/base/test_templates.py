"""The documents that both readers fill: complete, and made of actions and ARNs of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.errors import ContractError
from cv_factory.operations.base import templates
from local_sagemaker import policies
from local_sagemaker.iam import catalogue

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
        if name != "tracking.json":  # the actions of a tracking server's own protocol, on one server
            assert not any("*" in action or "?" in action for action in listed(statement["Action"])), statement["Sid"]
        if "*" in listed(statement["Resource"]):
            finer = {action for action in listed(statement["Action"]) if catalogue.resource_types(action)}
            assert not finer or name == "network.json", f"{statement['Sid']}: {finer} can be narrowed"
        if "iam:PassRole" in listed(statement["Action"]):
            assert listed(statement["Action"]) == ["iam:PassRole"]
            assert "iam:PassedToService" in statement["Condition"]["StringEquals"]


def test_images_indexed_in_place_can_be_read(other_settings: Any) -> None:
    settings = other_settings("environments: {local: {data: {source: 's3://their-bucket/photos'}}}")
    places = templates.values(settings, key_arn="k", signing_key_arn="s")
    assert templates.role_documents(settings, "job") == ("trust-sagemaker", ("job", "source"))
    text = json.dumps(templates.document("policies/source.json", places))
    assert "arn:aws:s3:::their-bucket/*" in text


def test_a_place_that_nobody_fills_is_named() -> None:
    with pytest.raises(ContractError, match=r"terraform/policies/job\.json names .*data_bucket"):
        templates.document("policies/job.json", {})
