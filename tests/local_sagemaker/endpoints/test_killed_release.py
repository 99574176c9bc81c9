"""A server that is killed in the middle of a guarded release: nothing that the release names is lost, no child is left.

The release is a canary with an alarm, an autoscaled variant and a fault that is on; its files are in S3 and in the
registry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_sagemaker import control
from tests.local_sagemaker.endpoints.harness import BUCKET, REGION, Local
from tests.local_sagemaker.endpoints.test_guarded import error_alarm, guarded, next_minute, size
from tests.local_sagemaker.endpoints.test_restart import containers, kill
from tests.local_sagemaker.endpoints.test_scaling import DIMENSION
from tests.local_sagemaker.endpoints.test_updating import advance, baking, config_of, policy, update
from tests.waiting import eventually


@pytest.fixture
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    local = Local(tmp_path_factory.mktemp("mortal"))
    try:
        local.start()
        local.prepare()
        yield local
    finally:
        if control.status(local.state) is None:
            local.start()
        local.stop()
    assert containers(local) == []


def scaling(local: Local) -> Any:
    session = boto3.Session("test", "test", region_name=REGION)
    client = session.client("application-autoscaling", endpoint_url=local.info.endpoint_url)
    local.clients.append(client)
    return client


def invocations(local: Local, name: str) -> float:
    now = local.admin("GET", "clock")["time"]
    dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "main"}]
    points = local.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker", MetricName="Invocations", Dimensions=dimensions, Statistics=["Sum"], Period=3600,
        StartTime=now - 3000, EndTime=now + 60,
    )["Datapoints"]  # fmt: skip
    return sum(point["Sum"] for point in points)


def versions(local: Local, name: str) -> set[str]:
    """Who answers two requests; nobody as long as the containers start."""
    try:
        return {local.ask(name)["version"] for _ in range(2)}
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("ServiceUnavailable", "ValidationError")
        return set()


class Release:
    """A canary that bakes, and all that it names."""

    def __init__(self, local: Local) -> None:
        self.local = local
        self.name = local.serving(VERSION="blue")
        self.alarm = error_alarm(local, self.name)
        self.place = {
            "ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{self.name}/variant/main",
            "ScalableDimension": DIMENSION,
        }  # fmt: skip
        scaling(local).register_scalable_target(**self.place, MinCapacity=1, MaxCapacity=2)
        local.admin("PUT", "faults", [{"name": "event-twice", "seed": 3, "probability": 0.5}])
        local.sagemaker.create_model_package_group(ModelPackageGroupName="group")
        local.s3.put_object(Bucket=BUCKET, Key="release/pin.json", Body=b'{"pinned": 1}')
        next_minute(local)
        canary = policy("CANARY", 1800, CanarySize=size("CAPACITY_PERCENT", 50))
        self.blue = local.describe(self.name)["EndpointConfigName"]
        self.green = config_of(local, VERSION="green")
        update(local, self.name, self.green, DeploymentConfig=guarded(canary, self.alarm))
        eventually(lambda: baking(local, self.name))
        self.asked = [local.ask(self.name) for _ in range(4)]

    def settle(self) -> None:
        """Wait until the metrics of the requests and the snapshots are on disk: that takes the last second."""
        eventually(lambda: invocations(self.local, self.name) >= len(self.asked))  # reading writes them
        services = {"s3", "iam", "cloudwatch", "applicationautoscaling"}
        eventually(lambda: not services & set(self.local.admin("GET", "health")["unsaved"]))

    def check_after_the_restart(self) -> None:
        local = self.local
        described = local.describe(self.name)
        assert described["EndpointStatus"] == "Updating"
        assert described["EndpointConfigName"] == self.blue
        assert described["PendingDeploymentSummary"]["EndpointConfigName"] == self.green
        assert described["LastDeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"] == [{"AlarmName": self.alarm}]
        for config in (self.blue, self.green):
            (variant,) = local.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
            local.sagemaker.describe_model(ModelName=variant["ModelName"])
        assert [one["AlarmName"] for one in local.cloudwatch.describe_alarms(AlarmNames=[self.alarm])["MetricAlarms"]]
        (target,) = scaling(local).describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 2)
        (fault,) = local.admin("GET", "faults")["faults"]
        assert (fault["name"], fault["seed"]) == ("event-twice", 3) and fault["seen"] > 0
        assert json.loads(local.s3.get_object(Bucket=BUCKET, Key="release/pin.json")["Body"].read()) == {"pinned": 1}
        local.sagemaker.describe_model_package_group(ModelPackageGroupName="group")
        assert invocations(local, self.name) == len(self.asked)


@pytest.mark.parametrize("breach", [True, False], ids=["the alarm rings afterwards", "all is well afterwards"])
def test_killed_in_a_guarded_canary(mortal: Local, breach: bool) -> None:
    release = Release(mortal)
    release.settle()
    before = containers(mortal)
    assert len(before) == 2
    kill(mortal)
    mortal.start()
    assert not set(before) & set(containers(mortal))
    release.check_after_the_restart()
    eventually(lambda: baking(mortal, release.name))
    eventually(lambda: versions(mortal, release.name) == {"blue", "green"})
    assert len(containers(mortal)) == 2
    if breach:
        with pytest.raises(ClientError, match="ModelError"):
            mortal.ask(release.name, {"status": 500})
        next_minute(mortal)
        described = mortal.settled(release.name)
        assert f"{release.alarm} in state ALARM" in described["FailureReason"]
    else:
        advance(mortal, 1800)
        described = mortal.settled(release.name)
        assert "FailureReason" not in described
    assert described["EndpointConfigName"] == (release.blue if breach else release.green)
    assert versions(mortal, release.name) == ({"blue"} if breach else {"green"})
    eventually(lambda: len(containers(mortal)) == 1)


@pytest.mark.parametrize("kills", [1, 3])
def test_killed_again_and_again_at_once_it_converges(mortal: Local, kills: int) -> None:
    release = Release(mortal)
    for _ in range(kills):
        kill(mortal)
        mortal.start()
        assert mortal.status(release.name) == "Updating"
    eventually(lambda: baking(mortal, release.name))
    advance(mortal, 1800)
    assert mortal.settled(release.name)["EndpointConfigName"] == release.green
    eventually(lambda: versions(mortal, release.name) == {"green"})
    eventually(lambda: len(containers(mortal)) == 1)


ROLLING = {
    "RollingUpdatePolicy": {"MaximumBatchSize": size("INSTANCE_COUNT", 1), "WaitIntervalInSeconds": 600}
}  # fmt: skip


def of_two(local: Local, **environment: str) -> str:
    return local.config({"model": local.model(environment=environment), "InitialInstanceCount": 2})


def test_killed_in_the_last_batch_of_a_rolling_update_the_new_fleet_serves(mortal: Local) -> None:
    name, new = mortal.endpoint(of_two(mortal, VERSION="blue")), of_two(mortal, VERSION="green")
    update(mortal, name, new, DeploymentConfig=ROLLING)
    eventually(lambda: baking(mortal, name))
    advance(mortal, 600)
    eventually(lambda: "batch capacity of 2" in baking(mortal, name))
    kill(mortal)  # the last batch has all traffic: green is the endpoint's fleet
    mortal.start()
    assert mortal.settled(name)["EndpointConfigName"] == new
    eventually(lambda: versions(mortal, name) == {"green"})
    eventually(lambda: len(containers(mortal)) == 2)


def test_killed_while_a_rolling_update_rolls_back_the_old_fleet_serves(mortal: Local, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    old = of_two(mortal, VERSION="blue", WAIT_FOR=str(gate))
    name = mortal.endpoint(old)
    alarm = error_alarm(mortal, name)
    next_minute(mortal)
    update(mortal, name, of_two(mortal, VERSION="green"), DeploymentConfig=guarded(ROLLING, alarm))
    eventually(lambda: baking(mortal, name))
    advance(mortal, 600)
    eventually(lambda: "batch capacity of 2" in baking(mortal, name))
    gate.unlink()  # the old fleet cannot come back yet
    with pytest.raises(ClientError, match="ModelError"):
        mortal.ask(name, {"status": 500})
    next_minute(mortal)
    eventually(lambda: mortal.status(name) == "RollingBack")
    kill(mortal)
    mortal.start()
    gate.touch()
    described = mortal.settled(name)
    assert described["EndpointConfigName"] == old
    assert f"{alarm} in state ALARM" in described["FailureReason"]
    eventually(lambda: versions(mortal, name) == {"blue"})
    eventually(lambda: len(containers(mortal)) == 2)
