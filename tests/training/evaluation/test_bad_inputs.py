"""Inputs of the evaluation that cannot be evaluated: each failure names its reason; and the step as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from contracts import jsonio
from inference.predictor import Predictor
from tests.inference import tiny
from tests.training.evaluation.steps import GATE, Step, both_splits


def broken(step: Step, says: str, code: int = 1) -> None:
    assert step.run() == code
    assert says in step.message
    assert "Traceback" not in step.message
    assert not (step.output / "evaluation.json").exists()


def test_a_missing_archive(ready: Step) -> None:
    (ready.model / "model.tar.gz").unlink()
    broken(ready, "model.tar.gz is missing")


def test_an_archive_that_is_none(ready: Step) -> None:
    (ready.model / "model.tar.gz").write_bytes(b"no archive")
    broken(ready, "model.tar.gz is not a readable tar archive")


def test_a_bundle_that_was_changed(ready: Step) -> None:
    unpacked = ready.model.with_name("model-unpacked")
    tiny.write_model(unpacked / "model.onnx", weights=(1.0, -1.0))
    tiny.write_archive(ready.model / "model.tar.gz", unpacked)
    broken(ready, "not what its hash says")


def test_a_bundle_of_another_dataset(ready: Step) -> None:
    ready.train(dataset_hash="e" * 64)
    broken(ready, "was trained on dataset eeeeeeeeeeeeeeeeeeee")


def test_a_bundle_of_other_classes(ready: Step) -> None:
    ready.train(classes=("cat", "dog"), positive_class="dog")
    broken(ready, "name different classes")


def test_no_test_image(step: Step) -> None:
    step.prepare(both_splits(count=0))
    step.train()
    step.no_champion()
    broken(step, "the test split has no image")


def test_a_test_image_that_was_changed(ready: Step) -> None:
    assert ready.manifest is not None
    (shard,) = [shard for shard in ready.manifest.shards if shard.split == "test"]
    data = bytearray((ready.dataset / shard.file).read_bytes())
    at = data.index(b"IDAT") + 6
    data[at] ^= 0xFF
    (ready.dataset / shard.file).write_bytes(data)
    broken(ready, "is not what the manifest says: its hash differs")


def test_an_empty_champion_folder(ready: Step) -> None:
    (ready.champion / "none.json").unlink()
    broken(ready, "holds neither model.tar.gz nor none.json")


def test_a_champion_that_cannot_be_loaded(ready: Step) -> None:
    ready.crown(turn=130.0)
    (ready.champion / "model.tar.gz").write_bytes(b"x")
    broken(ready, "the champion cannot be scored")
    assert "Reject the champion's package" in ready.message


def test_a_champion_without_its_dataset(ready: Step) -> None:
    ready.crown(turn=130.0)
    (ready.champion / "dataset_manifest.json").unlink()
    broken(ready, "dataset_manifest.json is missing")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--gate-min", "balanced=0.7", "--champion-margin", "0"), "'balanced' is no metric; it must be one of"),
        (("--gate-min", "auc", "--champion-margin", "0"), "'' is no number"),
        (("--gate-max", "ece=nan", "--champion-margin", "0"), "'nan' is no number"),
        (("--gate-min-per-slice", "latency_ms=3", "--champion-margin", "0"), "'latency_ms' is no metric"),
        (("--champion-margin", "much"), "'much' is no number"),
        ((("--gate-min", "auc=0.5")), "--champion-margin"),
        (("--champion-margin", "0", "--verbose"), "--verbose"),
    ],
)
def test_wrong_arguments_are_wrong_use(ready: Step, arguments: tuple[str, ...], says: str) -> None:
    assert ready.run(*arguments) == 2
    assert says in ready.message


def test_a_full_disk_while_writing_is_a_failure_with_its_reason(ready: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.name == "report.html":
            raise OSError(28, "No space left on device")
        original(path, data)

    original = jsonio.write_bytes
    monkeypatch.setattr(jsonio, "write_bytes", full)
    assert ready.run() == 1
    assert "No space left on device" in ready.message
    assert not (ready.output / "evaluation.json").exists()


def test_the_entry_point_as_a_process_without_torch(ready: Step) -> None:
    script = (
        "import runpy, sys\n"
        "sys.argv[0] = 'training.evaluate'\n"
        "try: runpy.run_module('training.evaluate', run_name='__main__')\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "print('heavy:', sorted({'torch', 'timm', 'sklearn', 'matplotlib', 'mlflow', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *GATE],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(ready.base)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "heavy: []"
    assert any(line.startswith("register: The one rule holds") for line in lines)
    assert done.stderr == ""


def test_probabilities_of_a_batch_and_of_single_requests_agree(ready: Step) -> None:
    """What is evaluated one by one is what a batch is answered with."""
    assert ready.run() == 0
    predictor = Predictor(ready.model.with_name("model-unpacked"))
    files = ready.dataset.with_name("dataset-files")
    table = pq.read_table(ready.output / "predictions.parquet").to_pylist()
    data = [(files / f"{int(row['path'][-9:-4])}.png").read_bytes() for row in table]
    batch = predictor.probabilities(data)
    assert np.allclose(batch[:, 1], [row["probability.light"] for row in table], atol=1e-6)
