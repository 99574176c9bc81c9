"""Requests as functions of a package and the settings: valid, and named by their content."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from contracts.errors import SettingsError
from contracts.settings import load
from deployment import scaling, specs
from deployment.packages import Package

PACKAGE = Package(
    arn="arn:aws:sagemaker:eu-west-1:111122223333:model-package/widgets-dev/1",
    version=1,
    approval="Approved",
    status="Completed",
    reason="",
    image="111122223333.dkr.ecr.eu-west-1.amazonaws.com/widgets-dev/inference@sha256:" + "1" * 64,
    model_uri="s3://widgets-dev-artifacts-111122223333/packages/a/model.tar.gz",
    bundle_hash="a" * 64,
)

MODEL = botocore.session.get_session().get_service_model("sagemaker")


def valid(operation: str, request: Any) -> None:
    report = ParamValidator().validate(request, MODEL.operation_model(operation).input_shape)
    assert not report.has_errors(), report.generate_report()


VARIATIONS: list[dict[str, Any]] = [
    {},
    {"instance_type": "ml.g5.xlarge"},
    {"capture_share": 0.001},
    {"isolated_endpoint": True},
    {"network": {"subnets": ["subnet-1", "subnet-2"], "security_groups": ["sg-1"]}},
    {"kms_key_id": ""},
    {"image_url_hosts": ()},
    {"serverless": {"memory_mb": 2048, "max_concurrency": 5}},
]


@pytest.mark.parametrize("change", VARIATIONS, ids=lambda change: ",".join(change) or "as it is")
def test_every_request_is_valid_and_has_its_own_name(settings: Any, change: dict[str, Any]) -> None:
    changed = dataclasses.replace(settings, **change)
    model = specs.model(PACKAGE, changed)
    valid("CreateModel", model)
    config = specs.endpoint_config(model["ModelName"], changed)
    valid("CreateEndpointConfig", config)
    assert len(model["ModelName"]) <= 63 and len(config["EndpointConfigName"]) <= 63
    assert specs.is_ours(model["ModelName"], changed)
    if change:
        before = specs.endpoint_config(specs.model(PACKAGE, settings)["ModelName"], settings)
        assert config["EndpointConfigName"] != before["EndpointConfigName"]


def test_the_name_follows_the_bundle_and_the_image_not_the_package(settings: Any) -> None:
    name = specs.model(PACKAGE, settings)["ModelName"]
    again = dataclasses.replace(PACKAGE, arn=PACKAGE.arn[:-1] + "2", version=2)
    assert specs.model(again, settings)["ModelName"] == name
    for change in ({"bundle_hash": "b" * 64}, {"image": PACKAGE.image[:-1] + "2"}):
        assert specs.model(dataclasses.replace(PACKAGE, **change), settings)["ModelName"] != name


def test_the_container_serves_the_precision_of_the_package(settings: Any) -> None:
    assert "CVF_PRECISION" not in specs.model(PACKAGE, settings)["PrimaryContainer"]["Environment"]
    chosen = specs.model(dataclasses.replace(PACKAGE, precision="int8"), settings)
    assert chosen["PrimaryContainer"]["Environment"]["CVF_PRECISION"] == "int8"
    assert chosen["ModelName"] != specs.model(PACKAGE, settings)["ModelName"]


@pytest.mark.parametrize("kind", ["ml.m5d.large", "ml.g4dn.xlarge", "ml.g5.xlarge", "ml.p4d.24xlarge", "ml.c6gd.large"])
def test_no_volume_key_for_a_local_disk(settings: Any, kind: str) -> None:
    assert "KmsKeyId" not in specs.endpoint_config("m", dataclasses.replace(settings, instance_type=kind))


@pytest.mark.parametrize("kind", ["ml.m5.large", "ml.c6i.xlarge", "ml.r5.large", "ml.t2.medium", "ml.inf2.xlarge"])
def test_a_volume_key_for_a_network_disk(settings: Any, kind: str) -> None:
    assert "KmsKeyId" in specs.endpoint_config("m", dataclasses.replace(settings, instance_type=kind))


@pytest.mark.parametrize(
    ("change", "policy", "member"),
    [
        ({"strategy": "all-at-once"}, "BlueGreenUpdatePolicy", {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 600}),
        (
            {"strategy": "linear", "percent": 25},
            "BlueGreenUpdatePolicy",
            {
                "Type": "LINEAR",
                "WaitIntervalInSeconds": 600,
                "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            },
        ),
        ({"strategy": "rolling", "percent": 20}, "RollingUpdatePolicy", None),
        (
            {"strategy": "canary", "percent": 5, "termination_minutes": 10},
            "BlueGreenUpdatePolicy",
            {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 600,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 5},
            },
        ),
    ],
)
def test_every_strategy(settings: Any, change: dict[str, Any], policy: str, member: Any) -> None:
    changed = dataclasses.replace(settings, **change)
    config: Any = specs.deployment_config(changed)
    valid("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c", "DeploymentConfig": config})
    assert list(config) == [policy]
    if member is not None:
        assert config[policy]["TrafficRoutingConfiguration"] == member
    assert 600 <= config[policy]["MaximumExecutionTimeoutInSeconds"] <= 28_800
    if policy == "BlueGreenUpdatePolicy":
        assert config[policy]["TerminationWaitInSeconds"] == changed.termination_minutes * 60


@pytest.mark.parametrize("strategy", ["canary", "linear", "rolling", "all-at-once"])
def test_every_strategy_is_guarded_by_the_alarms_that_are_named(settings: Any, strategy: str) -> None:
    changed = dataclasses.replace(settings, strategy=strategy)
    config: Any = specs.deployment_config(changed, ["one", "two"])
    valid("UpdateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c", "DeploymentConfig": config})
    assert config["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "one"}, {"AlarmName": "two"}]}
    assert "AutoRollbackConfiguration" not in specs.deployment_config(changed)


def test_a_serverless_endpoint_has_neither_instances_nor_a_volume(settings: Any) -> None:
    changed = dataclasses.replace(
        settings, serverless={"memory_mb": 3072, "max_concurrency": 7}, fallback_instance_types=("ml.c5.xlarge",)
    )
    config: Any = specs.endpoint_config("m", changed)
    assert config["ProductionVariants"] == [
        {
            "VariantName": "main",
            "ModelName": "m",
            "ServerlessConfig": {"MemorySizeInMB": 3072, "MaxConcurrency": 7},
            "InitialVariantWeight": 1,
        }
    ]
    assert "KmsKeyId" not in config
    assert specs.instance_types(changed) == ("serverless",), "no machine can be missing"
    assert specs.not_retained(changed) == [{"VariantPropertyType": "DataCaptureConfig"}]
    assert scaling.wanted(dataclasses.replace(changed, max_instances=4)) is None


def test_an_autoscaled_fleet_keeps_its_size(settings: Any) -> None:
    kinds = {item["VariantPropertyType"] for item in specs.not_retained(settings)}
    scaled = {
        item["VariantPropertyType"] for item in specs.not_retained(dataclasses.replace(settings, max_instances=4))
    }
    assert kinds - scaled == {"DesiredInstanceCount"} and "DataCaptureConfig" in scaled


@pytest.mark.parametrize("strategy", ["canary", "linear", "rolling", "all-at-once"])
@pytest.mark.parametrize("percent", [10, 25, 50])
@pytest.mark.parametrize("bake", [0, 30, 60])
def test_what_the_settings_allow_ends_in_time(
    settings: Any, tmp_path: Path, strategy: str, percent: int, bake: int
) -> None:
    """Either the settings refuse the release, or SageMaker lets it wait as long as it says."""
    file = tmp_path / "factory.yaml"
    file.write_text(
        "name: widgets\naws: {account_id: '111122223333'}\n"
        f"release: {{strategy: {strategy}, percent: {percent}, bake_minutes: {bake}}}\n"
    )
    steps = math.ceil(100 / percent) if strategy in ("linear", "rolling") else 1
    try:
        load(file)
    except SettingsError as error:
        assert "release.bake_minutes" in str(error) and steps * bake > 420
        return
    changed = dataclasses.replace(settings, strategy=strategy, percent=percent, bake_minutes=bake)
    (policy,) = specs.deployment_config(changed).values()
    assert policy["MaximumExecutionTimeoutInSeconds"] >= steps * bake * 60 + 3600  # type: ignore[index]


def test_what_expires_says_so_and_the_names_do_not_depend_on_it(settings: Any) -> None:
    expiring = dataclasses.replace(settings, expire_hours=8)
    plain, tagged = specs.endpoint_config("model", settings), specs.endpoint_config("model", expiring)
    assert plain["EndpointConfigName"] == tagged["EndpointConfigName"]
    assert {"Key": "ExpireHours", "Value": "8"} in tagged["Tags"]
    assert "ExpireHours" not in {tag["Key"] for tag in plain["Tags"]}
