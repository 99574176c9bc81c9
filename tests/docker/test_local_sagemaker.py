"""``cv-factory run`` in the images beside the same run without: the same definition, the same results."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from contracts import source
from contracts.settings import load
from tests.docker.conftest import Image
from tests.docker.engines import TestEngine
from tests.e2e.conftest import SETTINGS, Factory, draw
from tests.training import shapes_recipe

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

_RECIPE = "tests.training.shapes_recipe:Tiny"
#: Measured times, which two runs never share.
_TIMES = {"latency_ms"}


@dataclass(frozen=True)
class Run:
    """A run in a folder of its own: its document, and the definition that its local SageMaker has."""

    factory: Factory
    document: dict[str, Any]
    definition: str


@pytest.fixture(scope="module")
def ready(
    engine: TestEngine,
    base: str,
    inference_image: Image,
    training_image: Image,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """The training image of the tests under the name of this checkout's, with the tests' recipe in it."""
    repository = training_image.reference.rpartition(":")[0]
    name = f"{repository}:{source.source_tag('training')}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(shapes_recipe.__file__)
        (Path(folder) / file.name).write_bytes(file.read_bytes())
        (Path(folder) / "Dockerfile").write_text(
            f"FROM {training_image.reference}\nCOPY {file.name} /factory/tests/training/{file.name}\n"
        )
        engine.docker("build", "--quiet", "--tag", name, folder)
    yield
    engine.docker("image", "rm", name)


def run(folder: Path, *options: str) -> Run:
    """``local up`` and ``run --demo`` on generated images."""
    draw(folder / "images", {"broken": 24, "whole": 36})
    settings = SETTINGS.format(name="shapes").replace("tests.e2e.recipes:Tiny", _RECIPE)
    (folder / "factory.yaml").write_text(settings, encoding="utf-8")
    factory = Factory(folder, "shapes")
    try:
        server = factory.json("local", "up", *options)
        document = factory.json("run", "--demo")
        session = boto3.Session("test", "test", region_name=server["region"])
        name = load(factory.settings, "local").names.pipeline
        client = session.client("sagemaker", endpoint_url=server["endpoint_url"])
        definition = client.describe_pipeline(PipelineName=name)["PipelineDefinition"]
        client.close()
        return Run(factory, document, definition)
    except BaseException:
        factory.command("local", "down", check=False)
        raise


@pytest.fixture(scope="module")
def contained(ready: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    made = run(tmp_path_factory.mktemp("contained"), "--runtime", "docker")
    yield made
    made.factory.command("local", "down")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    made = run(tmp_path_factory.mktemp("plain"))
    yield made
    made.factory.command("local", "down")


def test_the_images_give_what_the_processes_give(engine: TestEngine, contained: Run, plain: Run) -> None:
    assert contained.definition == plain.definition
    ours, theirs = contained.document, plain.document
    assert [(step["name"], step["status"]) for step in ours["steps"]] == [
        (step["name"], step["status"]) for step in theirs["steps"]
    ]
    assert ours["status"] == "Succeeded" and ours["outcome"] == theirs["outcome"] == "registered"
    assert set(ours["metrics"]) == set(theirs["metrics"]) > _TIMES
    for name in set(ours["metrics"]) - _TIMES:
        assert ours["metrics"][name]["value"] == pytest.approx(theirs["metrics"][name]["value"], abs=0.01), name
    assert ours["metrics"]["balanced_accuracy"]["value"] > 0.9, "the recipe learns, so the comparison says something"
    assert ours["prediction"]["predicted_label"] == theirs["prediction"]["predicted_label"]
    assert ours["prediction"]["confidence"] == pytest.approx(theirs["prediction"]["confidence"], abs=0.02)


def test_the_endpoint_is_the_serving_image(
    engine: TestEngine, inference_image: Image, contained: Run, plain: Run
) -> None:
    label = ["--filter", "label=local-sagemaker.state"]
    images = engine.docker("ps", *label, "--format", "{{.Image}}").split()
    assert images == [inference_image.reference], "one for the endpoint; jobs have gone, processes have none"
    assert contained.factory.json("local", "status")["runtime"] == "docker"
    assert "containers" in contained.factory.command("local", "status").stdout
    picture = next((contained.factory.folder / "images" / "whole").glob("*.png"))
    (answer,) = contained.factory.json("predict", str(picture))
    assert answer["predicted_label"] == "whole"


def test_another_runtime_than_the_running_one_is_refused(contained: Run) -> None:
    refused = contained.factory.command("local", "up", "--runtime", "process", check=False)
    assert refused.returncode == 2 and "running with --runtime docker already" in refused.stderr
    assert contained.factory.command("local", "up").returncode == 0


def test_without_the_images_up_says_make_images(engine: TestEngine, tmp_path: Path) -> None:
    (tmp_path / "factory.yaml").write_text(SETTINGS.format(name="nobody"), encoding="utf-8")
    refused = Factory(tmp_path, "nobody").command("local", "up", "--runtime", "docker", check=False)
    assert refused.returncode == 1
    assert "has no image nobody-local/training:src-" in refused.stderr and "make images" in refused.stderr
