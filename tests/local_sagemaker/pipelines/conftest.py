"""A local SageMaker with pipelines in this process, for each test an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import local_sagemaker.jobs.api
import local_sagemaker.models
import local_sagemaker.pipelines.api
import local_sagemaker.registry
import local_sagemaker.tags  # noqa: F401  (all of these register handlers)
from tests.local_sagemaker.jobs.harness import IMAGE, reset_moto
from tests.local_sagemaker.pipelines.harness import PipelineSageMaker


@pytest.fixture
def sagemaker(tmp_path: Path) -> Iterator[PipelineSageMaker]:
    reset_moto()
    server = PipelineSageMaker(tmp_path / "state")
    server.platform.images.bind(IMAGE, ["/bin/sh", "-c", "true"], {}, str(tmp_path))
    server.start()
    yield server
    server.stop()
