"""What the Docker runtime decides without an engine: memory, names of images, what is said where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker import control, runtimes
from local_sagemaker.images import Unbound
from local_sagemaker.runtimes import docker
from local_sagemaker.runtimes.engine import Engine, NoEngine
from local_sagemaker.runtimes.instance_types import memory_bytes

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("instance_type", "gib"),
    [
        ("ml.m5.large", 8), ("ml.m5.xlarge", 16), ("ml.m5d.24xlarge", 384), ("ml.m6i.2xlarge", 32), ("ml.c5.xlarge", 8),
        ("ml.c5.9xlarge", 72), ("ml.c4.2xlarge", 15), ("ml.r5.large", 16), ("ml.t2.medium", 4), ("ml.t3.2xlarge", 32),
        ("ml.g4dn.xlarge", 16), ("ml.g5.12xlarge", 192), ("ml.m4.10xlarge", 160), ("ml.p4d.24xlarge", None),
        ("ml.g5.48xlarge", None), ("local", None), ("", None), ("ml.m5", None), ("ml.t3.24xlarge", None),
    ],
)  # fmt: skip
def test_memory_of_an_instance_type(instance_type: str, gib: int | None) -> None:
    assert memory_bytes(instance_type) == (None if gib is None else gib * 2**30)


class Asked:
    """Stands for an engine that has some images."""

    def __init__(self, *images: str) -> None:
        self.images = images

    def has_image(self, name: str) -> bool:
        return name in self.images


def runtime(tmp_path: Path, *images: str) -> docker.DockerRuntime:
    engine: Any = Asked(*images)
    children: Any = None

    def tags(region: str, repository: str, digest: str) -> list[str]:
        return ["src-1"] if (region, repository, digest) == ("eu-west-1", "shop/serve", DIGEST) else []

    return docker.DockerRuntime(engine, children, tmp_path, tags, "Build it.")


@pytest.mark.parametrize(
    ("uri", "has", "found"),
    [
        (f"{ECR}/shop/serve:1", f"{ECR}/shop/serve:1", f"{ECR}/shop/serve:1"),
        (f"{ECR}/shop/serve:1", "shop/serve:1", "shop/serve:1"),
        (f"{ECR}/shop/serve", "shop/serve:latest", "shop/serve:latest"),
        (f"{ECR}/shop/serve@{DIGEST}", "shop/serve:src-1", "shop/serve:src-1"),
        ("plain:1", "plain:1", "plain:1"),
    ],
)
def test_an_image_is_found_by_its_uri_or_without_its_registry(tmp_path: Path, uri: str, has: str, found: str) -> None:
    assert runtime(tmp_path, has).image(uri).name == found


@pytest.mark.parametrize("uri", [f"{ECR}/shop/serve:1", f"{ECR}/shop/serve@sha256:{'b' * 64}", "other:1"])
def test_an_image_that_is_not_there_says_what_to_do(tmp_path: Path, uri: str) -> None:
    with pytest.raises(Unbound, match=r"^The Docker engine has no image .*Build it\.$"):
        runtime(tmp_path, "shop/serve:2").image(uri)


def test_without_a_client_or_an_engine_the_start_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER", "no-such-client")
    with pytest.raises(control.CannotStart, match="no-such-client is not on PATH\nInstall Docker Engine"):
        control.start(tmp_path / "state", "123456789012", "eu-west-1", runtime=runtimes.DOCKER)
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    client.chmod(0o755)
    monkeypatch.setenv("DOCKER", str(client))
    with pytest.raises(control.CannotStart, match="Cannot connect to the Docker daemon\nStart it"):
        control.start(tmp_path / "state", "123456789012", "eu-west-1", runtime=runtimes.DOCKER)


def test_an_engine_survives_json_and_keeps_only_what_its_client_reads(tmp_path: Path) -> None:
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\necho 20\n")
    client.chmod(0o755)
    engine = Engine.open({"DOCKER": str(client), "DOCKER_HOST": "unix:///x", "AWS_SECRET_ACCESS_KEY": "secret"})
    assert engine.environment == {"DOCKER_HOST": "unix:///x"}
    assert Engine.from_json(json.loads(json.dumps(engine.to_json()))) == engine
    with pytest.raises(NoEngine):
        Engine.open({"PATH": str(tmp_path / "empty")})


def test_a_stop_whose_engine_is_gone_says_what_may_be_left(tmp_path: Path) -> None:
    record = {"client": "/no/such/docker", "environment": {}}
    (tmp_path / docker.RECORD).write_text(json.dumps(record))
    with pytest.raises(control.CannotStop, match="may be left in the Docker engine"):
        control.stop(tmp_path)
