"""What jobs ask of a tracking server is what their policy allows, and nothing more."""

from __future__ import annotations

import json
import os
import runpy
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from contracts import source
from training import job, tracking
from training.fit import Epoch

#: MLflow's REST call -> the action that SageMaker checks. Source: SageMaker Developer Guide, "Set up IAM permissions
#: for MLflow", IAM actions supported for MLflow.
ACTIONS = {
    "experiments/get-by-name": "GetExperimentByName",
    "experiments/create": "CreateExperiment",
    "experiments/get": "GetExperiment",
    "runs/create": "CreateRun",
    "runs/get": "GetRun",
    "runs/update": "UpdateRun",
    "runs/log-batch": "LogBatch",
    "runs/log-metric": "LogMetric",
}


class Running(job.StopRequest):
    def __init__(self) -> None:
        self._came = False
        self._deferred = True


class Server(ThreadingHTTPServer):
    """Answers as a tracking server that has no experiment yet; ``asked`` are the REST calls."""

    def __init__(self, artifacts: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        info = {"run_id": "r", "run_uuid": "r", "experiment_id": "1", "status": "RUNNING", "lifecycle_stage": "active"}
        data = {"metrics": [{"key": "answer", "value": 42.0, "timestamp": 1, "step": 0}]}
        run = {"info": {**info, "artifact_uri": artifacts.as_uri()}, "data": data}
        experiment = {"experiment_id": "1", "name": "e", "lifecycle_stage": "active"}
        self.answers: dict[str, Any] = {
            "experiments/create": {"experiment_id": "1"},
            "experiments/get": {"experiment": {**experiment, "artifact_location": artifacts.as_uri()}},
            "runs/create": {"run": run},
            "runs/get": {"run": run},
            "runs/update": {"run_info": info},
        }


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        call = urlsplit(self.path).path.partition("/mlflow/")[2]
        self.server.asked.append(call or self.path)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        missing = call == "experiments/get-by-name"
        body = {"error_code": "RESOURCE_DOES_NOT_EXIST"} if missing else self.server.answers.get(call, {})
        text = json.dumps(body).encode()
        self.send_response(404 if missing else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(tmp_path / "artifacts") as made:
        thread = Thread(target=made.serve_forever)
        thread.start()
        monkeypatch.setenv(tracking.SERVER_VARIABLE, f"http://127.0.0.1:{made.server_port}")
        yield made
        made.shutdown()
        thread.join()


def test_jobs_may_what_they_ask_of_a_tracking_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "bundle.json").write_text("{}")
    record = tracking.Record("job", {"seed": "0"}, [Epoch(0.9, 0.8, 0.7, 1e-3, 40.0)], {"t": 1.0}, bundle, time.time())
    tracking.track(record, tmp_path / "out", Running())
    assert f"Logged to MLflow at {os.environ[tracking.SERVER_VARIABLE]}" in capsys.readouterr().out
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    check = source.root() / "cv_factory" / "operations" / "unproved" / "containers" / "tracked.py"
    runpy.run_path(str(check))  # ends the process if it fails
    (statement,) = [
        item
        for item in json.loads((source.root() / "terraform" / "policies" / "tracking.json").read_text())["Statement"]
        if item["Sid"] == "TrackExperiments"
    ]
    assert {f"sagemaker-mlflow:{ACTIONS[call]}" for call in server.asked} == set(statement["Action"])
