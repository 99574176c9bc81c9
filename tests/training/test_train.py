"""The step Train as SageMaker runs it: folders, hyperparameters, signals, exit codes, the failure file, the bundle."""

from __future__ import annotations

import base64
import io
import json
import random
import re
import signal
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from contracts import bundle, evaluation, jsonio
from inference.predictor import Predictor
from tests.training import shapes
from tests.training.conftest import run_preprocess
from tests.training.shapes import TrainJob, silent_server
from training import dataset, job, train

#: One epoch and no checkpoint but the last: for what does not depend on the weights.
QUICKLY = {"epochs": "1", "checkpoint_steps": "100"}


def members(base: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (base / "model").iterdir()}


def checkpoint_steps(base: Path) -> list[int]:
    return sorted(int(path.stem.rpartition("-")[2]) for path in (base / "checkpoints").glob("*.safetensors"))


def run(base: Path) -> int:
    """The exit code of the step Train with ``base`` for ``/opt/ml``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(base))
        patch.syspath_prepend(str(Path(__file__).parent))
        return job.run(train.main, job.FAILURE)


class Interrupted:
    """One training, killed three times at random moments, then stopped, then brought to its end."""

    def __init__(self, base: Path) -> None:
        self.base = base
        generator = random.Random()  # noqa: S311 (no secret)
        self.delays = [generator.uniform(0, 0.4) for _ in range(3)]
        for delay in self.delays:
            with TrainJob(base) as running:
                running.lines_until("epoch=")
                time.sleep(delay)  # the moment is random on purpose; the answer must not depend on it
                running.send(signal.SIGKILL)
                assert running.wait() == -signal.SIGKILL, running.output
        with TrainJob(base) as stopped:
            stopped.lines_until("epoch=")
            self.steps_before = checkpoint_steps(base)
            started = time.monotonic()
            stopped.send(signal.SIGTERM)
            self.stop_code = stopped.wait()
            self.stop_seconds = time.monotonic() - started
        self.stop_output = stopped.output
        self.steps_after = checkpoint_steps(base)
        self.model_when_stopped = members(base)
        self.failure_when_stopped = (base / "output/failure").exists()
        with silent_server() as server, TrainJob(base, MLFLOW_TRACKING_URI=server.url) as last:
            last.lines_until("Logged to MLflow at sqlite")
            started = time.monotonic()
            last.send(signal.SIGTERM)
            self.code = last.wait()
            self.end_seconds = time.monotonic() - started
        self.output = last.output


@pytest.fixture(scope="module")
def interrupted(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    base = tmp_path_factory.mktemp("interrupted")
    shapes.write_job(base, prepared, shapes.hyperparameters())
    return Interrupted(base)


class Whole:
    """The same training that nobody stopped, in this process."""

    def __init__(self, base: Path) -> None:
        self.base = base
        log = io.StringIO()
        with redirect_stdout(log):
            self.code = run(base)
        self.output = log.getvalue()


@pytest.fixture(scope="module")
def whole(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    base = tmp_path_factory.mktemp("whole")
    shapes.write_job(base, prepared, shapes.hyperparameters())
    return Whole(base)


def test_killed_three_times_and_resumed_gives_the_same_bundle_bit_for_bit(
    interrupted: Interrupted, whole: Whole
) -> None:
    assert whole.code == 0, whole.output
    assert interrupted.code == 0, interrupted.output
    assert "Resumed at step" in interrupted.output
    assert members(interrupted.base) == members(whole.base), f"killed {interrupted.delays} s after an epoch"


def test_sigterm_writes_a_checkpoint_and_ends_within_10_seconds(interrupted: Interrupted) -> None:
    assert interrupted.stop_code == 128 + signal.SIGTERM
    assert interrupted.stop_seconds < 10
    assert interrupted.steps_after[-1] > interrupted.steps_before[-1]
    assert f"checkpoint written at step {interrupted.steps_after[-1]}" in interrupted.stop_output


def test_a_stopped_training_is_neither_a_model_nor_a_failure(interrupted: Interrupted) -> None:
    assert interrupted.model_when_stopped == {}
    assert not interrupted.failure_when_stopped


def test_a_tracking_server_that_hangs_does_not_lose_a_finished_training(interrupted: Interrupted) -> None:
    """SIGTERM came while the job waited for the server: the model is complete, so the job has ended well."""
    assert interrupted.code == 0, interrupted.output
    assert interrupted.end_seconds < 10
    assert "took too long and was left behind" in interrupted.output
    assert bundle.read(interrupted.base / "model")


def test_the_bundle_is_sealed_and_complete(whole: Whole, prepared: Path) -> None:
    spec = bundle.read(whole.base / "model")
    manifest = dataset.read(prepared).manifest
    assert set(members(whole.base)) == {
        bundle.SPEC, bundle.MODEL, bundle.INT8_MODEL, bundle.WEIGHTS, bundle.GOLDEN,
    }  # fmt: skip
    assert spec.int8 is not None and spec.int8.temperature > 0
    assert (spec.classes, spec.positive_class) == (manifest.classes, "disk")
    assert (spec.dataset_hash, spec.source_hash) == (manifest.dataset_hash, "s" * 64)
    assert (spec.recipe, spec.protocol, spec.licence) == ("tiny", "group", "CC0-1.0")
    assert (spec.input_size, spec.color_mode) == (32, "L")
    assert spec.bundle_hash in whole.output


def test_no_member_tells_the_machine_or_the_job(whole: Whole) -> None:
    for name, data in members(whole.base).items():
        for told in (str(whole.base), str(shapes.REPOSITORY), "site-packages", "algo-1"):
            assert told.encode() not in data, f"{name} tells {told}"


@pytest.mark.parametrize("precision", bundle.PRECISIONS)
def test_the_served_model_has_learned(whole: Whole, prepared: Path, precision: str) -> None:
    predictor = Predictor(whole.base / "model", precision=precision)
    images = list(dataset.read(prepared).files())
    answers = predictor.predict([data for _, data in images])
    right = [answer.label == image.label for answer, (image, _) in zip(answers, images, strict=True)]
    assert np.mean(right) >= 0.75


@pytest.mark.parametrize("precision", bundle.PRECISIONS)
def test_golden_requests_get_their_golden_answers(whole: Whole, precision: str) -> None:
    golden = jsonio.read(whole.base / "model" / bundle.GOLDEN)[precision]
    predictor = Predictor(whole.base / "model", threads=2, precision=precision)
    assert len(golden["cases"]) == 8
    assert {case["predicted_label"] for case in golden["cases"]} == {"disk", "frame"}
    for case in golden["cases"]:
        (answer,) = predictor.predict([base64.b64decode(case["request"]["image"])])
        for name, expected in case["probabilities"].items():
            assert answer.probabilities[name] == pytest.approx(expected, abs=golden["tolerance"])


def test_metric_definitions_pick_up_what_is_printed(whole: Whole) -> None:
    """SageMaker applies each regular expression to each line of the log."""
    found = {
        name: [float(value) for line in whole.output.splitlines() for value in re.findall(regex, line)]
        for name, regex in evaluation.TRAINING_METRICS.items()
    }
    assert found["train:epoch"] == list(range(1, 25))
    assert all(len(values) == 24 for values in found.values()), {name: len(v) for name, v in found.items()}
    assert found["train:loss"][-1] < found["train:loss"][0]


def test_the_curves_and_the_run_are_in_the_output_data(whole: Whole) -> None:
    data = whole.base / "output/data"
    assert len(json.loads((data / "history.json").read_text())) == 24
    assert (data / "mlflow.db").is_file()
    assert not (whole.base / "output/failure").exists()


# --- in this process: what can go wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"epochs": "many"}, 2, "hyperparameter epochs is 'many'\nepochs must be a whole number."),
        ({"epcohs": "3"}, 2, "unknown hyperparameter 'epcohs'"),
        ({"seed": "-1"}, 2, "hyperparameter seed is '-1'\nseed must be a whole number from 0"),
        ({"seed": "²"}, 2, "hyperparameter seed is '²'"),
        ({"recipe": "best"}, 2, "there is no recipe 'best'"),
        ({"recipe": ""}, 2, "hyperparameter recipe is missing"),
        ({"source_hash": ""}, 2, "hyperparameter source_hash is missing"),
        ({"input_size": "64"}, 1, "the images were prepared at 32 pixels; recipe tiny wants 64"),
    ],
)
def test_a_wrong_hyperparameter_is_one_readable_failure(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: Mapping[str, str], code: int, says: str
) -> None:
    shapes.write_job(tmp_path, prepared, shapes.hyperparameters(**changes))
    assert run(tmp_path) == code
    failure = (tmp_path / "output/failure").read_text()
    assert says in failure
    assert len(failure) <= 1024
    assert "Traceback" not in capsys.readouterr().err
    assert members(tmp_path) == {}


def test_a_hyperparameter_that_is_no_text_is_refused(prepared: Path, tmp_path: Path) -> None:
    shapes.write_job(tmp_path, prepared, {**shapes.hyperparameters(), "epochs": 3})  # type: ignore[dict-item]
    assert run(tmp_path) == 1
    assert "hyperparameter epochs is 3, a int" in (tmp_path / "output/failure").read_text()


def test_what_sagemaker_itself_adds_is_no_mistake(prepared: Path) -> None:
    given = shapes.hyperparameters(_tuning_objective_metric="validation:loss", sagemaker_region="us-east-1")
    assert train.Request.read(given).recipe.name == "tiny"


def test_several_instances_are_refused(prepared: Path, tmp_path: Path) -> None:
    shapes.write_job(tmp_path, prepared, shapes.hyperparameters(), hosts=("algo-1", "algo-2"))
    assert run(tmp_path) == 2
    assert "Set training.instance_count to 1." in (tmp_path / "output/failure").read_text()


def test_a_missing_channel_is_named(prepared: Path, tmp_path: Path) -> None:
    shapes.write_job(tmp_path, prepared, shapes.hyperparameters())
    (tmp_path / "input/config/inputdataconfig.json").write_text('{"images": {}}')
    assert run(tmp_path) == 1
    assert "no channel 'dataset'\nIt has: images." in (tmp_path / "output/failure").read_text()


def test_a_configuration_that_is_no_json_is_named(prepared: Path, tmp_path: Path) -> None:
    shapes.write_job(tmp_path, prepared, shapes.hyperparameters())
    (tmp_path / "input/config/hyperparameters.json").write_text("{")
    assert run(tmp_path) == 1
    assert "hyperparameters.json is not JSON" in (tmp_path / "output/failure").read_text()


def test_an_error_that_nobody_foresaw_has_a_message_and_a_traceback_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("x" * 3000)

    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    assert job.run(broken, job.FAILURE) == 1
    failure = (tmp_path / "output/failure").read_text()
    assert failure.startswith("ZeroDivisionError: xxx")
    assert len(failure) == 1024
    assert "Traceback" in capsys.readouterr().err


def test_environment_variables_of_the_toolkit_override_the_folders(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    monkeypatch.setenv("SM_HPS", json.dumps(shapes.hyperparameters(seed="7")))
    monkeypatch.setenv("SM_CHANNEL_DATASET", str(prepared))
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path / "elsewhere"))
    work = job.TrainingJob.read()
    assert work.hyperparameters["seed"] == "7"
    assert work.channel("dataset") == prepared
    assert work.model == tmp_path / "elsewhere"


def test_more_than_two_classes_in_colour_with_four_views(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shapes.write_imported(tmp_path, classes=("cross", "disk", "frame"), channels=3)
    assert run_preprocess(tmp_path) == 0
    changes = {"epochs": "12", "views": "4", "checkpoint_steps": "1000"}
    shapes.write_job(tmp_path, tmp_path / "processing/output/dataset", shapes.hyperparameters(**changes))
    assert run(tmp_path) == 0, capsys.readouterr().err
    spec = bundle.read(tmp_path / "model")
    assert (spec.classes, spec.positive_class, spec.color_mode) == (("cross", "disk", "frame"), None, "RGB")
    predictor = Predictor(tmp_path / "model")
    images = dataset.read(tmp_path / "processing/output/dataset").files()
    data = next(data for _, data in images)
    (answer,) = predictor.predict([data])
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-6)
    pixels = predictor.pixels(data)
    turned = [predictor.logits(np.rot90(pixels, turns)[np.newaxis]) for turns in range(4)]
    for rotated in turned[1:]:
        np.testing.assert_allclose(rotated, turned[0], atol=1e-4)
