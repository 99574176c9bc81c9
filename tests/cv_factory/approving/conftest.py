"""One server for the tests of approvals; each test has an environment of its own, so that no champion is left."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cv_factory.session import Target
from tests.cv_factory import planting
from tests.cv_factory.planting import Factory

_NUMBERS = itertools.count()


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
    env = f"e{next(_NUMBERS)}"
    file = factory.folder / "factory.yaml"
    file.write_text(file.read_text(encoding="utf-8") + f"  {env}: {{}}\n", encoding="utf-8")
    return Place(env, factory, factory.target(env))
