"""Proving that nothing is billed any more: every service that is asked, and what it answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from cv_factory.operations import prices
from cv_factory.operations.cleanup.inventory import Look
from cv_factory.operations.cleanup.things import Thing
from deployment import aws

if TYPE_CHECKING:
    from cv_factory.session import Target

#: How the jobs of a pipeline are named: ``pipelines-<execution id>-<step>-…``.
_JOBS = {
    "processing jobs": ("list_processing_jobs", "ProcessingJobSummaries", "ProcessingJobName"),
    "training jobs": ("list_training_jobs", "TrainingJobSummaries", "TrainingJobName"),
    "transform jobs": ("list_transform_jobs", "TransformJobSummaries", "TransformJobName"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One service that was asked.

    Attributes:
        billed: by the hour or month while it is there, and made by the factory's own code: must be empty.
        found: names of what is there.
        usd_month: what it costs a month; None: not known, or by the hour of work.
    """

    service: str
    what: str
    found: tuple[str, ...]
    billed: bool
    usd_month: float | None = 0.0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "service": self.service, "what": self.what, "found": list(self.found), "billed": self.billed,
            "usd_month": self.usd_month, "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verified:
    """Every answer. Nothing is left when no billed one found anything."""

    asked: tuple[Asked, ...]

    @property
    def left(self) -> tuple[Asked, ...]:
        return tuple(each for each in self.asked if each.billed and each.found)

    def to_json(self) -> dict[str, Any]:
        return {"nothing_billable": not self.left, "asked": [each.to_json() for each in self.asked]}


def verify(target: Target) -> Verified:
    """Ask every service in which the factory's own code makes something. Nothing is changed."""
    look = Look(target)
    asked = [
        _things("SageMaker", "endpoints", look.endpoints()),
        _things("SageMaker", "running executions", look.executions()),
        *(_jobs(look, what) for what in _JOBS),
        _things("Application Auto Scaling", "scalable targets", look.scaling()),
        _things("CloudWatch", "alarms of the endpoint", look.alarms()),
        _things("SageMaker", "endpoint configurations", look.configs(), billed=False, note="cost nothing"),
        _things("SageMaker", "models", look.models(), billed=False, note="cost nothing"),
        *_terraforms(look),
    ]
    return Verified(tuple(asked))


def _things(service: str, what: str, things: Iterable[Thing], *, billed: bool = True, note: str = "") -> Asked:
    found = list(things)
    known = [thing.usd_month for thing in found if thing.usd_month is not None]
    usd = sum(known) if len(known) == len(found) else None
    return Asked(service, what, tuple(thing.name for thing in found), billed, usd, note)


def _jobs(look: Look, what: str) -> Asked:
    """Jobs in progress that an execution of this environment's pipeline started; they are billed by the second."""
    operation, key, name = _JOBS[what]
    ours = {thing.name.rpartition("/")[2] for thing in look.executions()}
    pages = look.sagemaker.get_paginator(operation).paginate(StatusEquals="InProgress", NameContains="pipelines-")
    found = [item[name] for page in pages for item in page[key]]
    running = tuple(job for job in found if job.split("-")[1] in ours)
    return Asked("SageMaker", what, running, True, None if running else 0.0)


def _terraforms(look: Look) -> Iterator[Asked]:
    """What Terraform's ``infra destroy --with-data`` takes away, with what it holds: said, and no failure."""
    names, s3 = look.names, look.target.client("s3")
    gb, note = prices.load().standing, "Terraform's: cv-factory infra destroy --with-data"
    for bucket in (names.data_bucket, names.artifact_bucket):
        size, count = _size(s3, bucket)
        if count is not None:
            yield Asked("S3", f"{count} objects", (bucket,), False, round(size / 1e9 * gb["s3_gb"].usd, 4), note)
        else:
            yield Asked("S3", bucket, (), False)
    images = list(look.images())
    size = sum(thing.size for thing in images)
    yield Asked(
        "ECR", "images", tuple(thing.name for thing in images), False, round(size / 1e9 * gb["ecr_gb"].usd, 4),
        note if images else "",
    )  # fmt: skip


def _size(s3: Any, bucket: str) -> tuple[int, int | None]:
    size = count = 0
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", []):
                size, count = size + item["Size"], count + 1
    except ClientError as error:
        if not aws.is_missing(error):
            raise
        return 0, None
    return size, count
