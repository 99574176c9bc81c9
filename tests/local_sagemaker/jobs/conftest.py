"""A local SageMaker in this process, for each test an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import local_sagemaker.jobs.api  # noqa: F401  (registers the handlers)
from tests.local_sagemaker.jobs.harness import IMAGE, LocalSageMaker, reset_moto


@pytest.fixture
def sagemaker(tmp_path: Path) -> Iterator[LocalSageMaker]:
    reset_moto()
    server = LocalSageMaker(tmp_path / "state")
    server.platform.images.bind(
        IMAGE, ["/bin/sh", "-c", "echo entrypoint $0 $@"], {"IMAGE_SAYS": "hello"}, str(tmp_path)
    )
    server.start()
    yield server
    server.stop()
