"""What ``make run`` does on the sample, three times, with the shipped settings; then one image of a folder changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from contracts import source
from contracts.settings import DEFAULT_FILE, Settings, load
from tests.e2e.conftest import Factory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


class Observed:
    """What plain boto3 sees of a factory on the local SageMaker."""

    def __init__(self, factory: Factory) -> None:
        server = factory.json("local", "up")
        self.session = boto3.Session("test", "test", region_name=server["region"])
        self.url = server["endpoint_url"]
        self.names = load(factory.settings, "local").names

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.url)

    def definition(self) -> str:
        answer: str = self.client("sagemaker").describe_pipeline(PipelineName=self.names.pipeline)["PipelineDefinition"]
        return answer

    def packages(self) -> list[tuple[str, str]]:
        found = self.client("sagemaker").list_model_packages(ModelPackageGroupName=self.names.package_group)
        return [(each["ModelPackageArn"], each["ModelApprovalStatus"]) for each in found["ModelPackageSummaryList"]]

    def endpoint(self) -> dict[str, Any]:
        """All that an update would change, times included."""
        about: dict[str, Any] = self.client("sagemaker").describe_endpoint(EndpointName=self.names.endpoint)
        return {key: about[key] for key in ("EndpointConfigName", "EndpointStatus", "CreationTime", "LastModifiedTime")}

    def objects(self, bucket: str, prefix: str) -> dict[str, str]:
        """Key -> ETag of everything below a prefix."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", ())}


def steps(run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in run["steps"]}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """A folder with the settings that ship, as ``make run`` finds them."""
    folder = tmp_path_factory.mktemp("sample")
    shutil.copy(source.root() / DEFAULT_FILE, folder)
    factory = Factory(folder, "cv-factory")
    yield factory
    factory.command("local", "down", check=False)


def test_the_sample_passes_the_shipped_gate_and_runs_again_from_the_cache(sample: Factory) -> None:
    seen = Observed(sample)
    first = sample.json("run", "--demo")
    settings: Settings = load(sample.settings, "local")
    assert first["status"] == "Succeeded" and first["outcome"] == "registered"
    assert first["protocol"] == settings.data.protocol == "group"
    metrics = first["metrics"]
    assert metrics["balanced_accuracy"]["value"] >= settings.gate.min["balanced_accuracy"]
    assert all(each["low"] <= each["value"] <= each["high"] for each in metrics.values())
    assert first["model_package_status"] == "Approved" and first["endpoint_name"] == seen.names.endpoint
    assert set(first["prediction"]["probabilities"]) == {"defective", "functional"}
    assert "<html" in Path(first["report"]).read_text(encoding="utf-8")[:500].lower()
    assert Path(first["sheet"]).stat().st_size > 10_000
    before = (seen.definition(), seen.packages(), seen.endpoint())
    assert before[1] == [(first["model_package_arn"], "Approved")] and before[2]["EndpointStatus"] == "InService"

    # The second run meets a champion for the first time, so Evaluate compares; the third finds that done too.
    second, third = sample.json("run", "--demo"), sample.json("run", "--demo")
    for run, cached in ((second, ("Preprocess", "Train")), (third, ("Preprocess", "Train", "Evaluate"))):
        assert run["status"] == "Succeeded" and run["outcome"] in ("nothing-new", "known")
        assert all(steps(run)[name]["cache_hit"] for name in cached), steps(run)
        assert "Register" not in steps(run)
        assert run["prediction"] == first["prediction"] and run["dataset_uri"] == first["dataset_uri"]
    assert (seen.definition(), seen.packages(), seen.endpoint()) == before


def test_one_changed_image_is_a_new_prefix_and_a_miss(make_factory: Callable[..., Factory]) -> None:
    factory = make_factory("changed")
    seen = Observed(factory)
    first = factory.json("run", "--demo")
    bucket, _, prefix = first["dataset_uri"].removeprefix("s3://").partition("/")
    before = seen.objects(bucket, prefix)
    image = factory.folder / "images" / "whole" / "whole-003.png"
    Image.open(image).rotate(180).save(image)
    os.utime(image)

    second = factory.json("run")
    assert second["dataset_uri"] != first["dataset_uri"] and before == seen.objects(bucket, prefix) != {}
    assert not any(steps(second)[name]["cache_hit"] for name in ("Preprocess", "Train", "Evaluate"))
    assert second["outcome"] == "registered" and second["model_package_status"] == "PendingManualApproval"
    served = seen.endpoint()
    assert served["EndpointStatus"] == "InService" and len(seen.packages()) == 2
