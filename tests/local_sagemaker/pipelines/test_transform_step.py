"""A Transform step: a job in the container of a Model step's model, cached by AWS's attributes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import local_sagemaker.models  # noqa: F401  (registers the handlers)
from local_sagemaker.errors import ValidationException
from tests.local_sagemaker.endpoints.harness import tar
from tests.local_sagemaker.pipelines.harness import BUCKET, IMAGE, ROLE, PipelineSageMaker, get, join
from tests.local_sagemaker.transforms.conftest import SCRIPT

SERVE = IMAGE.replace("sh:1", "serve:1")


@pytest.fixture
def steps(sagemaker: PipelineSageMaker, tmp_path: Path) -> list[dict[str, Any]]:
    sagemaker.platform.images.bind(SERVE, [sys.executable, "-S", str(SCRIPT)], {"NOTES": str(tmp_path)}, str(tmp_path))
    container = {"Image": SERVE, "ModelDataUrl": sagemaker.put("model.tar.gz", tar(weights__txt="42"))}
    model = {
        "Name": "Model", "Type": "Model", "Arguments": {"PrimaryContainer": container, "ExecutionRoleArn": ROLE},
    }  # fmt: skip
    sagemaker("CreateModel", ModelName="fixed", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    return [model, transform_step(get("Steps.Model.ModelName"))]


def transform_step(model: Any, **more: Any) -> dict[str, Any]:
    return {
        "Name": "Score",
        "Type": "Transform",
        "Arguments": {
            "ModelName": model,
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": get("Parameters.In")}}
            },
            "TransformOutput": {
                "S3OutputPath": join(f"s3://{BUCKET}/runs", get("Execution.PipelineExecutionId"), on="/")
            },
            "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        },
        **more,
    }


PARAMETERS = [{"Name": "In", "Type": "String", "DefaultValue": f"s3://{BUCKET}/in/"}]


def test_the_model_of_a_step_scores_a_prefix(sagemaker: PipelineSageMaker, steps: list[dict[str, Any]]) -> None:
    sagemaker.put("in/a", "x")
    sagemaker.create("Scores", steps, PARAMETERS)
    arn, execution = sagemaker.run("Scores")
    assert execution["PipelineExecutionStatus"] == "Succeeded", execution
    job = sagemaker.steps(arn)["Score"]["Metadata"]["TransformJob"]["Arn"]
    described = sagemaker("DescribeTransformJob", TransformJobName=job.rsplit("/", 1)[1])
    assert described["TransformJobStatus"] == "Completed"
    assert sagemaker.read(f"runs/{arn.rsplit('/', 1)[1]}/a.out") == b"<x>"


def test_a_failed_job_fails_the_step(sagemaker: PipelineSageMaker, steps: list[dict[str, Any]]) -> None:
    sagemaker.put("in/a", "bad")
    sagemaker.create("Fails", steps, PARAMETERS)
    arn, execution = sagemaker.run("Fails")
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert "ClientError: See job logs" in sagemaker.steps(arn)["Score"]["FailureReason"]


def test_outputs_and_resources_do_not_count_for_the_cache(sagemaker: PipelineSageMaker, steps: Any) -> None:
    sagemaker.put("in/a", "x")
    sagemaker.put("more/a", "x")
    cached = {"CacheConfig": {"Enabled": True, "ExpireAfter": "PT1H"}}
    sagemaker.create("Cached", [transform_step("fixed", **cached)], PARAMETERS)
    first, _ = sagemaker.run("Cached")
    second, _ = sagemaker.run("Cached")
    third, _ = sagemaker.run("Cached", {"In": f"s3://{BUCKET}/more/"})
    hits = [sagemaker.steps(arn)["Score"].get("CacheHitResult", {}) for arn in (first, second, third)]
    assert hits == [{}, {"SourcePipelineExecutionArn": first}, {}]


def test_a_property_that_no_transform_job_has(sagemaker: PipelineSageMaker, steps: list[dict[str, Any]]) -> None:
    steps.append({"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": get("Steps.Score.Output")}})
    with pytest.raises(ValidationException, match="which DescribeTransformJob does not answer"):
        sagemaker.create("Odd", steps, PARAMETERS)
