"""Faults that strike endpoints."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local_sagemaker.endpoints.harness import Local
from tests.local_sagemaker.endpoints.test_updating import advance, config_of, update
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def _calm_afterwards(local: Local) -> Iterator[None]:
    yield
    local.admin("DELETE", "faults")


def test_no_capacity_for_an_endpoint(local: Local) -> None:
    local.admin("PUT", "faults", [{"name": "capacity", "operation": "CreateEndpoint", "times": 1}])
    name = local.endpoint(config_of(local))
    described = local.describe(name)
    assert described["EndpointStatus"] == "Failed"
    assert "InsufficientInstanceCapacity" in described["FailureReason"]
    local.delete(name)
    local.delete(local.serving())


def test_no_capacity_for_an_update_or_for_more_instances(local: Local) -> None:
    name = local.serving(VERSION="blue")
    local.admin("PUT", "faults", [{"name": "capacity", "resource": name, "times": 2}])
    update(local, name, config_of(local, VERSION="green"))
    described = local.settled(name)
    assert described["EndpointStatus"] == "InService"
    assert "InsufficientInstanceCapacity" in described["FailureReason"]
    wanted = [{"VariantName": "main", "DesiredInstanceCount": 2}]
    local.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
    described = local.settled(name)
    assert "InsufficientInstanceCapacity" in described["FailureReason"]
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert local.ask(name)["version"] == "blue"
    local.delete(name)


def test_a_container_that_never_pings(local: Local) -> None:
    local.admin("PUT", "faults", [{"name": "never-pings", "times": 1}])
    config = local.config({"model": local.model(), "ContainerStartupHealthCheckTimeoutInSeconds": 3600})
    name = local.endpoint(config, wait=False)
    eventually(lambda: local.admin("GET", "faults")["faults"][0]["struck"])
    assert local.status(name) == "Creating"
    advance(local, 3601)
    assert "did not pass the ping health check" in local.settled(name)["FailureReason"]
    local.delete(name)


def test_a_container_that_starts_slowly(local: Local) -> None:
    local.admin("PUT", "faults", [{"name": "slow-start", "seconds": 500, "times": 1}])
    config = local.config({"model": local.model(), "ContainerStartupHealthCheckTimeoutInSeconds": 3600})
    name = local.endpoint(config, wait=False)
    eventually(lambda: local.admin("GET", "faults")["faults"][0]["struck"])
    advance(local, 490)
    assert local.status(name) == "Creating"
    advance(local, 10)
    assert local.settled(name)["EndpointStatus"] == "InService"
    local.delete(name)
