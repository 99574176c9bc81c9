"""MLflow after the training: the local store has everything, and no server can lose or hold up a finished training."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from tests.training import shapes
from training import job, tracking
from training.fit import Epoch
from training.tracking import Record


class Running(job.StopRequest):
    """SIGTERM that came, or did not, without a signal."""

    def __init__(self, came: bool = False) -> None:
        self._came = came
        self._deferred = True


class StopsWhenAsked(job.StopRequest):
    """SIGTERM that comes once the server was asked."""

    def __init__(self, server: shapes.SilentServer) -> None:
        self._server = server

    def __bool__(self) -> bool:
        return bool(self._server.taken)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "bundle.json").write_text("{}")
    history = [Epoch(0.9, 0.8, 0.7, 1e-3, 40.0), Epoch(0.5, 0.6, 0.8, 1e-4, 41.0)]
    parameters = {"recipe": "tiny", "dataset_hash": "d" * 64}
    return Record("training-job-1", parameters, history, {"temperature": 1.5}, folder, time.time())


def logged(output: Path) -> tuple[dict[str, str], dict[str, list[float]], list[str]]:
    """Parameters, curves and artifacts of the only run in the store."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{output / tracking.DATABASE}")
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    curves = {
        name: [metric.value for metric in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics
    }
    return run.data.params, curves, [item.path for item in client.list_artifacts(run.info.run_id, "bundle")]


def test_the_store_has_parameters_curves_and_bundle(record: Record, tmp_path: Path) -> None:
    tracking.track(record, tmp_path / "data", Running())
    parameters, curves, artifacts = logged(tmp_path / "data")
    assert parameters == dict(record.parameters)
    assert curves["train_loss"] == [0.9, 0.5]
    assert curves["validation_balanced_accuracy"] == [0.7, 0.8]
    assert curves["temperature"] == [1.5]
    assert artifacts == ["bundle/bundle.json"]


def test_a_server_that_refuses_is_a_warning(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracking.track(record, tmp_path / "data", Running())
    assert f"WARNING: MLflow at http://127.0.0.1:{port} did not take the run" in capsys.readouterr().out
    assert logged(tmp_path / "data")[0]["recipe"] == "tiny"


def test_a_store_that_hangs_is_left_behind(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(tracking, "_attempt", lambda *_: ended.wait())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    tracking.track(record, tmp_path / "data", Running(), seconds=0.2)
    ended.set()
    output = capsys.readouterr().out
    assert "WARNING: MLflow at sqlite:///" in output
    assert "WARNING: MLflow at http://tracking.example took too long" in output


def test_after_sigterm_nothing_waits_for_a_server_that_hangs(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with shapes.silent_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        tracking.track(record, tmp_path / "data", StopsWhenAsked(server), seconds=3600)
    assert f"WARNING: MLflow at {server.url} took too long" in capsys.readouterr().out
    assert logged(tmp_path / "data")[0]["recipe"] == "tiny"


def test_a_scheme_that_no_plugin_knows_is_a_warning(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "arn-of-nothing:x")
    tracking.track(record, tmp_path / "data", Running())
    assert "WARNING: MLflow at arn-of-nothing:x did not take the run" in capsys.readouterr().out


def test_any_error_of_a_store_is_a_warning(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tracking, "_log", full)
    tracking.track(record, tmp_path / "data", Running())
    assert "did not take the run: [Errno 28] No space left on device" in capsys.readouterr().out
