"""The endpoint follows the registry: look, plan, act.

Nothing here waits: each run looks at the registry and the endpoint afresh, so events may come twice, late or never, and
a run may be killed after any of its calls. Who looks needs nothing; who acts holds the lease (:mod:`deployment.lease`)
and looks again under it. A release is open from its first action until a later event, or the sweep, sees how it ended.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Protocol

from botocore.exceptions import ClientError

from contracts.release import ReleaseSettings
from deployment import executor, goal, lease, log, observed, outcome, packages, planner
from deployment.aws import Session
from deployment.clients import Clients
from deployment.executor import NoCapacity
from deployment.goal import Goal
from deployment.lease import Lease, LeaseLost
from deployment.observed import Observed
from deployment.outcome import Outcome
from deployment.planner import Plan

#: Looks of one run; each further one is for another instance type, or for somebody who found it at work.
_ROUNDS = 10


class Act(Protocol):
    """Who acts when a person has decided: :func:`retry`, or a call of the deployer's function."""

    def __call__(self, session: Session, settings: ReleaseSettings, /, *, at_once: bool) -> Outcome: ...


def retry(session: Session, settings: ReleaseSettings, *, at_once: bool) -> Outcome:
    """A person asks for it: what failed before is tried again."""
    return reconcile(session, settings, retry=True, at_once=at_once)


def reconcile(session: Session, settings: ReleaseSettings, *, retry: bool = False, at_once: bool = False) -> Outcome:
    """Bring the endpoint one step nearer to the desired package; returns what was done.

    Args:
        retry: a person asks for it, so a roll-out that failed before is tried again.
        at_once: an update that this run starts has neither guards nor waits.

    Raises:
        ClientError: a call was refused; the next run goes on from there.
    """
    clients = Clients(session)
    wanted, seen, plan = look(clients, settings, retry=retry, at_once=at_once)
    if plan.actions:
        # What the plan says is not done: it is made again under the lease.
        result = _act(clients, settings, wanted, seen.status, retry=retry, at_once=at_once)
    else:
        result = executor.without_actions(settings, wanted, plan, seen.status)
    level = logging.INFO if result.ok else logging.ERROR
    log.event("reconciled", level=level, **result.to_json())
    return result


def look(
    clients: Clients, settings: ReleaseSettings, *, retry: bool = False, at_once: bool = False
) -> tuple[Goal, Observed, Plan]:
    """What is desired, what is there, and what is due. Changes nothing."""
    desired = packages.desired(clients.sagemaker, clients.s3, settings.names)
    wanted = goal.of(desired, settings, at_once=at_once)
    seen = observed.observe(clients, settings)
    return wanted, seen, planner.plan(wanted, seen, retry=retry)


def _act(
    clients: Clients, settings: ReleaseSettings, wanted: Goal, status: str, *, retry: bool, at_once: bool
) -> Outcome:
    held = lease.take(clients.s3, settings, lease.RETRY if retry else lease.LOOK)
    if held is None:
        message = "another run is at work; it looks once more before it ends"
        return executor.without_actions(settings, wanted, Plan(outcome.WAITING, message), status)
    try:
        return _while_asked(clients, settings, held, retry=retry, at_once=at_once)
    except LeaseLost:
        message = "another run has taken over; it does what is due"
        return executor.without_actions(settings, wanted, Plan(outcome.WAITING, message), status)
    except BaseException:
        with suppress(ClientError):
            held.give_back(anyway=True)
        raise


def _while_asked(clients: Clients, settings: ReleaseSettings, held: Lease, *, retry: bool, at_once: bool) -> Outcome:
    """Look and act under the lease, again while somebody asks for it; the answer is that of the last that acted."""
    answer: Outcome | None = None
    for _ in range(_ROUNDS):
        wanted, seen, plan = look(clients, settings, retry=retry, at_once=at_once)
        if plan.actions:
            try:
                answer = executor.execute(clients, settings, held, wanted, seen, plan)
            except NoCapacity:
                retry = False
                continue
        elif answer is None:
            answer = executor.without_actions(settings, wanted, plan, seen.status)
        mark = held.give_back()
        if not mark:
            return answer
        retry, at_once = mark == lease.RETRY, False
    held.give_back(anyway=True)
    return answer or executor.without_actions(settings, wanted, plan, seen.status)
