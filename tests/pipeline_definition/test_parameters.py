"""What a start of the pipeline may and must say."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import RefusedError, UsageError
from pipeline_definition.parameters import checked, declared, start_parameters
from tests.pipeline_definition.changed import changed

GOOD: dict[str, Any] = {
    "dataset_uri": "s3://data-bucket/datasets/0123/",
    "checkpoint_uri": "s3://artifacts/checkpoints/4567/",
    "training_image_digest": "sha256:" + "1" * 64,
    "inference_image_digest": "sha256:" + "2" * 64,
}


def test_a_start_says_everything_that_has_no_default() -> None:
    values = start_parameters(changed(), **GOOD)
    assert values == {
        "DatasetUri": "s3://data-bucket/datasets/0123/",
        "CheckpointUri": "s3://artifacts/checkpoints/4567/",
        "Approval": "automatic",
        "GitSha": "unknown",
        "StartedBy": "unknown",
        "TrainingImageDigest": "sha256:" + "1" * 64,
        "InferenceImageDigest": "sha256:" + "2" * 64,
    }


def test_who_starts_is_said_as_a_package_can_hold_it() -> None:
    session = "arn:aws:sts::111122223333:assumed-role/engineer/ann,x@example.com"
    assert start_parameters(changed(), **GOOD, started_by=session)["StartedBy"] == session.replace(",", "_")


def test_prefixes_end_with_a_slash_because_names_are_joined_to_them() -> None:
    values = start_parameters(changed(), **{**GOOD, "dataset_uri": "s3://data-bucket/datasets/0123"})
    assert values["DatasetUri"] == "s3://data-bucket/datasets/0123/"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dataset_uri": "datasets/0123/"}, "not an S3 URI"),
        ({"checkpoint_uri": "s3://B/x"}, "not a bucket name"),
        ({"training_image_digest": "latest"}, "TrainingImageDigest is 'latest', which is no image digest"),
        ({"inference_image_digest": "sha256:" + "G" * 64}, "no image digest"),
        ({"approval": "maybe"}, "Approval is 'maybe'"),
        ({"git_sha": "x" * 1025}, "GitSha has 1025 characters"),
    ],
)
def test_a_wrong_value_is_named(wrong: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        start_parameters(changed(), **{**GOOD, **wrong})


def test_automatic_approval_is_refused_in_prod_whoever_asks() -> None:
    prod = changed(env="prod", release={"approval": "manual"})
    with pytest.raises(RefusedError, match="in prod a person approves"):
        start_parameters(prod, **GOOD, approval="automatic")


def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        checked(changed(), {"DatsetUri": "s3://b/x/"})
    assert "no parameter 'DatsetUri'" in caught.value.headline
    assert "DatasetUri" in caught.value.hint


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(UsageError, match="needs a value for CheckpointUri, TrainingImageDigest, InferenceImageDigest"):
        checked(changed(), {"DatasetUri": "s3://b/x/"})


def test_a_network_that_terraform_made_is_taken_from_the_release_settings() -> None:
    settings = changed(network={"vpc": "create"})
    network = {"subnets": ["subnet-1", "subnet-2", "subnet-3"], "security_groups": ["sg-1", "sg-2"]}
    values = start_parameters(settings, **GOOD, network=network)
    assert (values["SubnetA"], values["SubnetB"], values["SecurityGroup"]) == ("subnet-1", "subnet-2", "sg-1")
    assert list(values) == [parameter.name for parameter in declared(settings)]
    with pytest.raises(UsageError) as caught:
        start_parameters(settings, **GOOD, network={})
    assert "infra apply" in caught.value.hint
