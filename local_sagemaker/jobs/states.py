"""How a job's state changes: stored first, then told to EventBridge, both or neither.

A job's record has the kind ``training-job``, ``processing-job`` or ``transform-job``, the job's name in lower case, and
the body ``Request``, ``Arn``, ``Status``, ``SecondaryStatus``, ``Transitions`` and, once they are known, ``StartTime``,
``EndTime``, ``FailureReason``, ``ExitMessage``, ``FinalMetricDataList``. Times are seconds since the epoch. Only
training jobs have a secondary status on AWS; that of the others tells the queue where they are. A transform job's body
also has ``Plan`` (:func:`local_sagemaker.models.launch_plan`).
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from local_sagemaker import tags
from local_sagemaker.jobs import processing, training, transform
from local_sagemaker.store import Record

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

KINDS: dict[str, ModuleType] = {module.KIND: module for module in (training, processing, transform)}

RUNNING = ("InProgress", "Stopping")
ENDED = ("Completed", "Failed", "Stopped")

#: AWS's StatusMessage of each secondary status of a training job.
_MESSAGES = {
    "Starting": "Starting the training job",
    "Pending": "Training job waiting for capacity",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Transforming": "Sending the input data to the model",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


def first(secondary: str, now: float) -> dict[str, Any]:
    """The state of a job that was just created."""
    return {
        "Status": "InProgress",
        "SecondaryStatus": secondary,
        "Transitions": [{"Status": secondary, "StartTime": now, "StatusMessage": _MESSAGES[secondary]}],
    }


def change(
    platform: Platform, kind: str, region: str, name: str, secondary: str, *, status: str | None = None, **more: Any
) -> Record:
    """Move a job to ``secondary`` and, when given, to the primary ``status``; ``more`` is put into its body.

    A job that is being stopped stays Stopping until it ends, and a job that has ended stays as it is. As on AWS an
    event tells of a training job's secondary statuses, and of another job's status only.
    """
    before: tuple[str, str] = ("", "")

    def alter(body: dict[str, Any]) -> None:
        nonlocal before
        before = _visible(kind, body)
        if body["Status"] in ENDED:
            return
        body.update(more)
        if status is not None:
            body["Status"] = status
        elif body["Status"] == "Stopping":
            return
        if body["SecondaryStatus"] == secondary:
            return
        now = platform.clock.time()
        body["SecondaryStatus"] = secondary
        body["Transitions"][-1]["EndTime"] = now
        message = body.get("FailureReason") if secondary == "Failed" else _MESSAGES[secondary]
        entry = {"Status": secondary, "StartTime": now, "StatusMessage": message or "Training job failed"}
        body["Transitions"].append(entry)
        if body["Status"] in ENDED:
            body["EndTime"] = entry["EndTime"] = now

    with platform.store.transaction():
        record = platform.store.update(kind, region, name, alter)
        if _visible(kind, record.body) != before:
            publish(platform, record)
    return record


def _visible(kind: str, body: dict[str, Any]) -> tuple[str, str]:
    return body["Status"], body["SecondaryStatus"] if kind == training.KIND else ""


def publish(platform: Platform, record: Record) -> None:
    """Send the event of a job's present state."""
    module = KINDS[record.kind]
    detail = module.event(record)
    if "Tags" in detail:
        detail["Tags"] = tags.of(platform.store, record.region, record.body["Arn"])
    platform.events.publish("aws.sagemaker", module.EVENT, detail, [record.body["Arn"]], record.region)
