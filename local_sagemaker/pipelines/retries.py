"""Retry policies of steps.

Source: SageMaker Developer Guide, "Retry Policy for Pipeline Steps".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SERVICE_FAULT, THROTTLING = "Step.SERVICE_FAULT", "Step.THROTTLING"
INTERNAL_ERROR, CAPACITY_ERROR = "SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR"
RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"

STEP_TYPES = (SERVICE_FAULT, THROTTLING)
JOB_TYPES = (INTERNAL_ERROR, CAPACITY_ERROR, "SageMaker.JOB_CAPACITY_ERROR", RESOURCE_LIMIT)

#: Upper bounds of the members; MaxAttempts has 1 as its lower bound, the others 0.
_LIMITS = {"IntervalSeconds": 43_200, "BackoffRate": float("inf"), "MaxAttempts": 20, "ExpireAfterMin": 14_400}


@dataclass(frozen=True, slots=True)
class Policy:
    """``interval`` in seconds; ``attempts`` counts retries, not the first try; ``expire`` in seconds since that."""

    types: frozenset[str]
    interval: float = 1.0
    backoff: float = 2.0
    attempts: int | None = None
    expire: float | None = None

    def delay(self, done: int, elapsed: float) -> float | None:
        """Seconds until the next try, after ``done`` retries and ``elapsed`` seconds of the step; None: no more."""
        if self.attempts is not None and done >= self.attempts:
            return None
        wait = self.interval * self.backoff**done
        if self.expire is not None and elapsed + wait > self.expire:
            return None
        return wait


#: Pipelines retries these without any policy.
BUILT_IN = Policy(frozenset(STEP_TYPES), interval=1.0, backoff=2.0, attempts=3)


def problems(policies: Any, job_step: bool) -> Iterator[str]:
    """What is wrong with a step's RetryPolicies."""
    if not isinstance(policies, list):
        yield "RetryPolicies must be a list"
        return
    allowed = (*STEP_TYPES, *(JOB_TYPES if job_step else ()))
    for policy in policies:
        if not isinstance(policy, dict):
            yield "each member of RetryPolicies must be an object"
            continue
        unknown = set(policy) - {"ExceptionType", *_LIMITS}
        if unknown:
            yield f"RetryPolicies has the unknown member {sorted(unknown)[0]}"
        types = policy.get("ExceptionType")
        if not isinstance(types, list) or not types or not all(isinstance(kind, str) for kind in types):
            yield "RetryPolicies needs ExceptionType, a list with one member or more"
        else:
            for kind in types:
                if kind not in allowed:
                    yield f"RetryPolicies has the ExceptionType {kind!r}; this step takes {', '.join(allowed)}"
        if "MaxAttempts" not in policy and "ExpireAfterMin" not in policy:
            yield "RetryPolicies needs MaxAttempts or ExpireAfterMin"
        for name, high in _LIMITS.items():
            value, low = policy.get(name, 1), 1 if name == "MaxAttempts" else 0
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                yield f"RetryPolicies has {name} {value!r}; it must be a number from {low} to {high:g}"


def parse(policies: Sequence[Mapping[str, Any]]) -> tuple[Policy, ...]:
    return tuple(
        Policy(
            frozenset(
                CAPACITY_ERROR if kind == "SageMaker.JOB_CAPACITY_ERROR" else kind for kind in policy["ExceptionType"]
            ),
            float(policy.get("IntervalSeconds", 1)),
            float(policy.get("BackoffRate", 2.0)),
            policy.get("MaxAttempts"),
            policy["ExpireAfterMin"] * 60.0 if "ExpireAfterMin" in policy else None,
        )
        for policy in policies
    )


def find(policies: Sequence[Policy], kind: str) -> tuple[int, Policy] | None:
    """The policy for an exception type and its number (its retries are counted apart); the built-in one is -1."""
    for number, policy in enumerate(policies):
        if kind in policy.types:
            return number, policy
    return (-1, BUILT_IN) if kind in BUILT_IN.types else None


def of_api_error(code: str, status: int) -> str | None:
    """The exception type of a refused API call; None when a retry cannot help."""
    if code in ("ThrottlingException", "Throttling", "TooManyRequestsException"):
        return THROTTLING
    if code == "ResourceLimitExceeded":
        return RESOURCE_LIMIT
    return SERVICE_FAULT if status >= 500 else None


def of_failure_reason(reason: str) -> str | None:
    """The exception type of a failed job's FailureReason; None when a retry cannot help."""
    if reason.startswith("InternalServerError"):
        return INTERNAL_ERROR
    if reason.startswith("CapacityError"):
        return CAPACITY_ERROR
    return RESOURCE_LIMIT if reason.startswith("ResourceLimitExceeded") else None
