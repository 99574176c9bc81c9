"""A reader of the pages, with photos of broken and whole things in the folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs import web
from tests.docs.reader import Reader
from tests.e2e.conftest import draw, environment

MakeReader = Callable[..., Reader]
IMAGES = {"broken": 32, "whole": 48}


@pytest.fixture(scope="session")
def make_reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeReader]:
    """Makes readers; what each started is stopped at the end."""
    made: list[Reader] = []
    folder = tmp_path_factory.mktemp("web")
    draw(folder, IMAGES, size=64)
    with web.serve(folder / "broken", folder) as host:

        def make(name: str, recipe: str | None = "tests.docs.recipes:Small", images: dict[str, int] = IMAGES) -> Reader:
            own = tmp_path_factory.mktemp(name)
            draw(own / "photos", images, size=64)
            made.append(Reader(own, host, recipe))
            return made[-1]

        yield make
        for reader in made:
            subprocess.run(
                [Path(sys.executable).with_name("cv-factory"), "local", "down"],
                cwd=reader.folder, env=environment(), capture_output=True, check=False,
            )  # fmt: skip


@pytest.fixture(scope="session")
def reader(make_reader: MakeReader) -> Reader:
    """One reader for the pages that go on where the README ends: with a model that is approved."""
    return make_reader("reader")
