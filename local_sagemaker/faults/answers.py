"""The errors of faults that strike a call, as each service writes them.

Source: API references, "Common Errors" (ThrottlingException, InternalFailure); S3 "Error responses" (SlowDown,
InternalError); Lambda "TooManyRequestsException"; EC2 "Error codes" (RequestLimitExceeded, InternalError).
"""

from __future__ import annotations

from local_sagemaker.faults.registry import AFTER, BEFORE, QUOTA, THROTTLING, Faults


class Refusal(Exception):
    """An error answer: code, sentence, HTTP status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


#: Services whose Common Errors have ``Throttling``: those of the query protocol.
_QUERY = ("iam", "sts", "sns", "cloudwatch", "cloudformation", "elbv2", "rds", "autoscaling")

#: What too many calls are answered with.
_THROTTLED = {
    "s3": ("SlowDown", "Please reduce your request rate.", 503),
    "ec2": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "lambda": ("TooManyRequestsException", "Rate exceeded", 429),
    **dict.fromkeys(_QUERY, ("Throttling", "Rate exceeded", 400)),
}
_INTERNAL = {
    "s3": ("InternalError", "We encountered an internal error. Please try again.", 500),
    "ec2": ("InternalError", "An internal error has occurred.", 500),
}


def before(faults: Faults, service: str, operation: str, access_key: str) -> None:
    """Is this call struck before anything is done? ``service``: botocore's name of it; ``access_key``: the caller's.

    Raises:
        Refusal.
    """
    if faults.strike(THROTTLING, service=service, operation=operation, access_key=access_key):
        raise Refusal(*_THROTTLED.get(service, ("ThrottlingException", "Rate exceeded", 400)))
    if faults.strike(QUOTA, service=service, operation=operation, access_key=access_key):
        raise Refusal(
            "ResourceLimitExceeded",
            f"The account-level service limit for {operation} is 0, with current utilization of 0 and a request delta "
            "of 1. Please use AWS Service Quotas to request an increase for this quota.",
            400,
        )
    if faults.strike(BEFORE, service=service, operation=operation, access_key=access_key):
        raise internal(service)


def after(faults: Faults, service: str, operation: str, access_key: str) -> None:
    """Is this call struck after it was done?

    Raises:
        Refusal.
    """
    if faults.strike(AFTER, service=service, operation=operation, access_key=access_key):
        raise internal(service)


def internal(service: str) -> Refusal:
    """The server's own failure."""
    usual = ("InternalFailure", "The request processing has failed because of an unknown error.", 500)
    return Refusal(*_INTERNAL.get(service, usual))
