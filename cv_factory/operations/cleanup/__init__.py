"""Taking away what nothing uses (``cleanup``) or all that is billed (``--all``); looking that none is (``--verify``).

First a plan, then a question, then the removals in an order in which nothing is ever used by something that is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from contracts.errors import FactoryError
from cv_factory.operations.cleanup import planning, removal
from cv_factory.operations.cleanup.inventory import Look
from cv_factory.operations.cleanup.planning import Rules
from cv_factory.operations.cleanup.things import Decided, Plan
from cv_factory.operations.cleanup.verifying import Verified, verify

if TYPE_CHECKING:
    from cv_factory.session import Target

__all__ = ["Cleaned", "Plan", "Verified", "clean", "plan", "verify"]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was removed, what could not be (with the reason), and what was left because it is in use by now."""

    removed: tuple[Decided, ...]
    failed: tuple[tuple[Decided, str], ...]
    spared: tuple[Decided, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "removed": [each.to_json() for each in self.removed],
            "failed": [{**each.to_json(), "error": error} for each, error in self.failed],
            "spared": [each.to_json() for each in self.spared],
        }


def plan(target: Target, *, everything: bool = False, now: datetime | None = None) -> Plan:
    """What a clean-up would do now. Nothing is changed.

    Args:
        everything: ``--all``.
        now: what age is counted from; None: this moment.
    """
    settings = target.settings
    rules = Rules(settings.names, settings.release.keep, settings.training.cache_days, everything)
    return planning.plan(Look(target).everything(), rules, now or datetime.now(UTC))


def clean(
    target: Target,
    agreed: Plan,
    say: Callable[[str], None],
    *,
    everything: bool = False,
    now: datetime | None = None,
) -> Cleaned:
    """Do what was agreed on, as far as a second look still says so: an approval may have come in between.

    One failure does not stop the rest; but what something uses that could not be removed stays.
    """
    again = {(each.thing.kind, each.thing.name) for each in plan(target, everything=everything, now=now).removals}
    removed: list[Decided] = []
    failed: list[tuple[Decided, str]] = []
    spared: list[Decided] = []
    for each in agreed.removals:
        blocked = any(each.thing.name in other.thing.uses for other, _ in failed)
        if (each.thing.kind, each.thing.name) not in again or blocked:
            spared.append(each)
            continue
        try:
            removal.remove(target, each)
        except (ClientError, BotoCoreError, FactoryError) as error:
            failed.append((each, str(error).splitlines()[0]))
            say(f"left behind: {each.thing.kind} {each.thing.name}: {failed[-1][1]}")
        else:
            removed.append(each)
            say(f"removed: {each.thing.kind} {each.thing.name}")
    return Cleaned(tuple(removed), tuple(failed), tuple(spared))
