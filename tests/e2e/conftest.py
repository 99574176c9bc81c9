"""A whole factory in a folder of its own: generated images, its settings, its local SageMaker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contracts import source

SETTINGS = """\
name: {name}
aws: {{region: eu-west-1, account_id: "111122223333"}}
data: {{source: ./images, protocol: random, test_share: 0.4}}
training: {{recipe: "tests.e2e.recipes:Tiny", max_minutes: 10}}
gate: {{min: {{balanced_accuracy: 0.0}}, max: {{latency_ms: 1000}}, champion_margin: 1.0}}
environments:
  local: {{aws: {{account_id: "123456789012"}}, release: {{strategy: all-at-once, bake_minutes: 0}}}}
"""


@dataclass(frozen=True)
class Factory:
    """A folder with ``factory.yaml`` and the command line run in it."""

    folder: Path
    name: str

    @property
    def settings(self) -> Path:
        return self.folder / "factory.yaml"

    def command(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``cv-factory`` with ``arguments``; its output is in the error when it fails and ``check`` is set."""
        done = subprocess.run(
            [Path(sys.executable).with_name("cv-factory"), *arguments],
            cwd=self.folder, text=True, capture_output=True, timeout=1500, env=environment(), **options,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise AssertionError(
                f"cv-factory {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def json(self, *arguments: str) -> Any:
        """The document that ``cv-factory … --json`` prints."""
        return json.loads(self.command(*arguments, "--json").stdout)


def environment() -> dict[str, str]:
    """The ambient environment without anything that names an AWS account, as on a laptop without one.

    The tests' own recipes are found because the checkout is on the path; a team's lie below ``training/``.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return kept | {"PYTHONPATH": str(source.root())}


def draw(folder: Path, classes: dict[str, int], *, size: int = 40, seed: int = 0) -> None:
    """``classes[name]`` images a class: noise, brighter in the first class, with a bar in the others."""
    random = np.random.default_rng(seed)
    for number, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = random.normal(90 + 40 * (number == 0), 12, (size, size))
            pixels[:, 6 * number : 6 * number + 4 * number] = 220
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{name}-{index:03}.png")


@pytest.fixture(scope="session")
def make_factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Factory]]:
    """Makes factories; each local SageMaker that was started is stopped at the end."""
    made: list[Factory] = []

    def make(name: str, classes: dict[str, int] | None = None) -> Factory:
        folder = tmp_path_factory.mktemp(name)
        (folder / "factory.yaml").write_text(SETTINGS.format(name=name))
        draw(folder / "images", classes or {"broken": 24, "whole": 36})
        made.append(Factory(folder, name))
        return made[-1]

    yield make
    for factory in made:
        factory.command("local", "down", check=False)
