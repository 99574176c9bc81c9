"""When a request is sent again: it was turned away before anything was done for it, and there is time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cv_factory.client.errors import PredictionError

#: Codes of AWS's own throttling, and of an endpoint that is still being provisioned (status 429).
#: Source: botocore, ThrottledRetryableChecker; service model of SageMaker Runtime, InvokeEndpoint.
_THROTTLED = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
        "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "SlowDown",
        "ModelNotReadyException",
    }
)  # fmt: skip
#: What the container answers when its queue is full (:data:`contracts.invocation.ERRORS`).
_OVERLOADED = "overloaded"

#: Seconds: the first pause is at most this long, each further one at most twice as long, none longer than the last.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time: so many seconds after it was made."""

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds, negative when it is over."""
        return self.at - time.monotonic()


def is_throttled(error: BaseException) -> bool:
    """Whether the endpoint, or SageMaker before it, only had no room for the request."""
    return isinstance(error, PredictionError) and (
        error.status == 429 or error.code in _THROTTLED or error.code == _OVERLOADED
    )


def was_not_sent(error: BaseException) -> bool:
    """Whether there was no connection to send the request on."""
    from botocore import exceptions as aws

    return isinstance(error, aws.EndpointConnectionError | aws.ConnectTimeoutError | aws.ProxyConnectionError)


def call(attempt: Callable[[Deadline], Any], deadline: Deadline) -> Any:
    """What ``attempt`` returns; tried again, until the deadline, only where nothing was done for the request.

    Pauses are random between nothing and a ceiling that doubles ("full jitter": AWS Architecture Blog, "Exponential
    Backoff And Jitter"), so that clients that were turned away together do not come back together.
    """
    ceiling = FIRST_PAUSE
    while True:
        try:
            return attempt(deadline)
        except Exception as error:
            pause = random.uniform(0, ceiling)  # noqa: S311 - no secret
            if not (is_throttled(error) or was_not_sent(error)) or pause >= deadline.left:
                raise
        time.sleep(pause)
        ceiling = min(2 * ceiling, LONGEST_PAUSE)
