"""Creating, describing and deleting endpoints; what a container gets; containers that fail."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_sagemaker.endpoints.harness import BUCKET, IMAGE, Local, running, tar
from tests.waiting import eventually

ARN = "arn:aws:sagemaker:ap-southeast-1:123456789012"


def test_an_endpoint_is_created_serves_and_is_deleted(local: Local) -> None:
    config = local.config({"model": local.model(environment={"VERSION": "1"})})
    name = local.endpoint(config, wait=False, Tags=[{"Key": "team", "Value": "solar"}])
    creating = local.describe(name)
    assert creating["EndpointStatus"] == "Creating"
    assert creating["PendingDeploymentSummary"]["EndpointConfigName"] == config
    described = local.settled(name)
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointArn"] == f"{ARN}:endpoint/{name.lower()}"
    assert described["EndpointConfigName"] == config
    assert "PendingDeploymentSummary" not in described
    (variant,) = described["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 1)
    assert (variant["CurrentWeight"], variant["DesiredWeight"]) == (1.0, 1.0)
    assert variant["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    pid = local.ask(name)["pid"]
    local.delete(name)
    assert not running(pid)
    with pytest.raises(ClientError, match=f'Could not find endpoint "{ARN}:endpoint/{name.lower()}".'):
        local.describe(name)
    statuses = [detail["EndpointStatus"] for detail in local.events("SageMaker Endpoint State Change", name)]
    assert statuses == ["CREATING", "IN_SERVICE", "DELETING"]
    first = local.events("SageMaker Endpoint State Change", name)[0]
    assert first["Tags"] == {"team": "solar"}
    assert first["EndpointArn"] == described["EndpointArn"]


def test_the_container_gets_its_model_its_port_and_its_role(local: Local) -> None:
    name = local.serving(DATA_DIR="/opt/ml/model", OTHER="/opt/mlflow")
    answer = local.ask(name)
    environment = answer["environment"]
    base = Path(environment["SAGEMAKER_BASE_DIR"])
    assert answer["model"] == {"model/weights.txt": "42"}
    assert environment["DATA_DIR"] == str(base / "model")
    assert environment["OTHER"] == "/opt/mlflow"
    assert environment["FROM_IMAGE"] == "1"
    assert environment["AWS_ENDPOINT_URL"] == local.info.endpoint_url
    assert environment["AWS_ACCESS_KEY_ID"]
    assert environment["SAGEMAKER_BIND_TO_PORT"].isdigit()
    assert local.state in base.parents
    local.delete(name)
    assert not base.exists()


def test_lines_of_the_container_are_in_the_log(local: Local) -> None:
    name = local.serving(VERSION="logged")
    local.ask(name, CustomAttributes="a-secret")
    group = f"/aws/sagemaker/Endpoints/{name}"

    def lines() -> list[str]:
        return [event["message"] for event in local.logs.filter_log_events(logGroupName=group)["events"]]

    eventually(lambda: "served 200" in lines())
    assert "model server logged" in lines()
    assert "a-secret" not in "".join(lines()) + (local.state / "server.log").read_text()
    (stream,) = local.logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert stream["logStreamName"].startswith("main/i-")
    local.delete(name)


def test_uncompressed_models_come_from_a_prefix(local: Local) -> None:
    for key, text in (("bundle/a.txt", "A"), ("bundle/deep/b.txt", "B"), ("bundle-other/c.txt", "C")):
        local.s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())
    source = {"S3Uri": f"s3://{BUCKET}/bundle/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    extra = {"ChannelName": "extra", "S3DataSource": source | {"S3Uri": f"s3://{BUCKET}/bundle-other/"}}
    container = {"Image": IMAGE, "ModelDataSource": {"S3DataSource": source}, "AdditionalModelDataSources": [extra]}
    model = local.model(PrimaryContainer=container)
    name = local.endpoint(local.config({"model": model}))
    assert local.ask(name)["model"] == {
        "model/a.txt": "A",
        "model/deep/b.txt": "B",
        "additional-model-data-sources/extra/c.txt": "C",
    }
    local.delete(name)


def test_a_container_that_dies_at_start_fails_the_endpoint_with_its_last_words(local: Local) -> None:
    began = time.monotonic()
    name = local.endpoint(local.config({"model": local.model(environment={"CRASH": "1"})}))
    assert time.monotonic() - began < 20
    described = local.describe(name)
    assert described["EndpointStatus"] == "Failed"
    reason = described["FailureReason"]
    assert "The primary container for production variant main did not pass the ping health check." in reason
    assert "exited with code 7" in reason
    assert "ValueError: the model is broken" in reason
    with pytest.raises(ClientError, match="DeleteEndpoint is the only operation"):
        local.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=described["EndpointConfigName"])
    with pytest.raises(ClientError, match=f"Endpoint {name} of account 123456789012 not found."):
        local.ask(name)
    assert [detail["EndpointStatus"] for detail in local.events("SageMaker Endpoint State Change", name)] == [
        "CREATING",
        "FAILED",
    ]
    local.delete(name)


def test_an_unbound_image_and_a_bad_archive_fail_the_endpoint_and_say_what_to_do(local: Local) -> None:
    image = "123456789012.dkr.ecr.ap-southeast-1.amazonaws.com/unknown:1"
    name = local.endpoint(local.config({"model": local.model(container={"Image": image})}))
    assert f"The image {image} is not bound to a command on this machine." in local.describe(name)["FailureReason"]
    assert "PUT /_local/images" in local.describe(name)["FailureReason"]
    local.delete(name)
    local.s3.put_object(Bucket=BUCKET, Key="bad.tar.gz", Body=b"no archive")
    model = local.model(container={"ModelDataUrl": f"s3://{BUCKET}/bad.tar.gz"})
    name = local.endpoint(local.config({"model": model}))
    assert "Failed to extract model data archive" in local.describe(name)["FailureReason"]
    local.delete(name)
    local.s3.put_object(Bucket=BUCKET, Key="up.tar.gz", Body=tar(**{"../outside__txt": "x"}))
    model = local.model(container={"ModelDataUrl": f"s3://{BUCKET}/up.tar.gz"})
    name = local.endpoint(local.config({"model": model}))
    assert "leads out of the folder" in local.describe(name)["FailureReason"]
    local.delete(name)


def test_a_container_that_dies_later_is_started_again(local: Local) -> None:
    name = local.serving()
    pid = local.ask(name)["pid"]
    os.kill(pid, signal.SIGKILL)

    def again() -> int:
        try:
            return int(local.ask(name)["pid"])
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("ServiceUnavailable", "ModelError")
            return pid

    eventually(lambda: again() != pid)
    assert local.status(name) == "InService"
    local.delete(name)


def test_a_container_that_stops_answering_pings_is_started_again(local: Local) -> None:
    name = local.serving()
    first = local.ask(name, {"sick": True})
    sick = Path(first["environment"]["SAGEMAKER_BASE_DIR"], "sick")

    def out_of_rotation() -> bool:
        try:
            local.ask(name)
        except ClientError as error:
            return bool(error.response["Error"]["Code"] == "ServiceUnavailable")
        return False

    eventually(out_of_rotation)
    sick.unlink()

    def back() -> bool:
        return not out_of_rotation()

    eventually(back)
    local.delete(name)


def test_several_instances_take_turns_and_one_that_dies_is_not_asked(local: Local) -> None:
    config = local.config({"model": local.model(), "InitialInstanceCount": 3})
    name = local.endpoint(config)
    pids = [local.ask(name)["pid"] for _ in range(6)]
    assert len(set(pids)) == 3
    assert sorted(pids[:3]) == sorted(pids[3:])
    os.kill(pids[0], signal.SIGKILL)
    eventually(lambda: not running(pids[0]))
    answered = set()
    for _ in range(6):
        try:
            answered.add(local.ask(name)["pid"])
        except ClientError as error:  # it may still be in rotation for a moment
            assert error.response["Error"]["Code"] == "ModelError"
    assert answered >= set(pids) - {pids[0]}
    local.delete(name)


def test_a_deleted_model_and_configuration_leave_the_endpoint_serving(local: Local) -> None:
    model = local.model(environment={"VERSION": "kept"})
    config = local.config({"model": model})
    name = local.endpoint(config)
    local.sagemaker.delete_model(ModelName=model)
    local.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    assert local.ask(name)["version"] == "kept"
    assert local.describe(name)["EndpointConfigName"] == config
    local.delete(name)


def test_requests_that_aws_refuses(local: Local) -> None:
    with pytest.raises(ClientError, match=f'Could not find endpoint configuration "{ARN}:endpoint-config/none".'):
        local.sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="none")
    name = local.serving()
    config = local.describe(name)["EndpointConfigName"]
    with pytest.raises(ClientError, match=f'Cannot create already existing endpoint "{ARN}:endpoint/{name.lower()}".'):
        local.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    with pytest.raises(ClientError, match="Could not find endpoint"):
        local.sagemaker.delete_endpoint(EndpointName="none")
    many = local.config({"model": local.model(), "InitialInstanceCount": 21})
    with pytest.raises(ClientError, match=r"'ml\.m5\.xlarge for endpoint usage' is 20 Instances") as error:
        local.sagemaker.create_endpoint(EndpointName="many", EndpointConfigName=many)
    assert error.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    local.delete(name)


def test_an_endpoint_under_way_is_neither_updated_nor_deleted(local: Local, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    config = local.config({"model": local.model(environment={"WAIT_FOR": str(gate)})})
    name = local.endpoint(config, wait=False)
    calls: list[Any] = [
        lambda: local.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config),
        lambda: local.sagemaker.delete_endpoint(EndpointName=name),
        lambda: local.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredWeight": 1}]
        ),
    ]
    for call in calls:
        with pytest.raises(ClientError, match=f'Cannot update in-progress endpoint "{ARN}:endpoint/{name.lower()}".'):
            call()
    gate.touch()
    assert local.settled(name)["EndpointStatus"] == "InService"
    local.delete(name)


def test_capture_is_recorded_and_said_to_be_stopped(local: Local) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 10,
        "DestinationS3Uri": f"s3://{BUCKET}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    name = local.endpoint(local.config({"model": local.model()}, DataCaptureConfig=capture))
    assert local.describe(name)["DataCaptureConfig"]["CaptureStatus"] == "Stopped"
    local.delete(name)


def test_endpoints_are_listed_by_name_and_status(local: Local) -> None:
    name = local.serving()
    listed = local.sagemaker.list_endpoints(NameContains=name, StatusEquals="InService")["Endpoints"]
    assert [one["EndpointName"] for one in listed] == [name]
    assert listed[0]["EndpointStatus"] == "InService"
    assert local.sagemaker.list_endpoints(NameContains=name, StatusEquals="Failed")["Endpoints"] == []
    local.delete(name)


def test_a_command_that_does_not_exist_is_said(local: Local) -> None:
    local.bind("*/missing:*", ["/no/such/command"])
    image = "123456789012.dkr.ecr.ap-southeast-1.amazonaws.com/missing:1"
    name = local.endpoint(local.config({"model": local.model(container={"Image": image})}))
    assert "there is no such command: /no/such/command" in local.describe(name)["FailureReason"]
    local.delete(name)


def test_a_container_that_never_answers_is_given_up(local: Local) -> None:
    local.bind("*/silent:*", [sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    image = "123456789012.dkr.ecr.ap-southeast-1.amazonaws.com/silent:1"
    name = local.endpoint(local.config({"model": local.model(container={"Image": image})}))
    assert "It did not answer /ping with 200 within 20 s." in local.describe(name)["FailureReason"]
    local.delete(name)


def test_the_deployed_image_is_resolved_to_its_digest(local: Local) -> None:
    local.ecr.create_repository(repositoryName="serve")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "layers": [{"digest": "sha256:" + "0" * 64}]}
    pushed = local.ecr.put_image(repositoryName="serve", imageTag="1", imageManifest=json.dumps(manifest))
    digest = pushed["image"]["imageId"]["imageDigest"]
    name = local.serving()
    (variant,) = local.describe(name)["ProductionVariants"]
    assert variant["DeployedImages"][0]["ResolvedImage"] == f"{IMAGE.removesuffix(':1')}@{digest}"
    local.delete(name)


def test_the_least_busy_instance_is_asked_when_the_configuration_says_so(local: Local, tmp_path: Path) -> None:
    routing = {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    config = local.config({"model": local.model(), "InitialInstanceCount": 2, "RoutingConfig": routing})
    name = local.endpoint(config)
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(local.ask, name, {"touch": str(tmp_path / "begun"), "sleep": 2})
        eventually((tmp_path / "begun").exists)
        asked = {local.ask(name)["pid"] for _ in range(6)}
        assert not busy.done()
        assert asked.isdisjoint({busy.result()["pid"]})
    local.delete(name)


def test_a_name_may_be_given_again_as_soon_as_its_endpoint_is_gone(local: Local) -> None:
    for round_ in "123":
        config = local.config({"model": local.model(environment={"VERSION": round_})})

        def created(config: str = config) -> bool:
            try:
                local.sagemaker.create_endpoint(EndpointName="again", EndpointConfigName=config)
            except ClientError as error:
                assert "Cannot create already existing endpoint" in str(error)
                return False
            return True

        eventually(created)
        assert local.settled("again")["EndpointStatus"] == "InService"
        assert local.ask("again")["version"] == round_
        local.sagemaker.delete_endpoint(EndpointName="again")
