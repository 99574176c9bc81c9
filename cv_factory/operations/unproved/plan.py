"""Which checks run: cheapest first, as long as the sum of what they may cost stays below the limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.errors import UsageError
from contracts.settings import Settings
from cv_factory.operations import unproved
from cv_factory.operations.prices import Prices
from cv_factory.operations.unproved.check import Check

#: USD that sums of figures may be off by.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Planned:
    """A check and what it adds to the bill at most, USD: for the first of a group with what the group shares."""

    check: Check
    usd: float

    @property
    def block(self) -> str:
        """Its group, or itself: what it made is needed until the end of its block."""
        return self.check.group or self.check.id


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs, in this order, and what is left out because the limit does not reach."""

    run: tuple[Planned, ...]
    left_out: tuple[Planned, ...]

    @property
    def usd(self) -> float:
        """The sum of what runs, USD."""
        return sum(one.usd for one in self.run)

    @property
    def whole(self) -> float:
        """The sum of all, USD."""
        return self.usd + sum(one.usd for one in self.left_out)


def choose(ids: Iterable[str]) -> list[Check]:
    """The checks of these ids, or of sections (``endpoint``); all of them for none.

    Raises:
        UsageError: there is no such check.
    """
    every = list(unproved.checks())
    wanted = list(ids)
    for one in wanted:
        if not any(_names(one, check) for check in every):
            known = ", ".join(check.id for check in every)
            raise UsageError(f"there is no check {one!r}", f"Known: {known}; or a section: pipeline, endpoint, …")
    return [check for check in every if not wanted or any(_names(one, check) for one in wanted)]


def _names(wanted: str, check: Check) -> bool:
    return wanted in (check.id, check.id.partition(".")[0])


def make(checks: Iterable[Check], settings: Settings, prices: Prices, max_usd: float) -> Plan:
    """Order checks by what they cost, a group together, and cut where ``max_usd`` would be passed.

    Raises:
        UsageError: there is no price of an instance type that they run.
    """
    groups: dict[str, list[Check]] = {}
    for check in checks:
        groups.setdefault(check.group or check.id, []).append(check)
    blocks = [_block(group, members, settings, prices) for group, members in groups.items()]
    blocks.sort(key=lambda block: sum(one.usd for one in block))
    run: list[Planned] = []
    left_out: list[Planned] = []
    spent = 0.0
    for one in (one for block in blocks for one in block):
        # Of a group the cheapest pays for what is shared: without it none of the others can run.
        without_shared = any(one.check.group and one.check.group == other.check.group for other in left_out)
        if without_shared or spent + one.usd > max_usd + _ROUNDING:
            left_out.append(one)
        else:
            spent += one.usd
            run.append(one)
    return Plan(tuple(run), tuple(left_out))


def _block(group: str, members: list[Check], settings: Settings, prices: Prices) -> list[Planned]:
    shared = sum(use.usd(settings, prices) for use in unproved.SHARED.get(group, ()))
    ordered = sorted(members, key=lambda check: check.usd(settings, prices))
    return [
        Planned(check, check.usd(settings, prices) + (shared if number == 0 else 0.0))
        for number, check in enumerate(ordered)
    ]
