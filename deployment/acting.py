"""Acting: under the lease, look again and do what is due, once more for everybody who found the lease held."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from botocore.exceptions import ClientError

from contracts.release import ReleaseSettings
from deployment import executor, lease, outcome
from deployment.clients import Clients
from deployment.executor import LookAgain, NoCapacity
from deployment.goal import Goal
from deployment.lease import Lease, LeaseLost
from deployment.looking import look
from deployment.outcome import Outcome
from deployment.planner import Plan

#: Looks of one run; each further one is for another instance type, or for somebody who found it at work.
_ROUNDS = 10


def act(clients: Clients, settings: ReleaseSettings, wanted: Goal, status: str, *, retry: bool) -> Outcome:
    held = lease.take(clients.s3, settings, lease.RETRY if retry else lease.LOOK)
    if held is None:
        message = "another run is at work; it looks once more before it ends"
        return Plan(outcome.WAITING, message).answer(settings, wanted, status)
    try:
        return _while_asked(clients, settings, held, retry=retry)
    except LeaseLost:
        message = "another run has taken over; it does what is due"
        return Plan(outcome.WAITING, message).answer(settings, wanted, status)
    except BaseException:
        with suppress(ClientError):
            held.give_back(anyway=True)
        raise


def _while_asked(clients: Clients, settings: ReleaseSettings, held: Lease, *, retry: bool) -> Outcome:
    """Look and act under the lease, again while somebody asks for it; the answer is that of the last that acted."""
    answer: Outcome | None = None
    recheck, earlier, rejected = retry, (), ""  # type: bool, tuple[dict[str, str], ...], str
    for _ in range(_ROUNDS):
        wanted, seen, plan = look(clients, settings, retry=retry, recheck=recheck)
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
            answer = plan.answer(settings, wanted, seen.status)
        mark = held.give_back()
        if not mark:
            return _with(answer, earlier, rejected)
        retry = recheck = mark == lease.RETRY
    held.give_back(anyway=True)
    return _with(answer or plan.answer(settings, wanted, seen.status), earlier, rejected)


def _with(answer: Outcome, earlier: tuple[dict[str, str], ...], rejected: str) -> Outcome:
    """The answer with what the run has done before its last look; a rejection is for a person to look at."""
    answer = replace(answer, actions=(*earlier, *answer.actions))
    if not rejected:
        return answer
    return replace(answer, action=outcome.FAILED, message=f"{rejected}. Now: {answer.message}")
