"""MLflow: what a finished training was, in a SQLite store beside the job's output and on the tracking server, if any.

mlflow is imported here and only here, after the training: it takes 1.5 s of CPU. Nothing that goes wrong here fails
the job: the model is complete.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from training.fit import Epoch
from training.job import StopRequest

EXPERIMENT = "cv-factory"
DATABASE = "mlflow.db"
SERVER_VARIABLE = "MLFLOW_TRACKING_URI"
#: Seconds that a server gets in all.
SECONDS = 60.0
#: Seconds for the local store, which no network can hold up; but a full disk keeps it trying for minutes.
LOCAL_SECONDS = 180.0

# The library reports its use to its makers, and waits minutes for a server that does not answer, unless told not to.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class Record:
    """What is logged of one training.

    Attributes:
        name: of the run: the training job's name.
        parameters: every hyperparameter, the seed and the hashes.
        history: the curves, epoch by epoch.
        metrics: final figures.
        bundle: folder of the sealed bundle.
        finished: when the training ended, seconds since 1970.
    """

    name: str
    parameters: Mapping[str, str]
    history: Sequence[Epoch]
    metrics: Mapping[str, float]
    bundle: Path
    finished: float


def track(record: Record, output: Path, stop: StopRequest, *, seconds: float | None = None) -> None:
    """Log ``record`` to ``output``/mlflow.db and, if ``MLFLOW_TRACKING_URI`` is set, to that server.

    Never raises; a failure is one line in the log. Each gets ``seconds`` and no more (unless set, its own limit
    above), and when SIGTERM came nothing waits for either.
    """
    server = os.environ.get(SERVER_VARIABLE)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    local = f"sqlite:///{output / DATABASE}"
    stores: list[tuple[str, str | None, float]] = [(local, (output / "mlflow-artifacts").as_uri(), LOCAL_SECONDS)]
    if server:
        stores.append((server, None, SECONDS))
    for uri, artifacts, limit in stores:
        # A thread that hangs in a system call dies with the process; nothing waits for it.
        thread = threading.Thread(target=_attempt, args=(uri, record, artifacts), daemon=True, name="mlflow")
        thread.start()
        deadline = time.monotonic() + (limit if seconds is None else seconds)
        while thread.is_alive() and not stop and time.monotonic() < deadline:
            thread.join(0.1)
        if thread.is_alive():
            print(f"WARNING: MLflow at {uri} took too long and was left behind; the model is complete", flush=True)


def _attempt(uri: str, record: Record, artifacts: str | None) -> None:
    try:
        _log(uri, record, artifacts)
    except Exception as error:  # the library's errors have no common base, and a plugin's may be any
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        print(f"WARNING: MLflow at {uri} did not take the run: {reason}", flush=True)
    else:
        print(f"Logged to MLflow at {uri}", flush=True)


def _log(uri: str, record: Record, artifacts: str | None) -> None:
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    identity = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT, artifacts)
    run = client.create_run(identity, run_name=record.name).info.run_id
    milliseconds = int(record.finished * 1000)
    metrics = [
        Metric(name, value, milliseconds, step)
        for step, epoch in enumerate(record.history, start=1)
        for name, value in asdict(epoch).items()
    ]
    metrics += [Metric(name, value, milliseconds, len(record.history)) for name, value in record.metrics.items()]
    # A request takes at most 100 parameters and 1,000 metrics.
    client.log_batch(run, params=[Param(name, value[:500]) for name, value in record.parameters.items()])
    for start in range(0, len(metrics), 1000):
        client.log_batch(run, metrics=metrics[start : start + 1000])
    client.log_artifacts(run, str(record.bundle), "bundle")
    client.set_terminated(run)
