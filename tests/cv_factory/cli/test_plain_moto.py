"""What needs only the control plane works against plain moto; what does not says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

import deployment
from contracts import source
from contracts.names import SETTINGS_KEY
from contracts.release import ReleaseSettings
from contracts.settings import load
from cv_factory.operations import local_base
from tests.cv_factory.cli.conftest import Call
from tests.cv_factory.helpers import Cloud

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DEFINITION = json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": []})


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The SDK's part is tested elsewhere and costs seconds: here a build is counted."""
    import pipeline_definition

    calls: list[Any] = []

    def build(settings: Any) -> str:
        calls.append(settings)
        return DEFINITION

    monkeypatch.setattr(pipeline_definition, "build", build)
    return calls


def _push_images(aws: Cloud) -> None:
    """Put an image manifest under the source tags, as a build does."""
    ecr = aws.client("ecr")
    for image in ("training", "inference"):
        ecr.create_repository(repositoryName=f"shapes-dev/{image}")
        ecr.put_image(
            repositoryName=f"shapes-dev/{image}",
            imageTag=source.source_tag(image),
            imageManifest=json.dumps(
                {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"digest": image}, "layers": []}
            ),
            imageManifestMediaType=MANIFEST,
        )


def test_import_upsert_start_status_stop(aws: Cloud, call: Call, photos: Any, built: list[Any], folder: Path) -> None:
    photos()
    _push_images(aws)
    answer = call("--env", "dev", "data", "import", "photos")
    assert answer.code == 0
    assert "account 123456789012, region eu-west-1" in answer.out and aws.url in answer.out
    assert "cat" in answer.out and "Dataset s3://shapes-dev-data-123456789012/datasets/" in answer.out

    assert call("--env", "dev", "pipeline", "upsert", "--json").document["action"] == "created"
    assert call("--env", "dev", "pipeline", "upsert", "--json").document["action"] == "unchanged"
    assert len(built) == 1  # the definition is kept in the state folder
    role = aws.client("sagemaker").describe_pipeline(PipelineName="shapes-dev")["RoleArn"]
    assert role == "arn:aws:iam::123456789012:role/shapes-dev-pipeline"

    started = call("--env", "dev", "pipeline", "start", "--json")
    assert started.code == 0, started.err
    arn = started.document["execution_arn"]
    given = aws.client("sagemaker").list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    values = {item["Name"]: item["Value"] for item in given["PipelineParameters"]}
    assert values["DatasetUri"].startswith("s3://shapes-dev-data-123456789012/datasets/")
    assert values["CheckpointUri"].startswith("s3://shapes-dev-artifacts-123456789012/checkpoints/")
    assert values["TrainingImageDigest"].startswith("sha256:") and values["Approval"] == "manual"

    status = call("--env", "dev", "status")
    assert status.code == 1
    assert "does not know ListPipelineExecutionSteps" in status.err and "cv-factory local up" in status.err

    stopped = call("--env", "dev", "pipeline", "stop", "--json")  # moto ends an execution the moment it starts
    assert stopped.document == {"execution_arn": arn, "stopping": False}


def test_changed_definition_updates_the_pipeline(aws: Cloud, call: Call, built: list[Any], folder: Path) -> None:
    assert call("--env", "dev", "pipeline", "upsert", "--json").document["action"] == "created"
    text = (folder / "factory.yaml").read_text(encoding="utf-8")
    (folder / "factory.yaml").write_text(text + "training: {max_minutes: 90}\n", encoding="utf-8")
    assert call("--env", "dev", "pipeline", "upsert", "--json").document["action"] == "unchanged"
    assert len(built) == 2
    aws.client("sagemaker").update_pipeline(PipelineName="shapes-dev", PipelineDefinition="{}")
    assert call("--env", "dev", "pipeline", "upsert", "--json").document["action"] == "updated"


def test_start_without_images_says_how_they_get_there(aws: Cloud, call: Call, photos: Any) -> None:
    photos()
    call("--env", "dev", "data", "import", "photos")
    answer = call("--env", "dev", "pipeline", "start")
    assert answer.code == 1
    assert f"shapes-dev/training:{source.source_tag('training')}, is not in the registry" in answer.err
    assert "make images ENV=dev" in answer.err


def test_start_without_data_or_pipeline(aws: Cloud, call: Call, photos: Any) -> None:
    answer = call("--env", "dev", "pipeline", "start")
    assert answer.code == 1 and "./photos is not imported yet" in answer.err
    photos()
    call("--env", "dev", "data", "import", "photos")
    _push_images(aws)
    answer = call("--env", "dev", "pipeline", "start")
    assert answer.code == 1 and "there is no pipeline shapes-dev" in answer.err and "pipeline upsert" in answer.err


def test_automatic_approval_by_option(aws: Cloud, call: Call, photos: Any, built: list[Any]) -> None:
    photos()
    call("--env", "dev", "data", "import", "photos")
    _push_images(aws)
    call("--env", "dev", "pipeline", "upsert")
    arn = call("--env", "dev", "pipeline", "start", "--approval", "automatic", "--json").document["execution_arn"]
    given = aws.client("sagemaker").list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    assert {"Name": "Approval", "Value": "automatic"} in given["PipelineParameters"]
    answer = call("--env", "dev", "pipeline", "start", "--approval", "perhaps")
    assert answer.code == 2 and "manual, automatic" in answer.err


def test_a_start_in_a_network_of_its_own_takes_the_subnets_of_the_base(
    aws: Cloud, call: Call, photos: Any, built: list[Any], folder: Path
) -> None:
    """The definition has parameters for them; before the base has the network, nothing is started."""
    photos()
    call("--env", "dev", "data", "import", "photos")
    file, session = folder / "factory.yaml", boto3.Session(region_name=aws.region)
    plain = file.read_text(encoding="utf-8")

    def base(network: str) -> ReleaseSettings:
        file.write_text(f"{plain}network: {network}\n", encoding="utf-8")
        settings = load(file, "dev")
        local_base.ensure(settings, session)
        return deployment.read_settings(session, settings.names.artifacts(SETTINGS_KEY))

    base("{vpc: none}")
    file.write_text(plain + "network: {vpc: create}\n", encoding="utf-8")
    early = call("--env", "dev", "pipeline", "start")
    assert early.code == 2 and "the base has no two subnets" in early.err and "infra apply" in early.err
    made = base("{vpc: create}").network
    call("--env", "dev", "pipeline", "upsert")
    arn = call("--env", "dev", "pipeline", "start", "--json").document["execution_arn"]
    given = aws.client("sagemaker").list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    values = {item["Name"]: item["Value"] for item in given["PipelineParameters"]}
    assert [values["SubnetA"], values["SubnetB"]] == made["subnets"]
    assert [values["SecurityGroup"]] == made["security_groups"]

    base("{vpc: create, cidr: 10.9.0.0/16}")
    late = call("--env", "dev", "pipeline", "start", "--retry", arn)
    assert late.code == 2 and f"no longer the base's: SubnetA {values['SubnetA']}" in late.err
    assert "pipeline start" in late.err

    aws.client("s3").delete_object(Bucket="shapes-dev-artifacts-123456789012", Key=SETTINGS_KEY)
    without = call("--env", "dev", "pipeline", "start")
    assert without.code == 1 and "release/settings.json is missing" in without.err and "infra apply" in without.err


def test_unknown_execution(aws: Cloud, call: Call, built: list[Any]) -> None:
    call("--env", "dev", "pipeline", "upsert")
    answer = call("--env", "dev", "status", "abcdefghijkl")
    assert answer.code == 2 and "no execution 'abcdefghijkl'" in answer.err
    answer = call("--env", "dev", "status")
    assert answer.code == 2 and "has not run yet" in answer.err


def test_release_verbs_without_a_base_say_what_makes_it(aws: Cloud, call: Call) -> None:
    aws.client("s3").create_bucket(
        Bucket="shapes-dev-artifacts-123456789012", CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    answer = call("--env", "dev", "approve")
    assert answer.code == 1 and "release/settings.json is missing" in answer.err and "infra apply" in answer.err


def test_predict_without_endpoint_or_file(aws: Cloud, call: Call, folder: Path) -> None:
    assert call("--env", "dev", "predict", "nothing.png").code == 2
