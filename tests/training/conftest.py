"""The recipe of one's own is importable, and signal handlers that a test installs are put back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training import shapes
from training import hardware, job, preprocess

# Before torch is imported: waiting threads sleep.
for _name, _value in hardware.ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

ARGUMENTS = ["--recipe", shapes.RECIPE, "--bad-file-share", "0.01", "--max-pixels", "1000000", "--max-file-mb", "1"]


@pytest.fixture(autouse=True)
def _container_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def run_preprocess(base: Path, arguments: list[str] | None = None) -> int:
    """The exit code of the step Preprocess with ``base`` for ``/opt/ml``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_BASE_DIR", str(base))
        patch.syspath_prepend(str(Path(__file__).parent))
        return job.run(lambda: preprocess.main(arguments or ARGUMENTS), job.MESSAGE)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared dataset of two shapes with soft targets; read it, never write to it."""
    base = tmp_path_factory.mktemp("prepared")
    shapes.write_imported(base, soft=True)
    handler = signal.getsignal(signal.SIGTERM)
    assert run_preprocess(base) == 0
    signal.signal(signal.SIGTERM, handler)
    return base / "processing/output/dataset"
