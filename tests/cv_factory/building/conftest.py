"""Settings, and a session whose calls are recorded, on moto in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from contracts.settings import Settings
from tests.cv_factory.helpers import FACTORY_YAML, make_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def session() -> Iterator[Any]:
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        made = boto3.Session(region_name="eu-west-1")
        made.calls = []  # type: ignore[attr-defined]
        made.events.register("provide-client-params", lambda model, **_: made.calls.append(model.name))  # type: ignore[attr-defined]
        yield made


@pytest.fixture
def other_settings(tmp_path: Path) -> Any:
    """Settings with a text after the example: ``other_settings("serving: {max_pixels: 2000}")``."""

    def make(more: str) -> Settings:
        folder = tmp_path / "other"
        folder.mkdir(exist_ok=True)
        return make_settings(folder, FACTORY_YAML + more + "\n")

    return make
