"""FailureReason in the forms in which SageMaker writes it.

Source: SageMaker Developer Guide, "How Amazon SageMaker AI Signals Algorithm Success and Failure", and the reasons that
jobs on AWS report: a class of error, a colon, the text.
"""

from __future__ import annotations

from pathlib import Path

#: DescribeTrainingJob and DescribeProcessingJob return this many characters.
LONGEST = 1024


class JobFailed(Exception):
    """The job ends as Failed; the message is its FailureReason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = shorten(reason)


def algorithm_error(code: int, text: str) -> JobFailed:
    """The container ended with exit code ``code``; ``text`` is what it wrote about it, if anything."""
    tail = f", exit code: {code}"
    return JobFailed(f"AlgorithmError: {shorten(text.strip(), LONGEST - len(tail) - 16)}{tail}")


def client_error(text: str) -> JobFailed:
    """Something that the caller can put right: data, image, permissions."""
    return JobFailed(f"ClientError: {text}")


def no_objects(uri: str, region: str, role_arn: str) -> str:
    """AWS's sentence for an input that matches nothing."""
    bucket = uri.removeprefix("s3://").partition("/")[0]
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in '
        f"the selected region ({region}), that objects exist under that S3 prefix, and that the role "
        f'"{role_arn}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )


#: What a job gets whose server ended; the first two sentences are AWS's.
INTERRUPTED = (
    "InternalServerError: We encountered an internal error. Please try again. "
    "The local SageMaker ended while this job was running."
)
#: What DescribeProcessingJob says of a job that took too long; for training jobs it is a secondary status.
PROCESSING_TIMED_OUT = "Processing job runtime exceeded MaxRuntimeInSeconds provided"

NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)

INTERNAL = "InternalServerError: We encountered an internal error. Please try again."


def exit_code(returncode: int) -> int:
    """A process's return code as a container's exit code: 137 for SIGKILL."""
    return 128 - returncode if returncode < 0 else returncode


def read_text(path: Path, limit: int = LONGEST) -> str:
    """The first characters of a file that a container may have written; empty when there is none."""
    try:
        with path.open("rb") as file:
            return file.read(limit * 4).decode("utf-8", "replace")[:limit]
    except OSError:
        return ""


def shorten(text: str, limit: int = LONGEST) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
