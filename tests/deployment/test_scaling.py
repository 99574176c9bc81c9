"""Autoscaling is registered once, follows the settings, and survives a roll-out."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from contracts.release import ReleaseSettings
from deployment import outcome, scaling
from deployment.reconcile import reconcile
from deployment.scaling import Scaling


@pytest.fixture
def scaled(settings: ReleaseSettings) -> ReleaseSettings:
    return dataclasses.replace(settings, max_instances=4)


def serve(session: Any, settings: Any, plane: Any, bundle: str = "a") -> None:
    plane.register(bundle * 64, "Approved")
    for _ in range(3):
        reconcile(session, settings)
        plane.settle()
    assert reconcile(session, settings).action == outcome.SERVING


def registered(session: Any) -> tuple[list[Any], list[Any]]:
    client = session.client("application-autoscaling")
    return (
        client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"],
        client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"],
    )


def test_a_fleet_of_a_fixed_size_is_not_scaled(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    serve(session, settings, plane)
    assert registered(session) == ([], [])
    assert not calls.of("RegisterScalableTarget") and not calls.of("DeregisterScalableTarget")


def test_it_is_registered_once_and_kept_over_roll_outs(session: Any, scaled: Any, plane: Any, calls: Any) -> None:
    serve(session, scaled, plane)
    before = registered(session)
    serve(session, scaled, plane, "b")
    serve(session, scaled, plane, "c")
    assert registered(session) == before, "field by field the same"
    assert len(calls.of("RegisterScalableTarget")) == len(calls.of("PutScalingPolicy")) == 1
    ((target,), (policy,)) = before
    assert (target["ResourceId"], target["ScalableDimension"]) == (
        "endpoint/widgets-dev/variant/main", "sagemaker:variant:DesiredInstanceCount",
    )  # fmt: skip
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    about = policy["TargetTrackingScalingPolicyConfiguration"]
    assert about["TargetValue"] == 600
    assert about["PredefinedMetricSpecification"] == {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


def test_the_count_that_it_was_scaled_to_survives_an_update(session: Any, scaled: Any, plane: Any, calls: Any) -> None:
    """Each property of the variant but what is excluded is retained; the count is not excluded."""
    serve(session, scaled, plane)
    serve(session, scaled, plane, "b")
    update = calls.of("UpdateEndpoint")[-1]
    assert update["RetainAllVariantProperties"] is True
    assert update["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DataCaptureConfig"}]


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"max_instances": 6}, ["register-scalable-target"]),
        ({"requests_per_instance": 60}, ["put-scaling-policy"]),
        ({"max_instances": 1}, ["deregister-scalable-target"]),
    ],
)
def test_changed_settings_reach_it(
    session: Any, scaled: Any, plane: Any, change: dict[str, int], kinds: list[str]
) -> None:
    serve(session, scaled, plane)
    changed = dataclasses.replace(scaled, **change)
    assert [action["action"] for action in reconcile(session, changed).actions] == kinds
    client = session.client("application-autoscaling")
    assert scaling.look(client, changed) == scaling.wanted(changed)
    assert reconcile(session, changed).actions == ()


def test_a_bound_that_was_changed_by_hand_is_put_back(session: Any, scaled: Any, plane: Any) -> None:
    serve(session, scaled, plane)
    client = session.client("application-autoscaling")
    scaling.register(client, scaled, Scaling(1, 100, 0))
    assert [action["action"] for action in reconcile(session, scaled).actions] == ["register-scalable-target"]
    assert scaling.look(client, scaled) == Scaling(1, 4, 600)


def test_a_fleet_that_becomes_fixed_is_no_longer_scaled_while_it_is_updated(
    session: Any, scaled: Any, plane: Any, calls: Any
) -> None:
    serve(session, scaled, plane)
    fixed = dataclasses.replace(scaled, instance_count=4)
    calls.made.clear()
    reconcile(session, fixed)
    made = [name for name in calls.names if name in ("DeregisterScalableTarget", "UpdateEndpoint")]
    assert made == ["DeregisterScalableTarget", "UpdateEndpoint"]


def test_it_goes_when_the_endpoint_goes(session: Any, scaled: Any, plane: Any) -> None:
    serve(session, scaled, plane)
    plane.set(next(iter(plane.packages)), "Rejected")
    plane._delete_endpoint({"EndpointName": scaled.names.endpoint})
    plane.settle()
    reconcile(session, scaled)
    assert registered(session)[0] == [], "AWS removes a target's policies with it; moto keeps them"
    scaling.deregister(session.client("application-autoscaling"), scaled)  # twice is once
