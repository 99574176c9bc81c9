"""An import into a moto bucket, as the command makes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cv_factory.operations.data.importing import Imported, import_data
from tests.cv_factory.helpers import Cloud, Heard, make_settings

Import = Callable[..., Imported]


@pytest.fixture
def bring(tmp_path: Path, cloud: Cloud, heard: Heard) -> Import:
    """``bring(source, **data settings)`` imports into the bucket of the environment, which is made here."""
    made = make_settings(tmp_path)
    cloud.client("s3").create_bucket(
        Bucket=made.names.data_bucket, CreateBucketConfiguration={"LocationConstraint": cloud.region}
    )

    def run(source: str = "photos", **data: Any) -> Imported:
        settings = make_settings(tmp_path, **data)
        return import_data(
            source, settings=settings, base=tmp_path, state=tmp_path / "state", client=cloud.client, reporter=heard
        )

    return run
