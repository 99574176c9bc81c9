"""What the requests say: who got them, in which stage, and which of them the good model lost. Pure functions."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bad_model.load import Asked


@dataclass(frozen=True)
class Stage:
    """From ``start`` on (this machine's clock) the new model had ``share`` of the traffic by its strategy."""

    start: float
    share: float


@dataclass(frozen=True)
class Share:
    """What the bad model saw in a stage: ``bad`` of ``all`` requests."""

    allowed: float
    bad: int
    all: int

    @property
    def found(self) -> float:
        return self.bad / self.all if self.all else 0.0

    @property
    def most(self) -> float:
        """The share, and three standard errors of a binomial with it."""
        return self.allowed + 3 * math.sqrt(self.allowed * (1 - self.allowed) / self.all) if self.all else 1.0

    @property
    def over(self) -> bool:
        return self.found > self.most


@dataclass(frozen=True)
class Read:
    """A request that a container has read; ``died``: and its process ended with it."""

    at: float
    who: str
    id: str
    died: bool


def journal(file: Path) -> list[Read]:
    """What all containers have read, by time; golden requests, which have no id, are left out but for deaths."""
    lines = file.read_text().splitlines() if file.exists() else []
    found = [Read(**json.loads(line)) for line in lines]
    return sorted((one for one in found if one.id or one.died), key=lambda one: one.at)


def shares(reads: Sequence[Read], bad: str, stages: Sequence[Stage]) -> list[Share]:
    """The bad model's part of each stage that limits it.

    A stage ends where the next begins, and the last one with the last request that the bad model got: what came after
    it would only make its share smaller.
    """
    times = [one.at for one in reads]
    last = max((one.at for one in reads if one.who == bad), default=0.0)
    found = []
    for number, stage in enumerate(stages):
        end = min([last, *(later.start for later in stages[number + 1 : number + 2])])
        if stage.share >= 1.0 or end < stage.start:
            continue
        part = reads[bisect_left(times, stage.start) : bisect_left(times, math.nextafter(end, math.inf))]
        found.append(Share(stage.share, sum(one.who == bad for one in part), len(part)))
    return found


def lost_on_good(asked: Sequence[Asked], reads: Sequence[Read], bad: str) -> list[Asked]:
    """The requests that failed although the good model should have answered them.

    A failed request is the bad model's if a container of it has read it; if it broke off (``ModelError``) unread, and a
    container of it ended meanwhile; or if nobody was there for it and the last request that was read before it was
    sent was the bad model's. That is so while the bad one has all of the traffic. While it has a part of it the old
    fleet takes what the new one cannot, so that a request that finds nobody would be lost there.
    """
    by_id = {one.id: one for one in reads}
    deaths = [one.at for one in reads if one.died and one.who == bad]
    times = [one.at for one in reads]

    def is_bads(one: Asked) -> bool:
        read = by_id.get(one.id)
        if read is not None:
            return read.who == bad
        if one.model_error:
            return any(one.start <= at <= one.end for at in deaths)
        before = bisect_left(times, one.start)
        return before > 0 and reads[before - 1].who == bad

    return [one for one in asked if one.status != 200 and not is_bads(one)]


def by_status(asked: Sequence[Asked], reads: Sequence[Read]) -> Mapping[str, dict[str, int]]:
    """Who -> status -> requests; ``nobody`` for what no container has read."""
    by_id = {one.id: one.who for one in reads}
    found: dict[str, dict[str, int]] = {}
    for one in asked:
        counts = found.setdefault(by_id.get(one.id, "nobody"), {})
        counts[str(one.status)] = counts.get(str(one.status), 0) + 1
    return found
