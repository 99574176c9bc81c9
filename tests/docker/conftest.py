"""An engine, a base and both images, once for all tests of this folder; what was made is removed at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts import source
from cv_factory.operations import images
from cv_factory.operations.building import recipe
from cv_factory.operations.building.engine import Engine
from tests.cv_factory.helpers import FACTORY_YAML
from tests.docker import engines, wheels
from tests.docker.engines import TestEngine

#: Names a base that is already in the engine.
BASE_VARIABLE = "CVF_TEST_BASE"
_OWN_BASE = "cv-factory-test/python:3.11-slim-bookworm"


@dataclass(frozen=True)
class Image:
    """An image that ``python -m cv_factory.operations.images build`` made, and what that left about it."""

    name: str
    facts: dict[str, Any]
    bill: dict[str, Any]

    @property
    def reference(self) -> str:
        return str(self.facts["reference"])


@pytest.fixture(scope="session")
def engine() -> Iterator[TestEngine]:
    """The engine; this process and its children find it by their environment."""
    with engines.running() as found, pytest.MonkeyPatch.context() as patch:
        for name, value in found.environment.items():
            patch.setenv(name, value)
        yield found


@pytest.fixture(scope="session")
def base(engine: TestEngine) -> str:
    """The name of the base: the Dockerfiles' own where the engine can have it."""
    wanted = os.environ.get(BASE_VARIABLE, "")
    if wanted:
        return wanted
    if engine.own:
        engines.make_base(engine, _OWN_BASE)
        return _OWN_BASE
    wanted = recipe.default_base("inference")
    engine.docker("pull", wanted, timeout=250)
    return wanted


@pytest.fixture(scope="session")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("docker") / "factory.yaml"
    file.write_text(FACTORY_YAML)
    return file


def build(file: Path, image: str, *options: str) -> Image:
    """Build an image as ``make images`` does; what Docker says is in the failure."""
    command = [sys.executable, "-m", "cv_factory.operations.images", "build", "--file", str(file), "--image", image]
    done = subprocess.run(
        [*command, *options],
        cwd=source.root(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    folder = source.root() / images.FOLDER
    return Image(image, *(json.loads((folder / f"{image}{end}").read_text()) for end in (".json", ".cdx.json")))


@pytest.fixture(scope="session")
def inference_wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = wheels.fetch(wheels.LOCKS / "inference.txt", tmp_path_factory.mktemp("inference-wheels"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def inference_image(engine: TestEngine, base: str, settings_file: Path, inference_wheels: Path) -> Iterator[Image]:
    """The serving image, from the lock."""
    made = build(settings_file, "inference", "--base", base, "--wheels", str(inference_wheels))
    yield made
    Engine.open().remove(made.reference)


@pytest.fixture(scope="session")
def training_image(
    engine: TestEngine, base: str, settings_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Image]:
    """The training image with PyTorch's CPU build: see ``wheels``."""
    folder = tmp_path_factory.mktemp("training-wheels")
    lock = wheels.cpu_lock(tmp_path_factory.mktemp("lock"))
    made = build(
        settings_file, "training", "--base", base, "--wheels", str(wheels.fetch(lock, folder)),
        "--replace", f"requirements/training.txt={lock}",
    )  # fmt: skip
    shutil.rmtree(folder)  # half a gigabyte
    yield made
    Engine.open().remove(made.reference)
