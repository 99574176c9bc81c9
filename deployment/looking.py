"""Looking: what is desired, what is there, and the plan that follows. No call here changes anything."""

from __future__ import annotations

from dataclasses import replace

from contracts.release import ReleaseSettings
from deployment import at_once, checked, goal, observed, packages, planner
from deployment.clients import Clients
from deployment.goal import Goal
from deployment.observed import Observed, Part
from deployment.planner import Plan


def look(
    clients: Clients,
    settings: ReleaseSettings,
    *,
    retry: bool = False,
    recheck: bool = False,
    part: Part = observed.all_of_it,
) -> tuple[Goal, Observed, Plan]:
    """What is desired, what is there, and what is due. Changes nothing.

    ``part``: as in :func:`deployment.observed.observe`.
    """
    desired = packages.desired(clients.sagemaker, clients.s3, settings.names)
    wanted = goal.of(desired, settings)
    seen = observed.observe(clients, settings, part)
    served = seen.endpoint is not None and wanted.serving(seen.endpoint.config) is not None
    if seen.status not in planner.CHANGING and (retry or not (served and seen.status == "InService")):
        # Else nothing is rolled out now, so neither record is needed.
        before, wish = checked.look(clients.s3, settings, wanted), at_once.read(clients.s3, settings)
        seen = replace(seen, before=before, wish=wish)
        if wish is not None and wanted.serving(wish.endpoint_config) is not None:
            wanted = goal.of(desired, settings, at_once=True)
    return wanted, seen, planner.plan(wanted, seen, retry=retry, recheck=recheck)
