"""How the open release ended. Pure, as the planner that asks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployment import attempt as attempts
from deployment.attempt import Attempt
from deployment.goal import Goal
from deployment.observed import Observed
from deployment.states import FAILED, SUCCEEDED, SUPERSEDED

#: The endpoint is changing; an event follows. Source: API reference, DescribeEndpoint, EndpointStatus.
CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
#: What SageMaker says when it has no machine of a type. Source: SageMaker Developer Guide, "Troubleshoot Amazon
#: SageMaker AI model deployments", and the error ResourceLimitExceeded of a quota.
_NO_CAPACITY = re.compile(
    r"insufficient\s*(instance)?\s*capacity|capacity.{0,40}(not available|unavailable|insufficient)"
    r"|unable to provision|ResourceLimitExceeded|service limit",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the open release ended."""

    state: str
    reason: str


def is_capacity(reason: str) -> bool:
    """Does a failure's reason say that there was no machine of the type?"""
    return _NO_CAPACITY.search(reason) is not None


def verdict(goal: Goal, seen: Observed) -> Verdict | None:
    """How the open release ended; None: none is open, or it has not ended.

    What is served and desired has not ended until its golden requests are answered.
    """
    open_, now = seen.attempt, seen.endpoint
    if open_ is None or open_.failed:
        return None
    if now is None:
        return Verdict(SUPERSEDED, "the endpoint was deleted") if open_.state == attempts.STARTED else None
    if now.status in CHANGING:
        return None
    if now.config == open_.endpoint_config:
        if now.status == "InService":
            return _answered(goal, open_)
        return Verdict(FAILED, now.failure or f"the endpoint is {now.status}, and no reason is given")
    if open_.state == attempts.STARTED or now.modified != open_.modified:
        return Verdict(FAILED, now.failure or f"the endpoint is {now.status} with the configuration {now.config}")
    return None


def _answered(goal: Goal, open_: Attempt) -> Verdict | None:
    """The same for a release whose traffic has moved: it ends when it has answered, whatever is desired by then."""
    desired = goal.package is None or goal.serving(open_.endpoint_config) is not None
    if open_.golden is None:
        if desired or not goal.at_once:
            return None
        return Verdict(SUPERSEDED, "another package is wanted at once, before its golden requests were answered")
    if open_.golden.pending:
        if desired:
            return None
        return Verdict(SUPERSEDED, f"another package is desired, and it has not answered: {open_.golden.message}")
    if open_.golden.failed:
        return Verdict(FAILED, f"its answers were wrong: {open_.golden.message}")
    return Verdict(SUCCEEDED, "the endpoint serves it")
