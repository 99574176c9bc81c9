"""The endpoint follows the registry, whatever happens in between."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from contracts.names import PIN_KEY
from contracts.release import ATTEMPT_KEY
from deployment import deploy, outcome, reject
from deployment.reconcile import reconcile
from tests.deployment.rounds import objects, settled


def test_nothing_approved_means_nothing_served(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    plane.register()
    result = reconcile(session, settings)
    assert result.action == outcome.NONE and result.closed
    assert not plane.models and not plane.endpoints


def test_the_first_approval_creates_the_endpoint(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    arn = plane.register(approval="Approved")
    result = reconcile(session, settings)
    assert (result.action, result.endpoint_status, result.package_arn) == (outcome.CREATED, "Creating", arn)
    assert reconcile(session, settings).action == outcome.WAITING
    plane.settle()
    assert reconcile(session, settings).action == outcome.SERVING
    assert plane.served_package() == arn
    (model,) = calls.of("CreateModel")
    assert model["PrimaryContainer"]["Environment"] == {
        "CVF_MAX_BODY_BYTES": "6000000",
        "CVF_MAX_PIXELS": "25000000",
        "CVF_MAX_INSTANCES": "64",
        "CVF_MAX_FRAMES": "1",
        "CVF_MAX_JSON_DEPTH": "32",
        "CVF_MAX_HEADERS": "64",
        "CVF_MAX_HEADER_BYTES": "16384",
        "CVF_QUEUE": "100",
        "CVF_DEADLINE_SECONDS": "60",
        "CVF_READ_SECONDS": "15",
        "CVF_LOG_SHARE": "1",
        "CVF_IMAGE_URL_HOSTS": "images.example.com,cdn.example.com",
    }
    assert model["ExecutionRoleArn"].endswith(":role/widgets-dev-endpoint")
    (config,) = calls.of("CreateEndpointConfig")
    (variant,) = config["ProductionVariants"]
    assert (variant["VariantName"], variant["InstanceType"]) == ("main", "ml.m5.xlarge")
    assert config["KmsKeyId"] == f"arn:aws:kms:{settings.region}:{settings.account_id}:alias/widgets-dev"


def test_the_highest_approved_version_is_served(session: Any, settings: Any, plane: Any) -> None:
    plane.page_size = 2
    arns = [plane.register(str(number) * 64, "Approved") for number in range(1, 6)]
    plane.set(arns[4], "Rejected")
    settled(session, settings, plane)
    assert plane.served_package() == arns[3]


def test_an_update_says_how_and_keeps_the_fleet(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    second = plane.register("b" * 64, "Approved")
    result = reconcile(session, settings)
    assert result.action == outcome.UPDATED
    (update,) = calls.of("UpdateEndpoint")
    assert update["RetainAllVariantProperties"] is True
    assert update["ExcludeRetainedVariantProperties"] == [
        {"VariantPropertyType": "DesiredInstanceCount"},
        {"VariantPropertyType": "DataCaptureConfig"},
    ]
    assert update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] == {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 600,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
    }
    plane.settle()
    closing = reconcile(session, settings)
    assert closing.action == outcome.SERVING and len(closing.removed) == 2
    assert plane.served_package() == second
    assert len(plane.models) == len(plane.configs) == 1
    assert objects(session, settings) == set()


def test_what_serves_already_is_left_alone(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    calls.made.clear()
    assert reconcile(session, settings).action == outcome.SERVING
    plane.register("a" * 64, "Approved")  # another package with the same bundle and image
    assert reconcile(session, settings).action == outcome.SERVING
    assert not {name for name in calls.names if not name.startswith(("Describe", "List", "Get"))}
    assert len(calls.made) <= 22


@pytest.mark.parametrize(
    ("change", "operations"),
    [
        ({"instance_type": "ml.c5.xlarge"}, {"CreateEndpointConfig", "UpdateEndpoint"}),
        ({"capture_share": 0.25}, {"CreateEndpointConfig", "UpdateEndpoint"}),
        ({"max_pixels": 1000}, {"CreateModel", "CreateEndpointConfig", "UpdateEndpoint"}),
        ({"strategy": "linear"}, set()),
        ({"bake_minutes": 3}, set()),
    ],
)
def test_a_changed_setting_is_rolled_out(
    session: Any, settings: Any, plane: Any, calls: Any, change: dict[str, Any], operations: set[str]
) -> None:
    plane.register(approval="Approved")
    settled(session, settings, plane)
    calls.made.clear()
    changed = dataclasses.replace(settings, **change)
    assert settled(session, changed, plane).action == outcome.SERVING
    assert {name for name in calls.names if name.startswith(("Create", "Update"))} == operations
    assert len(plane.models) == len(plane.configs) == 1


@pytest.mark.parametrize("seconds_event", ["now", "after"])
def test_a_second_event_does_nothing(session: Any, settings: Any, plane: Any, calls: Any, seconds_event: str) -> None:
    plane.register(approval="Approved")
    reconcile(session, settings)
    if seconds_event == "after":
        plane.settle()
        reconcile(session, settings)
    calls.made.clear()
    reconcile(session, settings)
    assert not [name for name in calls.names if not name.startswith(("Describe", "List", "Get"))]


def test_a_newer_approval_during_a_roll_out_waits_for_its_end(session: Any, settings: Any, plane: Any) -> None:
    plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    plane.register("b" * 64, "Approved")
    reconcile(session, settings)
    third = plane.register("c" * 64, "Approved")
    assert reconcile(session, settings).action == outcome.WAITING
    plane.settle()
    assert settled(session, settings, plane).action == outcome.SERVING
    assert plane.served_package() == third
    assert len(plane.models) == len(plane.configs) == 1


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_failed_roll_out_is_not_tried_again_by_itself(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    first = plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    second = plane.register("b" * 64, "Approved")
    assert reconcile(session, settings).action == outcome.UPDATED
    plane.settle(ok=False)
    for _ in range(3):
        result = reconcile(session, settings)
        assert result.action == outcome.FAILED and not result.ok
    assert "version 2" in result.message and "cv-factory deploy" in result.message
    assert len(calls.of("UpdateEndpoint")) == 1
    assert plane.served_package() == first

    assert deploy(session, settings).action == outcome.UPDATED  # a person tries again
    plane.settle(ok=False)
    assert reconcile(session, settings).action == outcome.FAILED
    reject(session, settings, second, why="does not start")
    assert reconcile(session, settings).action == outcome.SERVING
    assert len(plane.models) == len(plane.configs) == 1
    assert objects(session, settings) == set()


def test_a_failed_creation_stays_to_be_looked_at(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    first = plane.register("a" * 64, "Approved")
    reconcile(session, settings)
    plane.settle(ok=False)
    for _ in range(3):
        result = reconcile(session, settings)
        assert result.action == outcome.FAILED
    assert "ping health check" in result.message
    assert len(calls.of("CreateEndpoint")) == 1 and not calls.of("DeleteEndpoint")

    second = plane.register("b" * 64, "Approved")  # a better one: the failed endpoint makes room
    assert reconcile(session, settings).action == outcome.REMOVED
    assert reconcile(session, settings).action == outcome.WAITING
    plane.settle()
    assert settled(session, settings, plane).action == outcome.SERVING
    assert plane.served_package() == second != first
    assert len(plane.models) == len(plane.configs) == 1


def test_a_person_tries_a_failed_creation_again(session: Any, settings: Any, plane: Any) -> None:
    plane.register("a" * 64, "Approved")
    reconcile(session, settings)
    plane.settle(ok=False)
    assert deploy(session, settings).action == outcome.REMOVED
    plane.settle()
    assert settled(session, settings, plane).action == outcome.SERVING


def test_an_endpoint_that_only_a_person_can_mend_is_left_alone(session: Any, settings: Any, plane: Any) -> None:
    plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    plane.register("b" * 64, "Approved")
    plane.endpoint["EndpointStatus"] = "UpdateRollbackFailed"
    before = json.dumps(plane.endpoint)
    result = reconcile(session, settings)
    assert result.action == outcome.BLOCKED and "UpdateRollbackFailed" in result.message
    assert json.dumps(plane.endpoint) == before


def test_rejecting_what_serves_brings_back_the_version_before(session: Any, settings: Any, plane: Any) -> None:
    first = plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    second = plane.register("b" * 64, "Approved")
    settled(session, settings, plane)
    reject(session, settings, second, why="false alarms")
    settled(session, settings, plane)
    assert plane.served_package() == first
    reject(session, settings, first, why="false alarms too")
    result = reconcile(session, settings)
    assert result.action == outcome.NONE and plane.endpoint["EndpointStatus"] == "InService"


def test_the_pin_wins_until_it_is_removed_or_its_package_rejected(session: Any, settings: Any, plane: Any) -> None:
    first = plane.register("a" * 64, "Approved")
    second = plane.register("b" * 64, "Approved")
    deploy(session, settings, "1", reason="the demo")
    assert objects(session, settings) == {PIN_KEY, ATTEMPT_KEY}
    result = settled(session, settings, plane)
    assert result.pinned and plane.served_package() == first
    deploy(session, settings)
    assert PIN_KEY not in objects(session, settings)
    settled(session, settings, plane)
    assert plane.served_package() == second

    deploy(session, settings, first)
    settled(session, settings, plane)
    plane.set(first, "Rejected")  # in the console: the pin is still there
    result = settled(session, settings, plane)
    assert plane.served_package() == second and "not followed" in result.message
