"""Runs the entry points of training jobs as SageMaker would, without SageMaker."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from contracts import jsonio, source
from contracts.dataset import ImportedDataset
from contracts.errors import FactoryError
from training import hardware

PREPROCESS_LIMITS = ("--bad-file-share", "0", "--max-pixels", "1000000", "--max-file-mb", "1")


def run(base: Path, module: str, *arguments: str) -> float:
    """Run an entry point with ``base`` for ``/opt/ml``; its CPU seconds, user and system."""
    environment = {**os.environ, **hardware.ENVIRONMENT, "SAGEMAKER_BASE_DIR": str(base), "PYTHONUNBUFFERED": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", module, *arguments], env=environment, stdout=sys.stderr, check=False)
    if done.returncode:
        raise FactoryError(f"{module} ended with exit code {done.returncode}", "Its log is above.")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)


def write_dataset(base: Path, data: ImportedDataset, content: Mapping[str, bytes]) -> None:
    """The inputs of preprocessing: the manifest, and the files (path -> bytes) under their keys."""
    jsonio.write(base / "processing/input/dataset/manifest.json", data.to_json())
    for image in data.images:
        file = base / "processing/input/images" / image.key
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content[image.path])


def preprocess_and_train(base: Path, hyperparameters: Mapping[str, str]) -> dict[str, float]:
    """Both steps on the dataset in ``base``; their CPU seconds. The bundle lies in ``base/model`` after that."""
    recipe = hyperparameters["recipe"]
    cpu = {"preprocess": run(base, "training.preprocess", "--recipe", recipe, *PREPROCESS_LIMITS)}
    config = base / "input/config"
    jsonio.write(config / "hyperparameters.json", {**hyperparameters, "source_hash": source.source_hash("training")})
    jsonio.write(config / "inputdataconfig.json", {"dataset": {"TrainingInputMode": "File"}})
    channel = base / "input/data/dataset"
    channel.parent.mkdir(parents=True, exist_ok=True)
    if not channel.is_symlink():
        channel.symlink_to(base / "processing/output/dataset")
    cpu["train"] = run(base, "training.train")
    return cpu
