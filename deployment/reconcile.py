"""The endpoint follows the registry: look, plan, act.

Nothing here waits: each run looks at the registry and the endpoint afresh, so events may come twice, late or never, and
a run may be killed after any of its calls. Who looks needs nothing; who acts holds the lease (:mod:`deployment.lease`)
and looks again under it. A release is open from its first action until a later event, or the sweep, sees how it ended.
"""

from __future__ import annotations

import logging
from typing import Protocol

from contracts.release import ReleaseSettings
from deployment import at_once as wishes
from deployment import log, outcome
from deployment.at_once import Wish
from deployment.aws import Session
from deployment.clients import Clients
from deployment.looking import look
from deployment.outcome import Outcome


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
        at_once: what is desired now is rolled out with neither guards nor waits, by this run or a later one.

    Raises:
        ClientError: a call was refused; the next run goes on from there.
    """
    clients = Clients(session)
    wanted, seen, plan = look(clients, settings, retry=retry, recheck=retry)
    if at_once and wanted.candidates and plan.result != outcome.SERVING:
        wishes.write(clients.s3, settings, Wish(wanted.candidates[0].config_name))
    if plan.actions:
        # What the plan says is not done: it is made again under the lease.
        # Most runs only look, and a cold start compiles what it imports: the actions and the checks are half of it all.
        from deployment import acting

        result = acting.act(clients, settings, wanted, seen.status, retry=retry)
    else:
        result = plan.answer(settings, wanted, seen.status)
    level = logging.INFO if result.ok else logging.ERROR
    log.event("reconciled", level=level, **result.to_json())
    return result
