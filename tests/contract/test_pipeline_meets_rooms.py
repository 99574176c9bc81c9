"""What the definition says to the containers and to the deployer is what those understand."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from contracts import container, evaluation, names, release, source
from deployment.handler import FIELDS
from tests.pipeline_definition import oracle
from tests.pipeline_definition.resolver import Resolver, steps

GOLDEN = source.root() / "tests" / "pipeline_definition" / "golden"


@pytest.fixture(scope="module", params=["local", "prod"])
def definition(request: pytest.FixtureRequest) -> dict[str, Any]:
    value = json.loads((GOLDEN / f"{request.param}.json").read_bytes())
    assert isinstance(value, dict)
    return value


@pytest.fixture(scope="module")
def requests(definition: dict[str, Any]) -> dict[str, Any]:
    return {name: request for name, (_, request) in Resolver(definition, oracle.START).requests.items()}


def test_the_entrypoints_are_modules_of_the_images() -> None:
    for entrypoint in (container.PREPROCESS, container.TRAIN, container.EVALUATE, container.SERVE):
        assert entrypoint[:2] == ("python", "-m") and importlib.util.find_spec(entrypoint[2]) is not None


def test_preprocess_understands_its_arguments(
    requests: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import training.preprocess

    heard: list[Any] = []
    monkeypatch.setattr(training.preprocess, "preprocess", lambda *arguments: heard.extend(arguments))
    monkeypatch.setenv(container.BASE_DIR_VARIABLE, str(tmp_path))
    training.preprocess.main(requests[names.PREPROCESS]["AppSpecification"]["ContainerArguments"])
    folders, recipe, limits, share = heard[:3], heard[3], heard[4], heard[5]
    request = requests[names.PREPROCESS]
    paths = [entry["S3Input"]["LocalPath"] for entry in request["ProcessingInputs"]]
    paths.append(request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["LocalPath"])
    assert folders == [container.local(path) for path in paths]
    assert recipe.input_size > 0 and limits.max_pixels == 50_000_000 and share == 0.01


def test_evaluate_understands_its_arguments(
    requests: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import training.evaluate

    heard: list[Any] = []
    monkeypatch.setattr(training.evaluate, "evaluate", lambda *arguments, **named: heard.extend([*arguments, named]))
    monkeypatch.setenv(container.BASE_DIR_VARIABLE, str(tmp_path))
    request = requests[names.EVALUATE]
    training.evaluate.main(request["AppSpecification"]["ContainerArguments"])
    paths = [entry["S3Input"]["LocalPath"] for entry in request["ProcessingInputs"]]
    paths.append(request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["LocalPath"])
    assert heard[:4] == [container.local(path) for path in paths]
    rules, named = heard[4:]
    assert named == {"precision": "float32", "int8_max_loss": 0.01}
    assert rules == training.evaluate.Rules(
        {"balanced_accuracy": 0.7}, {"balanced_accuracy": 0.6},
        {"ece": 0.1, "latency_ms": 100.0, "bundle_mb": 50.0}, 0.03,
    )  # fmt: skip


def test_train_understands_its_hyperparameters(requests: dict[str, Any]) -> None:
    import training.train

    given = requests[names.TRAIN]["HyperParameters"]
    request = training.train.Request.read(dict(given))
    assert request.seed == 0 and request.source_hash == given["source_hash"]


def test_the_property_file_is_what_evaluate_writes(definition: dict[str, Any]) -> None:
    step = next(item for item in steps(definition) if item["Name"] == names.EVALUATE)
    (file,) = step["PropertyFiles"]
    assert file["FilePath"] == evaluation.EVALUATION


def test_the_deployer_gets_the_fields_that_it_needs(definition: dict[str, Any], requests: dict[str, Any]) -> None:
    called = [step for step in steps(definition) if step["Type"] == "Lambda"]
    assert {requests[step["Name"]]["action"] for step in called} == set(release.ACTIONS) - {
        release.SWEEP,
        release.RETRY,
        release.AT_ONCE,
    }
    for step in called:
        payload = dict(requests[step["Name"]])
        assert set(FIELDS[payload.pop("action")]) == set(payload), step["Name"]
        assert all(payload.values()), "the deployer refuses an empty field"


def test_the_local_sagemaker_reads_the_definition(definition: dict[str, Any]) -> None:
    from local_sagemaker.pipelines import definition as local

    parsed = local.parse(json.dumps(definition))
    assert list(parsed.steps) == [step["Name"] for step in steps(definition)]


def test_later_runs_ask_the_step_cache_for_the_same(definition: dict[str, Any]) -> None:
    """Other executions, with another commit and other digests, on the same data; a hit's answer is passed on."""
    from local_sagemaker.pipelines import cache

    cached_steps = (names.PREPROCESS, names.TRAIN, names.EVALUATE)
    first = Resolver(definition, oracle.START, execution_id="aaaaaaaaaaaa")
    later = {**oracle.START, "GitSha": "0" * 40, "TrainingImageDigest": "sha256:" + "9" * 64}
    second = Resolver(
        definition, later, execution_id="bbbbbbbbbbbb", cached={name: first.answers[name] for name in cached_steps}
    )
    for name in cached_steps:
        assert cache.key(*first.requests[name]) == cache.key(*second.requests[name])
    other_data = {**oracle.START, "DatasetUri": "s3://data/datasets/ffffffffffffffffffff/"}
    changed = Resolver(definition, other_data, execution_id="cccccccccccc")
    for name in cached_steps:
        assert cache.key(*first.requests[name]) != cache.key(*changed.requests[name])
