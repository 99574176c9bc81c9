"""What ``cleanup`` speaks of: things that are there, and what is to become of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

# Kinds, in the order in which they are removed: what uses comes before what is used.
EXECUTION, SCALING, ALARM, ENDPOINT = "execution", "autoscaling", "alarm", "endpoint"
CONFIG, MODEL, KEPT, RUN, IMAGE = "endpoint config", "model", "package artefacts", "run", "image"
KINDS = (EXECUTION, SCALING, ALARM, ENDPOINT, CONFIG, MODEL, KEPT, RUN, IMAGE)


@dataclass(frozen=True, slots=True)
class Thing:
    """Something of the environment that the factory's own code made.

    Attributes:
        name: of the resource; a prefix of the artefact bucket; ``repository@digest`` of an image.
        changed: when it was made or last written, with its time zone; None: nobody says.
        size: bytes; 0 where it has none.
        usd_month: what AWS asks for it in a month (730 hours); None: ``prices.yaml`` has no price.
        status: as SageMaker says it; empty where there is none.
        uses: names of what it needs: a configuration's models, an endpoint's configurations, a model's package (ARN).
        labels: tags of an image.
    """

    kind: str
    name: str
    changed: datetime | None = None
    size: int = 0
    usd_month: float | None = 0.0
    status: str = ""
    uses: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    expire_hours: float = 0.0

    def age_hours(self, now: datetime) -> float:
        """Hours since it changed; 0 where nobody says: then it is as good as new."""
        return max(0.0, (now - self.changed).total_seconds() / 3600) if self.changed else 0.0


@dataclass(frozen=True, slots=True)
class Decided:
    """A thing, and why it goes or stays."""

    thing: Thing
    why: str

    def to_json(self) -> dict[str, Any]:
        thing = self.thing
        return {
            "kind": thing.kind, "name": thing.name, "why": self.why, "bytes": thing.size,
            "usd_month": None if thing.usd_month is None else round(thing.usd_month, 4),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What a clean-up would do. ``removals`` are in the order in which they are done."""

    removals: tuple[Decided, ...]
    stays: tuple[Decided, ...]

    @property
    def usd_month(self) -> float:
        """What the removals cost in a month, as far as their prices are known."""
        return sum(each.thing.usd_month or 0.0 for each in self.removals)

    @property
    def size(self) -> int:
        return sum(each.thing.size for each in self.removals)

    def to_json(self) -> dict[str, Any]:
        return {
            "removals": [each.to_json() for each in self.removals],
            "stays": [each.to_json() for each in self.stays],
            "bytes": self.size, "usd_month": round(self.usd_month, 4),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Release:
    """A package of the group, as far as it decides what stays.

    Attributes:
        kept: the prefix of its artefacts in the artefact bucket; empty: it names none.
        digests: of its images.
        good: it was served once, says the ledger; or it is Approved.
    """

    version: int
    approval: str
    kept: str
    digests: frozenset[str]
    good: bool


@dataclass(frozen=True)
class Inventory:
    """Everything of the environment that was found.

    Attributes:
        releases: the packages of the group.
        running: ids of executions that run.
        needed: tags and digests of images that the pipeline's definition or this checkout names.
        desired: version of the package that the release desires; 0: none.
    """

    things: tuple[Thing, ...]
    releases: tuple[Release, ...] = ()
    running: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()
    desired: int = 0

    def of(self, kind: str) -> list[Thing]:
        return [thing for thing in self.things if thing.kind == kind]
