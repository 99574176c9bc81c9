"""Checks of what jobs count on: their container, and batch transform."""

from __future__ import annotations

import json
from typing import Any

from cv_factory.operations.unproved import serving
from cv_factory.operations.unproved.bench import TRANSFORM_MINUTES, Bench
from cv_factory.operations.unproved.check import SERVING, TRAINING, ByHand, Check, NotHere, Use, expect

_NONE = "none"


def _completed(about: dict[str, Any]) -> None:
    expect(
        about["TrainingJobStatus"] == "Completed",
        f"{about['TrainingJobStatus']}: {about.get('FailureReason', 'no reason is given')}",
    )


def layout(bench: Bench) -> str:
    _completed(bench.run_training("layout", "facts"))
    return "the three configuration files and TRAINING_JOB_NAME are there, no SM_* is"


def isolated(bench: Bench) -> str:
    _completed(bench.run_training("isolated", "alone", EnableNetworkIsolation=True))
    return "no credentials, no way out, and the job completed"


def tracked(bench: Bench) -> str:
    uri = bench.target.settings.tracking.mlflow
    if uri == _NONE:
        raise NotHere("tracking.mlflow is none: name a tracking server's ARN in factory.yaml, then infra apply")
    _completed(bench.run_training("tracked", "tracked", Environment={"MLFLOW_TRACKING_URI": uri}))
    return "a run was logged and read back"


def transform_folder(bench: Bench) -> str:
    """Two images and a file that is none, one record a file."""
    good, bad = serving.PNG, b"no image at all"
    for name, body in (("a.png", good), ("b.png", bad), ("c.png", good)):
        bench.put(f"transform/folder/in/{name}", body)
    about, outputs = _transform(bench, "folder", {"ContentType": "image/png"}, {})
    stored = sorted(outputs)
    expect(about["TransformJobStatus"] == "Failed", f"with a bad image the job is {about['TransformJobStatus']}")
    expect(stored == ["a.png.out", "c.png.out"], f"stored: {', '.join(stored) or 'nothing'}")
    return f"Failed ({about.get('FailureReason', '')}), stored: {', '.join(stored)}"


def transform_lines(bench: Bench) -> str:
    bench.put("transform/lines/in/records.txt", b"one\ntwo\n")
    about, outputs = _transform(
        bench, "lines", {"ContentType": "text/plain", "SplitType": "Line"}, {"AssembleWith": "Line"},
        {"BatchStrategy": "SingleRecord"},
    )  # fmt: skip
    expect(about["TransformJobStatus"] == "Completed", f"{about['TransformJobStatus']}: {about.get('FailureReason')}")
    text = outputs.get("records.txt.out", b"").decode()
    wanted = '{"record": "one"}\n{"record": "two"}\n'
    expect(text == wanted, f"the output is {text!r}, expected {wanted!r}")
    return "records come without their newline; answers that end in one get no second"


def _transform(
    bench: Bench, word: str, source: dict[str, Any], target: dict[str, Any], more: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Transform ``<prefix>transform/<word>/in/``; the job's description, and its outputs by their names."""
    # Batch transform reads its input and writes its output as the model's role, and the endpoint's may not.
    model = serving.create_model(bench, f"transform-{word}", role="job", below="runs/")
    folder = f"{bench.prefix()}transform/{word}/"
    data = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": str(bench.names.artifacts(f"{folder}in/"))}}
    request = {
        "ModelName": model,
        "TransformInput": {"DataSource": data, **source},
        "TransformOutput": {"S3OutputPath": str(bench.names.artifacts(f"{folder}out")), **target},
        "TransformResources": {"InstanceType": bench.target.settings.serving.instance_type, "InstanceCount": 1},
        "ModelClientConfig": {"InvocationsMaxRetries": 0},
        **(more or {}),
    }
    about = bench.run_transform(word, request)
    return about, {key.rsplit("/", 1)[1]: bench.read(key) for key in bench.keys(f"{folder}out/")}


def metric_filter(bench: Bench) -> str:
    """TestMetricFilter answers for PutMetricFilter: the same patterns, at once and without a log group."""
    events = [json.dumps({"a": 2}), json.dumps({"b": 2}), json.dumps({"a": 1})]
    found = bench.client("logs").test_metric_filter(filterPattern="{ $.a != 1 }", logEventMessages=events)["matches"]
    matched = sorted(one["eventMessage"] for one in found)
    expect(matched == [events[0]], f"matched: {', '.join(matched) or 'nothing'}")
    return f"of {', '.join(events)} only {events[0]} matches"


TITLE = "Jobs"
ROWS: tuple[Check | ByHand, ...] = (
    Check(
        "jobs.layout",
        "a job of our own image, without the training toolkit",
        "`/opt/ml/input/config/*.json` are there, `TRAINING_JOB_NAME` is set, no `SM_*`",
        layout,
        uses=(Use(TRAINING, 1, 10),),
        needs=("the training image",),
    ),
    ByHand(
        "a spot job that is interrupted",
        "SIGTERM comes, the checkpoint in S3 is brought back, training goes on",
        "nobody can order the interruption of a spot job. It shows when one comes: set `training.spot` and look at a"
        " long job's `SecondaryStatusTransitions`",
    ),
    Check(
        "jobs.isolated",
        "a job with `EnableNetworkIsolation`",
        "no credentials, no call, and it ends well",
        isolated,
        uses=(Use(TRAINING, 1, 10),),
        needs=("the training image",),
    ),
    Check(
        "jobs.mlflow",
        "`MLFLOW_TRACKING_URI` as the ARN of a tracking server",
        "the run is logged by the plugin `sagemaker-mlflow`",
        tracked,
        uses=(Use(TRAINING, 1, 10),),
        needs=("the training image", "a tracking server in `tracking.mlflow`"),
    ),
    Check(
        "jobs.transform-folder",
        "`CreateTransformJob` over a folder of images",
        "one `<key>.out` an image; a bad image fails the job at its end, the other answers are stored",
        transform_folder,
        uses=(Use(SERVING, 1, TRANSFORM_MINUTES),),
        needs=("the serving image",),
    ),
    Check(
        "jobs.transform-lines",
        "a transform job with `SplitType: Line`",
        "a record is sent without its newline; with AssembleWith Line an answer that ends in one gets no second",
        transform_lines,
        uses=(Use(SERVING, 1, TRANSFORM_MINUTES),),
        needs=("the serving image",),
    ),
    Check(
        "jobs.metric-filter",
        "`PutMetricFilter` with `{ $.a != 1 }`, and an event without `a`",
        "no match: a comparison needs a text or a number",
        metric_filter,
    ),
)
