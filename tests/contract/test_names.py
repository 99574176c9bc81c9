"""Every name is one that its service takes, for the longest settings as well."""

from __future__ import annotations

import re

import pytest

from contracts.names import ACTORS, Names
from contracts.s3uri import S3Uri
from local_sagemaker import validation

LONGEST = Names("a" + "-b" * 9 + "c", "e" * 10, "111122223333", "ap-southeast-1")
SHORTEST = Names("abc", "d", "111122223333", "us-east-1")


def takes(service: str, shape: str, value: str) -> bool:
    return not validation.problems(validation.service_model(service).shape_for(shape), value)


@pytest.mark.parametrize("names", [LONGEST, SHORTEST], ids=["longest", "shortest"])
def test_names_fit_their_services(names: Names) -> None:
    buckets = (names.data_bucket, names.artifact_bucket, names.log_bucket, names.state_bucket)
    assert len(set(buckets)) == 4
    for bucket in buckets:
        assert len(bucket) <= 63 and S3Uri.parse(f"s3://{bucket}/x").bucket == bucket
    assert takes("sagemaker", "PipelineName", names.pipeline)
    assert takes("sagemaker", "EntityName", names.package_group)
    assert takes("sagemaker", "EndpointName", names.endpoint)
    assert takes("sagemaker", "TrackingServerName", names.tracking_server)
    assert takes("sagemaker", "TrackingServerArn", names.tracking_server_arn)
    for repository in (names.training_repository, names.inference_repository):
        assert takes("ecr", "RepositoryName", repository)
    for actor in ACTORS:
        assert takes("iam", "roleNameType", names.role(actor))
        assert takes("sagemaker", "RoleArn", names.role_arn(actor))
    assert takes("lambda", "FunctionName", names.deployer) and takes("lambda", "FunctionName", names.deployer_arn)
    assert takes("lambda", "FunctionName", names.deployer_alias_arn)
    for rule in (names.registry_rule, names.endpoint_rule):
        assert takes("events", "RuleName", rule)
    assert takes("scheduler", "Name", names.sweep_rule)
    for alias in (names.key_alias, names.signing_key_alias, names.state_key_alias):
        assert takes("kms", "AliasNameType", alias)
    assert takes("sagemaker", "KmsKeyId", names.key_alias_arn)
    for key, value in names.tags.items():
        assert takes("sagemaker", "TagKey", key) and takes("sagemaker", "TagValue", value)


def test_a_models_name_has_room_for_what_the_deployer_adds() -> None:
    assert len(LONGEST.endpoint) <= 63 - len("-") - 20, "a suffix of a short hash must fit"


def test_an_image_is_named_by_tag_or_by_digest() -> None:
    assert SHORTEST.image("r", tag="src-1") == "111122223333.dkr.ecr.us-east-1.amazonaws.com/r:src-1"
    assert SHORTEST.image("r", digest="sha256:1") == "111122223333.dkr.ecr.us-east-1.amazonaws.com/r@sha256:1"


def test_two_environments_share_no_name() -> None:
    other = Names("abc", "e", "111122223333", "us-east-1")

    def everything(names: Names) -> set[str]:
        members = [name for name, kind in vars(Names).items() if isinstance(kind, property) and name != "tags"]
        return {str(getattr(names, name)) for name in members}

    assert everything(SHORTEST) & everything(other) == {SHORTEST.registry}
    assert all(re.search(r"abc-d\b", value) for value in everything(SHORTEST) - {SHORTEST.registry})
