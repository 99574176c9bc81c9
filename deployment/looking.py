"""Looking: what is desired, what is there, and the plan that follows. No call here changes anything."""

from __future__ import annotations

from dataclasses import replace

from contracts.release import ReleaseSettings
from deployment import at_once, checked, goal, observed, packages, planner, verdict
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
    if seen.status not in verdict.CHANGING and (retry or not (served and seen.status == "InService")):
        # Else nothing is rolled out now, so neither record is needed.
        before, wish = checked.look(clients.s3, settings, wanted), at_once.read(clients.s3, settings)
        seen = replace(seen, before=before, wish=wish)
        wished = wish is not None and wanted.serving(wish.endpoint_config) is not None
        if wished or _is_known_to_be_wrong(seen, wanted):
            wanted = goal.of(desired, settings, at_once=True)
    return wanted, seen, planner.plan(wanted, seen, retry=retry, recheck=recheck)


def _is_known_to_be_wrong(seen: Observed, wanted: Goal) -> bool:
    """Is what is served rejected for its answers, and an older package desired?

    Then each minute of a bake is one of wrong answers, and an alarm that the wrong model set off would stop the way
    back.
    """
    last, now, package = seen.attempt, seen.endpoint, wanted.package
    if last is None or last.golden is None or not last.golden.failed or now is None or package is None:
        return False
    return now.config == last.endpoint_config and package.version < packages.version_of(last.package_arn)
