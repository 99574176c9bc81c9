"""The whole way in plain boto3: what works against SageMaker works against the local one, with no code of ours.

The factory's command line appears twice, before the first call: ``local up`` and ``data import`` (and the definition is
built beforehand, as CI builds it). From there on every step is a boto3 call that AWS documents.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from tests.e2e.conftest import Factory

DEADLINE = 1200


def wait_for(what: str, poll: Callable[[], Any]) -> Any:
    """The first true answer of ``poll``; an error that names ``what`` after the deadline."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if answer := poll():
            return answer
        time.sleep(0.3)
    raise AssertionError(f"{what} did not happen within {DEADLINE} s")


@pytest.fixture(scope="module")
def factory(make_factory: Callable[..., Factory]) -> Factory:
    return make_factory("plain", {"broken": 24, "dusty": 20, "whole": 30})


@pytest.mark.timeout(600)
def test_from_definition_to_answer(factory: Factory) -> None:
    definition = factory.command("pipeline", "build").stdout
    server = factory.json("local", "up")
    data = factory.json("data", "import", "./images")

    # --- boto3 only from here ---
    session = boto3.Session("test", "test", region_name=server["region"])

    def client(service: str) -> Any:
        return session.client(service, endpoint_url=server["endpoint_url"])

    account, name = server["account_id"], "plain-local"
    sagemaker, runtime, s3, ecr = client("sagemaker"), client("sagemaker-runtime"), client("s3"), client("ecr")
    digests = {
        image: ecr.describe_images(repositoryName=f"{name}/{image}")["imageDetails"][0]["imageDigest"]
        for image in ("training", "inference")
    }

    created = sagemaker.create_pipeline(
        PipelineName=name, PipelineDefinition=definition, ClientRequestToken="t" * 32,
        RoleArn=f"arn:aws:iam::{account}:role/{name}-pipeline",
    )  # fmt: skip
    assert created["PipelineArn"].endswith(f":pipeline/{name}")
    execution = sagemaker.start_pipeline_execution(
        PipelineName=name,
        PipelineParameters=[
            {"Name": "DatasetUri", "Value": data["dataset_uri"]},
            {"Name": "CheckpointUri", "Value": f"s3://{name}-artifacts-{account}/checkpoints/by-hand/"},
            {"Name": "TrainingImageDigest", "Value": digests["training"]},
            {"Name": "InferenceImageDigest", "Value": digests["inference"]},
            {"Name": "GitSha", "Value": "0" * 40},
        ],
    )["PipelineExecutionArn"]

    def ended() -> str | None:
        about = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
        return None if about["PipelineExecutionStatus"] in ("Executing", "Stopping") else about

    about: Any = wait_for("the execution's end", ended)
    steps = {
        step["StepName"]: step
        for page in sagemaker.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=execution)
        for step in page["PipelineExecutionSteps"]
    }
    assert about["PipelineExecutionStatus"] == "Succeeded", (about, steps)
    assert {step["StepStatus"] for step in steps.values()} == {"Succeeded"}
    assert {"Preprocess", "Train", "Champion", "Evaluate", "Keep", "Register", "Publish"} <= set(steps)
    assert "Deploy" not in steps  # approval is manual
    training = sagemaker.describe_training_job(
        TrainingJobName=steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[-1]
    )
    assert training["TrainingJobStatus"] == "Completed"
    assert "validation:balanced_accuracy" in {metric["MetricName"] for metric in training["FinalMetricDataList"]}

    packages = sagemaker.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"]
    assert [package["ModelApprovalStatus"] for package in packages] == ["PendingManualApproval"]
    package = sagemaker.describe_model_package(ModelPackageName=packages[0]["ModelPackageArn"])
    assert package["MetadataProperties"]["CommitId"] == "0" * 40
    assert "/packages/" in package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    assert json.loads(package["ModelCard"]["ModelCardContent"])
    with pytest.raises(sagemaker.exceptions.ClientError):
        sagemaker.describe_endpoint(EndpointName=name)

    sagemaker.update_model_package(
        ModelPackageArn=package["ModelPackageArn"], ModelApprovalStatus="Approved", ApprovalDescription="by hand"
    )

    def in_service() -> bool:
        found = sagemaker.list_endpoints(NameContains=name)["Endpoints"]
        if not found:
            return False
        status = sagemaker.describe_endpoint(EndpointName=name)
        assert status["EndpointStatus"] in ("Creating", "InService"), status.get("FailureReason")
        return bool(status["EndpointStatus"] == "InService")

    wait_for("the endpoint in service", in_service)

    split = s3.get_object(
        Bucket=data["dataset_uri"].split("/")[2], Key=data["dataset_uri"].split("/", 3)[3] + "split.csv"
    )
    held_out = next(line.split(",")[0] for line in split["Body"].read().decode().splitlines() if line.endswith(",test"))
    answer = runtime.invoke_endpoint(
        EndpointName=name, ContentType="image/png", Body=(factory.folder / "images" / held_out).read_bytes()
    )
    prediction = json.loads(answer["Body"].read())
    assert prediction["predicted_label"] in ("broken", "dusty", "whole")
    assert prediction["confidence"] == pytest.approx(max(prediction["probabilities"].values()), abs=1e-6)
    assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        runtime.invoke_endpoint(EndpointName=name, ContentType="image/png", Body=b"not an image")
    assert refused.value.response["OriginalStatusCode"] == 400

    check_batch_transform(sagemaker, s3, factory, name, account)

    # An endpoint that is deleted while its package is approved comes back: taking the approval back comes first.
    sagemaker.update_model_package(ModelPackageArn=package["ModelPackageArn"], ModelApprovalStatus="Rejected")
    config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.delete_endpoint_config(EndpointConfigName=config)
    wait_for("the endpoint's end", lambda: not sagemaker.list_endpoints(NameContains=name)["Endpoints"])
    sagemaker.delete_pipeline(PipelineName=name, ClientRequestToken="d" * 32)
    assert sagemaker.list_pipelines(PipelineNamePrefix=name)["PipelineSummaries"] == []


def check_batch_transform(sagemaker: Any, s3: Any, factory: Factory, name: str, account: str) -> None:
    """The endpoint's model over a folder of images: one answer an image, the same as the endpoint gives.

    One file that is no image fails the job, by name, and costs only its own answer.
    """
    config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    model = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]["ModelName"]
    bucket = f"many-images-{account}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    images = sorted((factory.folder / "images").glob("*/*.png"))
    assert len(images) == 74
    for image in images:
        s3.put_object(Bucket=bucket, Key=f"in/{image.parent.name}/{image.name}", Body=image.read_bytes())

    def run(job: str) -> Any:
        sagemaker.create_transform_job(
            TransformJobName=job,
            ModelName=model,
            TransformInput={
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/in/"}},
                "ContentType": "application/x-image",
            },
            TransformOutput={"S3OutputPath": f"s3://{bucket}/{job}", "Accept": "application/json"},
            TransformResources={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        )
        return wait_for("the end of the transform job", lambda: _ended_job(sagemaker, job))

    def answers(job: str) -> dict[str, Any]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{job}/")
        keys = [found["Key"] for page in pages for found in page["Contents"]]
        return {
            key.removeprefix(f"{job}/"): json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            for key in keys
        }

    job = run("all-images")
    assert job["TransformJobStatus"] == "Completed", job["FailureReason"]
    found = answers("all-images")
    assert set(found) == {f"{image.parent.name}/{image.name}.out" for image in images}
    assert {one["predicted_label"] for one in found.values()} <= {"broken", "dusty", "whole"}

    s3.put_object(Bucket=bucket, Key="in/broken/readme.txt", Body=b"no image")
    job = run("with-a-text")
    assert job["TransformJobStatus"] == "Failed"
    assert "1 of 75 inputs failed" in job["FailureReason"] and "bad_image" in job["FailureReason"]
    assert answers("with-a-text") == found


def _ended_job(sagemaker: Any, job: str) -> Any:
    about = sagemaker.describe_transform_job(TransformJobName=job)
    return None if about["TransformJobStatus"] in ("InProgress", "Stopping") else about
