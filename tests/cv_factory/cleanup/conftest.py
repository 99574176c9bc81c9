"""One server for the tests of the clean-up; each test has an environment of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cv_factory import planting
from tests.cv_factory.planting import Factory


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    with planting.factory(tmp_path_factory.mktemp("cleanup")) as made:
        yield made
