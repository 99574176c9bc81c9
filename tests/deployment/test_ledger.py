"""What was released, by whom and how it ended, is written once and never changed."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.errors import ContractError
from contracts.release import LEDGER_PREFIX
from deployment import deploy, ledger, reject
from deployment.ledger import Release
from deployment.reconcile import reconcile
from tests.deployment.plane import ApiError

OWNER = "arn:aws:sts::111122223333:assumed-role/widgets-dev-owner/jane"


def releases(session: Any, settings: Any) -> list[Release]:
    return list(ledger.releases(session.client("s3"), settings))


def keys(session: Any, settings: Any) -> list[str]:
    found = session.client("s3").list_objects_v2(Bucket=settings.names.artifact_bucket, Prefix=LEDGER_PREFIX)
    return [item["Key"].removeprefix(LEDGER_PREFIX) for item in found.get("Contents", [])]


def test_a_release_is_told_from_its_opening_to_its_end(session: Any, settings: Any, plane: Any) -> None:
    metadata = {
        "bundle_hash": "a" * 64, "training_image_digest": "sha256:" + "2" * 64,
        "inference_image_digest": "sha256:" + "1" * 64,
    }  # fmt: skip
    arn = plane.register(
        approval="Approved",
        ApprovalDescription="better on poly cells",
        LastModifiedBy={"IamIdentity": {"Arn": OWNER, "PrincipalId": "AROAX:jane"}},
        CustomerMetadataProperties=metadata,
    )
    reconcile(session, settings)
    (told,) = releases(session, settings)
    assert told.open and told.state == ledger.STARTED
    plane.settle()
    reconcile(session, settings)
    (told,) = releases(session, settings)
    value = json.loads(json.dumps(told.to_json()))
    assert list(value["states"]) == ["opened", "started", "succeeded"]
    assert sorted(value["states"].values()) == list(value["states"].values())
    assert (value["package_arn"], value["version"], value["bundle_hash"]) == (arn, 1, "a" * 64)
    assert value["image_digests"] == {"training": "sha256:" + "2" * 64, "inference": "sha256:" + "1" * 64}
    assert (value["approved_by"], value["approval_reason"]) == (OWNER, "better on poly cells")
    assert [action["action"] for action in value["plan"]][-1] == "create-endpoint"
    assert (value["outcome"], value["alarms"]) == ("the endpoint serves it", [])
    assert [value["checks"]["state"], value["golden"]["state"]] == ["ok", "ok"]
    assert not told.open


def test_every_change_of_state_is_an_object_and_the_newest_release_comes_first(
    session: Any, settings: Any, plane: Any, calls: Any
) -> None:
    plane.register("a" * 64, "Approved")
    for _ in range(2):
        reconcile(session, settings)
        plane.settle()
    second = plane.register("b" * 64, "Approved")
    reconcile(session, settings)
    plane.settle(ok=False)
    reconcile(session, settings)
    deploy(session, settings)  # a person tries again
    plane.settle(ok=False)
    reconcile(session, settings)
    reject(session, settings, second, why="does not start")
    reconcile(session, settings)
    told = releases(session, settings)
    assert [(each.facts["version"], each.state) for each in told] == [(2, "failed"), (2, "failed"), (1, "succeeded")]
    assert "with the configuration" in told[0].reason
    names = keys(session, settings)
    assert names == sorted(names) and len(names) == 9
    writes = [call for call in calls.of("PutObject") if call["Key"].startswith(LEDGER_PREFIX)]
    assert len(writes) == 9 and all(call["IfNoneMatch"] == "*" for call in writes)
    assert not [call for call in calls.of("DeleteObject") if call["Key"].startswith(LEDGER_PREFIX)]


def test_what_is_written_stays(session: Any, settings: Any) -> None:
    s3 = session.client("s3")
    name = "20261126T150635.123Z-3f2a9c1e-81b2"
    assert ledger.append(s3, settings, name, ledger.OPENED, {"version": 1})
    assert not ledger.append(s3, settings, name, ledger.OPENED, {"version": 2})
    (told,) = releases(session, settings)
    assert told.facts == {"version": 1}


def test_many_releases_are_listed_over_pages_and_cut(session: Any, settings: Any, plane: Any) -> None:
    s3 = session.client("s3")
    names = [f"2026112{number}T150635.123Z-3f2a9c1e-81b2" for number in range(5)]
    for name in names:
        ledger.append(s3, settings, name, ledger.OPENED, {})
    assert [each.id for each in ledger.releases(s3, settings, 2)] == [names[4], names[3]]


def test_what_is_no_record_is_named(session: Any, settings: Any) -> None:
    session.client("s3").put_object(Bucket=settings.names.artifact_bucket, Key=f"{LEDGER_PREFIX}x/0-y.json", Body=b"[]")
    with pytest.raises(ContractError, match="release/ledger/x/ holds what is no record"):
        releases(session, settings)


def test_a_fallback_type_is_said_in_outcome_and_ledger(session: Any, settings: Any, plane: Any) -> None:
    plane.register("a" * 64, "Approved")
    changed = dataclasses.replace(settings, fallback_instance_types=("ml.c5.xlarge",))
    reconcile(session, changed)
    plane.settle(ok=False)
    plane.endpoint["FailureReason"] = "Unable to provision requested ML compute capacity (InsufficientInstanceCapacity)"
    assert reconcile(session, changed).action == "removed"
    plane.settle()
    result = reconcile(session, changed)
    assert result.instance_type == "ml.c5.xlarge"
    assert result.message == (
        "the endpoint is being created with version 1 on ml.c5.xlarge, as ml.m5.xlarge had no capacity"
    )
    plane.settle()
    assert reconcile(session, changed).message.endswith("on ml.c5.xlarge, not on ml.m5.xlarge")
    assert reconcile(session, changed).action == "serving", "and it stays there"
    last, first = releases(session, changed)
    assert (last.state, last.facts["instance_type"], last.facts["no_capacity"]) == (
        "succeeded", "ml.c5.xlarge", ["ml.m5.xlarge"],
    )  # fmt: skip
    assert first.state == "failed" and "InsufficientInstanceCapacity" in first.reason


@pytest.mark.parametrize("operation", ["CreateEndpoint", "UpdateEndpoint"])
def test_a_type_that_is_refused_at_once_is_followed_by_the_next(
    session: Any, settings: Any, plane: Any, calls: Any, operation: str
) -> None:
    """A quota of zero is an error of the call, not a failure of the endpoint: the same run takes the next type."""
    changed = dataclasses.replace(settings, fallback_instance_types=("ml.c5.xlarge",))
    plane.register("a" * 64, "Approved")
    if operation == "UpdateEndpoint":
        for _ in range(2):
            reconcile(session, changed)
            plane.settle()
        reconcile(session, changed)
        plane.register("b" * 64, "Approved")

    def refuse() -> None:
        raise ApiError(
            "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 0 Instances", "ResourceLimitExceeded"
        )

    plane.before[operation] = refuse
    result = reconcile(session, changed)
    assert result.instance_type == "ml.c5.xlarge" and "as ml.m5.xlarge had no capacity" in result.message
    plane.settle()
    assert reconcile(session, changed).action == "serving"
    last, first = list(releases(session, changed))[:2]
    assert (last.state, first.state) == ("succeeded", "failed") and "ResourceLimitExceeded" in first.reason


def test_when_no_type_is_left_a_person_has_to_ask(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    plane.register("a" * 64, "Approved")

    def refuse() -> None:
        raise ApiError(
            "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 0", "ResourceLimitExceeded"
        )

    plane.before["CreateEndpoint"] = refuse
    result = reconcile(session, settings)
    assert result.action == "failed" and "there is no capacity for version 1 on ml.m5.xlarge" in result.message
    assert reconcile(session, settings).action == "failed" and len(calls.of("CreateEndpoint")) == 1
    assert deploy(session, settings).action == "created"


def test_releases_of_the_same_second_are_in_the_order_in_which_they_were_opened() -> None:
    moments = [datetime(2026, 11, 26, 15, 6, 35, 1000 * number, UTC) for number in (7, 70, 700)]
    names = [ledger.new_id(moment, f"widgets-dev-{'9a0'[number] * 20}") for number, moment in enumerate(moments)]
    assert names == sorted(names) and names[0].startswith("20261126T150635.007Z-99999999-")
