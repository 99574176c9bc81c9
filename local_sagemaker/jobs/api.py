"""The operations of training, processing and transform jobs."""

from __future__ import annotations

from typing import Any

from local_sagemaker import tags
from local_sagemaker.api import Call, operation, page
from local_sagemaker.errors import ValidationException
from local_sagemaker.jobs import processing, states, training, transform
from local_sagemaker.jobs.service import find


@operation("CreateTrainingJob")
def create_training_job(call: Call) -> dict[str, Any]:
    return {"TrainingJobArn": call.platform.jobs.create(call, training.KIND)}


@operation("DescribeTrainingJob")
def describe_training_job(call: Call) -> dict[str, Any]:
    return training.describe(find(call, training.KIND))


@operation("ListTrainingJobs")
def list_training_jobs(call: Call) -> dict[str, Any]:
    records = call.platform.store.list(training.KIND, call.region)
    if call.request.get("WarmPoolStatusEquals") or call.request.get("TrainingPlanArnEquals"):
        records = []  # no job here has a warm pool or a training plan
    return page(call, records, training.summary, "TrainingJobSummaries")


@operation("StopTrainingJob")
def stop_training_job(call: Call) -> None:
    call.platform.jobs.request_stop(training.KIND, find(call, training.KIND))


@operation("DeleteTrainingJob")
def delete_training_job(call: Call) -> None:
    _delete(call, training.KIND)


@operation("CreateProcessingJob")
def create_processing_job(call: Call) -> dict[str, Any]:
    return {"ProcessingJobArn": call.platform.jobs.create(call, processing.KIND)}


@operation("DescribeProcessingJob")
def describe_processing_job(call: Call) -> dict[str, Any]:
    return processing.describe(find(call, processing.KIND))


@operation("ListProcessingJobs")
def list_processing_jobs(call: Call) -> dict[str, Any]:
    records = call.platform.store.list(processing.KIND, call.region)
    return page(call, records, processing.summary, "ProcessingJobSummaries")


@operation("StopProcessingJob")
def stop_processing_job(call: Call) -> None:
    call.platform.jobs.request_stop(processing.KIND, find(call, processing.KIND))


@operation("DeleteProcessingJob")
def delete_processing_job(call: Call) -> None:
    _delete(call, processing.KIND)


@operation("CreateTransformJob")
def create_transform_job(call: Call) -> dict[str, Any]:
    return {"TransformJobArn": call.platform.jobs.create(call, transform.KIND)}


@operation("DescribeTransformJob")
def describe_transform_job(call: Call) -> dict[str, Any]:
    return transform.describe(find(call, transform.KIND))


@operation("ListTransformJobs")
def list_transform_jobs(call: Call) -> dict[str, Any]:
    records = call.platform.store.list(transform.KIND, call.region)
    return page(call, records, transform.summary, "TransformJobSummaries")


@operation("StopTransformJob")
def stop_transform_job(call: Call) -> None:
    call.platform.jobs.request_stop(transform.KIND, find(call, transform.KIND))


def _delete(call: Call, kind: str) -> None:
    """Forget an ended job; its name is free again.

    Raises:
        ValidationException: it has not ended.
    """
    record = find(call, kind)
    if record.body["Status"] not in states.ENDED:
        raise ValidationException(
            f"The job {record.body['Arn']} is {record.body['Status']}; only a job that has ended can be deleted."
        )
    with call.platform.store.transaction():
        call.platform.store.delete(kind, call.region, record.name)
        tags.drop(call, record.body["Arn"])
