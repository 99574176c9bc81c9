"""One server and one environment for the tests of approvals; each test finds its group empty: no champion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cv_factory.session import Target
from tests.cv_factory import planting
from tests.cv_factory.planting import Factory


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    with planting.factory(tmp_path_factory.mktemp("approving")) as made:
        yield made


@dataclass(frozen=True)
class Place:
    """An environment of a test."""

    env: str
    factory: Factory
    target: Target


@pytest.fixture
def place(factory: Factory) -> Place:
    target = factory.target("dev")
    sagemaker, group = target.client("sagemaker"), target.settings.names.package_group
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    for arn in [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]:
        sagemaker.delete_model_package(ModelPackageName=arn)
    return Place("dev", factory, target)
