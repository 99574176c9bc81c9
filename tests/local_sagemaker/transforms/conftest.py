"""A local SageMaker in this process, with a model to transform with."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import local_sagemaker.jobs.api
import local_sagemaker.models  # noqa: F401  (they register the handlers)
from tests.local_sagemaker.endpoints.harness import tar
from tests.local_sagemaker.jobs.harness import BUCKET, IMAGE, ROLE, LocalSageMaker, reset_moto

SCRIPT = Path(__file__).with_name("image.py")
GROUP = "/aws/sagemaker/TransformJobs"


class Transforms:
    """A local SageMaker and the notes of its containers."""

    def __init__(self, state: Path, notes: Path) -> None:
        self.notes = notes
        self.state = state
        self.server = LocalSageMaker(state)
        self.server.platform.images.bind(
            IMAGE, [sys.executable, "-S", str(SCRIPT)], {"NOTES": str(notes), "FROM_IMAGE": "1"}, str(notes)
        )
        self.server.start()

    def model(self, name: str = "model", *, isolated: bool = False, **environment: str) -> None:
        uri = self.server.put("model.tar.gz", tar(weights__txt="42"))
        container = {"Image": IMAGE, "ModelDataUrl": uri, "Environment": environment}
        self.server(
            "CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container,
            EnableNetworkIsolation=isolated,
        )  # fmt: skip

    def create(self, name: str, **change: Any) -> None:
        """A job over ``in/`` of the bucket; a member of TransformInput and the like is given by its own name."""
        request: dict[str, Any] = {
            "TransformJobName": name,
            "ModelName": "model",
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in/"}}
            },
            "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        }
        places = {
            **dict.fromkeys(("ContentType", "CompressionType", "SplitType"), request["TransformInput"]),
            **dict.fromkeys(("S3DataType", "S3Uri"), request["TransformInput"]["DataSource"]["S3DataSource"]),
            **dict.fromkeys(("S3OutputPath", "Accept", "AssembleWith"), request["TransformOutput"]),
            "InstanceCount": request["TransformResources"],
        }
        for member, value in change.items():
            places.get(member, request)[member] = value
        self.server("CreateTransformJob", **request)

    def run(self, name: str, **change: Any) -> dict[str, Any]:
        """The description of a job that has ended."""
        self.create(name, **change)
        return self.server.wait(name.lower(), "transform-job")

    def completed(self, name: str, **change: Any) -> dict[str, str]:
        """The outputs of a job that completed, by their place below ``out/``."""
        job = self.run(name, **change)
        assert job["TransformJobStatus"] == "Completed", job.get("FailureReason")
        return self.outputs()

    def outputs(self) -> dict[str, str]:
        keys = self.server.keys("out/")
        return {key.removeprefix("out/"): self.server.read(key).decode("latin-1") for key in keys}

    def requests(self) -> list[dict[str, Any]]:
        """What containers were sent, in the order of arrival."""
        file = self.notes / "requests"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def bodies(self) -> list[str]:
        return [request["body"] for request in self.requests()]

    def starts(self) -> list[dict[str, Any]]:
        """Environment and files of each container at its start."""
        return [json.loads(file.read_text()) for file in sorted(self.notes.glob("start-*"))]


@pytest.fixture
def transforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transforms]:
    for name, value in (("STARTUP_SECONDS", "10"), ("STOP_SECONDS", "3")):
        monkeypatch.setenv(f"LOCAL_SAGEMAKER_HOSTING_{name}", value)
    reset_moto()
    notes = tmp_path / "notes"
    notes.mkdir()
    made = Transforms(tmp_path / "state", notes)
    yield made
    made.server.stop()
