"""A server that stops or dies under a transform job: the job fails and says why, no process is left, others go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.local_sagemaker.endpoints.harness import BUCKET, IMAGE, Local
from tests.local_sagemaker.endpoints.test_restart import containers, kill
from tests.local_sagemaker.transforms.conftest import SCRIPT
from tests.waiting import eventually


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Local]:
    local = Local(tmp_path / "state")
    local.start()
    try:
        local.prepare()
        local.bind(IMAGE, [sys.executable, "-S", str(SCRIPT)])
        local.s3.put_object(Bucket=BUCKET, Key="in/a", Body=b"wait")
        yield local
    finally:
        local.stop()
    assert containers(local) == []


@pytest.mark.parametrize("end", [Local.stop, kill], ids=["stopped", "killed"])
def test_the_job_fails_and_the_waiting_one_runs(mortal: Local, tmp_path: Path, end: Callable[[Local], None]) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    model = mortal.model(environment={"NOTES": str(notes)})
    for name in ("one", "two", "three"):  # two run at a time
        mortal.sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=model,
            TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in/"}}},
            TransformOutput={"S3OutputPath": f"s3://{BUCKET}/out/{name}"},
            TransformResources={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        )
    eventually(lambda: (notes / "requests").exists() and len((notes / "requests").read_text().splitlines()) == 2)
    end(mortal)
    eventually(lambda: containers(mortal) == [])
    mortal.start()
    for name in ("one", "two"):
        job = mortal.sagemaker.describe_transform_job(TransformJobName=name)
        assert job["TransformJobStatus"] == "Failed"
        assert job["FailureReason"].endswith("The local SageMaker ended while this job was running.")
    (notes / "go").touch()

    def completed() -> bool:
        status = mortal.sagemaker.describe_transform_job(TransformJobName="three")["TransformJobStatus"]
        assert status in ("InProgress", "Completed")
        return bool(status == "Completed")

    eventually(completed)
    stored = mortal.s3.list_objects_v2(Bucket=BUCKET, Prefix="out/")["Contents"]
    assert [one["Key"] for one in stored] == ["out/three/a.out"]
    assert containers(mortal) == []
