"""The local SageMaker's parts in this process, without its web server: what tests of jobs and pipelines run on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_sagemaker import api, moto_gaps
from local_sagemaker.jobs import Jobs
from local_sagemaker.platform import Platform

ACCOUNT, REGION = "123456789012", "ap-southeast-1"
CALLER = f"arn:aws:iam::{ACCOUNT}:user/someone"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/jobs"
BUCKET = "tiny-bucket"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/sh:1"
#: A test that waits longer than this has found a bug.
PATIENCE = 30.0

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


class LocalSageMaker:
    """One server's parts on a state folder. ``sagemaker("DescribeTrainingJob", TrainingJobName="x")`` calls it."""

    def __init__(self, state_dir: Path, parallel: int = 2) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.state_dir = state_dir
        self.platform = Platform(state_dir, ACCOUNT, REGION)
        self.platform.endpoint_url = "http://127.0.0.1:9"
        moto_gaps.install(self.platform)
        self.platform.state.load()
        self.platform.children.reap()
        self.platform.jobs = self.jobs = Jobs(self.platform, parallel=parallel)
        self.jobs.grace = 5.0
        self.jobs.sync_interval = 0.05
        self._ended: set[tuple[str, str]] = set()
        self._news = threading.Condition()
        self.jobs.on_end(self._note)

    def start(self) -> None:
        self.jobs.start()
        self.platform.events.start()

    def stop(self) -> None:
        self.jobs.stop()
        self.platform.events.stop()
        self.platform.lambdas.stop()
        self.platform.children.stop(grace=0)
        self.platform.metrics.close()
        self.platform.store.close()
        moto_gaps.uninstall()

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        return api.perform(api.Call(self.platform, operation, ACCOUNT, REGION, CALLER, request))

    def _note(self, key: tuple[str, str, str]) -> None:
        with self._news:
            self._ended.add((key[0], key[2]))
            self._news.notify_all()

    def wait(self, name: str, kind: str = "processing-job") -> dict[str, Any]:
        """The description of a job once it has ended."""
        with self._news:
            assert self._news.wait_for(lambda: (kind, name) in self._ended, PATIENCE), f"{name} did not end"
        if kind == "training-job":
            return self("DescribeTrainingJob", TrainingJobName=name)
        if kind == "transform-job":
            return self("DescribeTransformJob", TransformJobName=name)
        return self("DescribeProcessingJob", ProcessingJobName=name)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that sends no word when it happens."""
        pause = threading.Event()
        for _ in range(int(PATIENCE / 0.02)):
            if condition():
                return
            pause.wait(0.02)
        raise AssertionError(f"{what} never happened")

    def wait_for_file(self, path: Path) -> None:
        """Until a job has written a file (its sign that it is where the test wants it)."""
        self.until(path.exists, f"the file {path}")

    def put(self, key: str, data: str | bytes) -> str:
        uri = f"s3://{BUCKET}/{key}"
        self.platform.objects.write(uri, data.encode() if isinstance(data, str) else data)
        return uri

    def keys(self, prefix: str = "") -> list[str]:
        return [item.key for item in self.platform.objects.list(f"s3://{BUCKET}/{prefix}")]

    def read(self, key: str) -> bytes:
        return self.platform.objects.read(f"s3://{BUCKET}/{key}")

    def events(self, detail_type: str) -> list[dict[str, Any]]:
        """What was published, oldest first."""
        found = [item["event"] for item in self.platform.events.recent(1000)][::-1]
        return [event for event in found if event["detail-type"] == detail_type]

    def log(self, group: str, job: str) -> list[str]:
        from moto.logs.models import logs_backends

        streams = logs_backends[ACCOUNT][REGION].groups[group].streams
        return [
            event.message
            for name, stream in sorted(streams.items())
            if name.startswith(f"{job}/")
            for event in stream.events
        ]


def reset_moto() -> None:
    """An empty account with one bucket and one role."""
    from moto.iam.models import iam_backends
    from moto.logs.models import logs_backends
    from moto.s3.models import s3_backends

    for backends in (s3_backends, iam_backends, logs_backends):
        for backend in list(backends[ACCOUNT].values()):
            backend.reset()
    s3_backends[ACCOUNT]["aws"].create_bucket(BUCKET, REGION)
    iam_backends[ACCOUNT]["aws"].create_role(
        role_name="jobs", assume_role_policy_document=json.dumps(_TRUST), path="/", permissions_boundary=None,
        description="", tags=[], max_session_duration="3600",
    )  # fmt: skip


def processing(name: str, script: str, **more: Any) -> dict[str, Any]:
    """A CreateProcessingJob request that runs a shell script."""
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["/bin/sh", "-c", script]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 10}
        },
        **more,
    }


def training(name: str, script: str, **more: Any) -> dict[str, Any]:
    """A CreateTrainingJob request that runs a shell script."""
    algorithm = {
        "TrainingImage": IMAGE, "TrainingInputMode": "File", "ContainerEntrypoint": ["/bin/sh", "-c", script],
        **more.pop("AlgorithmSpecification", {}),
    }  # fmt: skip
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": algorithm,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models/"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **more,
    }


def s3_input(name: str, uri: str, **more: Any) -> dict[str, Any]:
    path = f"/opt/ml/processing/input/{name}"
    source = {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File", **more}
    return {"InputName": name, "S3Input": source}


def s3_output(name: str, uri: str, mode: str = "EndOfJob") -> dict[str, Any]:
    target = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/output/{name}", "S3UploadMode": mode}
    return {"OutputName": name, "S3Output": target}


def channel(name: str, uri: str, **source: Any) -> dict[str, Any]:
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, **source}}}
