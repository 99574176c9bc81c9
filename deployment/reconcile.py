"""The endpoint follows the registry: look, plan, act.

Nothing here waits: each run looks at the registry and the endpoint afresh, so events may come twice, late or never, and
a run may be killed after any of its calls. Who looks needs nothing; who acts holds the lease (:mod:`deployment.lease`)
and looks again under it. A release is open from its first action until a later event, or the sweep, sees how it ended.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from botocore.exceptions import ClientError

from contracts.release import ReleaseSettings
from deployment import checked, executor, goal, lease, log, observed, outcome, packages, planner
from deployment.aws import Session
from deployment.clients import Clients
from deployment.executor import LookAgain, NoCapacity
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
    wanted, seen, plan = look(clients, settings, retry=retry, recheck=retry, at_once=at_once)
    if plan.actions:
        # What the plan says is not done: it is made again under the lease.
        result = _act(clients, settings, wanted, seen.status, retry=retry, at_once=at_once)
    else:
        result = executor.without_actions(settings, wanted, plan, seen.status)
    level = logging.INFO if result.ok else logging.ERROR
    log.event("reconciled", level=level, **result.to_json())
    return result


def look(
    clients: Clients,
    settings: ReleaseSettings,
    *,
    retry: bool = False,
    recheck: bool = False,
    at_once: bool = False,
) -> tuple[Goal, Observed, Plan]:
    """What is desired, what is there, and what is due. Changes nothing."""
    desired = packages.desired(clients.sagemaker, clients.s3, settings.names)
    wanted = goal.of(desired, settings, at_once=at_once)
    seen = observed.observe(clients, settings)
    served = seen.endpoint is not None and wanted.serving(seen.endpoint.config) is not None
    if seen.status not in planner.CHANGING and (retry or not (served and seen.status == "InService")):
        # Else nothing is rolled out now, so the record is not needed.
        seen = replace(seen, before=checked.look(clients.s3, settings, wanted))
    return wanted, seen, planner.plan(wanted, seen, retry=retry, recheck=recheck)


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
    recheck, earlier, rejected = retry, (), ""  # type: bool, tuple[dict[str, str], ...], str
    for _ in range(_ROUNDS):
        wanted, seen, plan = look(clients, settings, retry=retry, recheck=recheck, at_once=at_once)
        if plan.actions:
            try:
                answer = executor.execute(clients, settings, held, wanted, seen, plan)
            except NoCapacity:
                retry = recheck = False
                continue
            except LookAgain as known:
                recheck, answer = False, None
                earlier += tuple(action.to_json() for action in known.done)
                rejected = known.rejected or rejected
                continue
        elif answer is None:
            answer = executor.without_actions(settings, wanted, plan, seen.status)
        mark = held.give_back()
        if not mark:
            return _with(answer, earlier, rejected)
        retry = recheck = mark == lease.RETRY
        at_once = False
    held.give_back(anyway=True)
    return _with(answer or executor.without_actions(settings, wanted, plan, seen.status), earlier, rejected)


def _with(answer: Outcome, earlier: tuple[dict[str, str], ...], rejected: str) -> Outcome:
    """The answer with what the run has done before its last look; a rejection is for a person to look at."""
    answer = replace(answer, actions=(*earlier, *answer.actions))
    if not rejected:
        return answer
    return replace(answer, action=outcome.FAILED, message=f"{rejected}. Now: {answer.message}")
