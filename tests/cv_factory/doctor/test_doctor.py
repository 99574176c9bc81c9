"""Each fault by itself in a healthy environment: the doctor finds it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from cv_factory import session as sessions
from cv_factory.operations import doctor
from cv_factory.operations.doctor import limits
from tests.cv_factory.doctor import image_faults, network_faults  # both add to FAULTS
from tests.cv_factory.doctor.conftest import FACTORY_YAML, Healthy
from tests.cv_factory.doctor.faults import FAULTS, boundary


def test_nothing_is_wrong_with_a_healthy_environment(healthy: Healthy) -> None:
    healthy.heal()
    assert healthy.troubles() == {}


@pytest.mark.parametrize(
    ("serving", "staging", "needs"),
    [
        ("instance_count: 2, max_instances: 3", "false", {"ml.m5.xlarge": 6}),
        ("instance_count: 2, max_instances: 3", "true", {"ml.m5.xlarge": 7}),
        ("fallback_instance_types: [ml.m5.large, ml.c5.large]", "true",
         {"ml.m5.xlarge": 3, "ml.m5.large": 2, "ml.c5.large": 2}),
        ("serverless: {memory_mb: 2048, max_concurrency: 5}", "true", {}),
    ],
)  # fmt: skip
def test_what_serving_needs_of_the_quotas(serving: str, staging: str, needs: dict[str, int], healthy: Healthy) -> None:
    healthy.write(FACTORY_YAML.replace("all-at-once}}", f"all-at-once, staging: {staging}}}, serving: {{{serving}}}}}"))
    needed = limits.needed(sessions.open(healthy.settings, healthy.file))
    assert {name.split()[0]: count for name, count in needed.items() if name.endswith("for endpoint usage")} == needs
    assert sum(count for name, count in needed.items() if "serverless" in name) == (0 if needs else 15)


def test_there_are_twenty_faults_and_more() -> None:
    assert {image_faults.a_list_of_images.__name__, network_faults.a_subnet_that_is_gone.__name__} < set(FAULTS)
    assert len(FAULTS) >= 20


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_nothing_else(name: str, healthy: Healthy, monkeypatch: pytest.MonkeyPatch) -> None:
    check, says, plant = FAULTS[name]
    healthy.heal()
    _unplant(healthy)
    plant(healthy, monkeypatch)
    every = healthy.findings()
    assert all(one.repair for one in every), "each finding says what repairs it"
    # What cannot be asked without an account is told as well, and is no trouble of its own.
    found = [one for one in every if one.check == check or one.status != doctor.UNSEEN]
    assert {one.check for one in found} == {check}
    assert says in "\n".join(f"{one.status}: {one.message} -> {one.repair}" for one in found)


@pytest.mark.parametrize(
    ("error", "repair"),
    [
        (ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "GetRole"), "somebody who may call it"),
        (ClientError({"Error": {"Code": "ServiceUnavailable", "Message": ""}}, "GetRole"), "Ask again"),
        (EndpointConnectionError(endpoint_url="https://iam.amazonaws.com"), "network"),
    ],
)
def test_what_cannot_be_seen_is_told_with_what_to_do(
    error: Exception, repair: str, healthy: Healthy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(target: Any) -> Iterator[doctor.Finding]:
        raise error

    monkeypatch.setitem(doctor._ACCOUNT, "roles", refused)
    healthy.heal()
    _unplant(healthy)
    told = next(one for one in doctor.examine(healthy.file, "dev") if one.check == "roles")
    assert told.status == doctor.UNSEEN and repair in told.repair and "cv-factory --env dev doctor" in told.repair


def _unplant(it: Healthy) -> None:
    """What :meth:`Healthy.heal` cannot know of: keys that go, images that were deleted, what was made mutable."""
    kms, s3, logs = it.client("kms"), it.client("s3"), it.client("logs")
    for group in logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/")["logGroups"]:
        logs.delete_log_group(logGroupName=group["logGroupName"])
    iam = it.client("iam")
    for version in iam.list_policy_versions(PolicyArn=boundary(it))["Versions"]:
        if version["VersionId"] != "v1":
            iam.set_default_policy_version(PolicyArn=boundary(it), VersionId="v1")
            iam.delete_policy_version(PolicyArn=boundary(it), VersionId=version["VersionId"])
    for alias in (it.names.key_alias, it.names.signing_key_alias):
        state: Any = kms.describe_key(KeyId=alias)["KeyMetadata"]
        if state["KeyState"] == "PendingDeletion":
            kms.cancel_key_deletion(KeyId=state["KeyId"])
        if state["KeyState"] != "Enabled":
            kms.enable_key(KeyId=state["KeyId"])
    it.client("ecr").put_image_tag_mutability(
        repositoryName=it.names.training_repository, imageTagMutability="IMMUTABLE"
    )
    for item in s3.list_objects_v2(Bucket=it.names.state_bucket).get("Contents", []):
        s3.delete_object(Bucket=it.names.state_bucket, Key=item["Key"])
