"""One bad model with one strategy: approved under load, until the good one serves again by itself."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bad_model import load, measure
from benchmarks.bad_model.kinds import FIRST, GOOD, KINDS, good
from benchmarks.bad_model.load import Plan
from benchmarks.bad_model.measure import Share, Stage
from benchmarks.bad_model.place import BAKE_MINUTES, INSTANCES, Place, opened
from contracts.release import GUARDS
from deployment import guards, ledger
from tests.deployment.checks.factory import IMAGES
from tests.waiting import eventually

RATE = 25.0
#: Seconds of the server's clock a step, and requests that are answered before the next.
STEP, REQUESTS = 15.0, 22
#: Steps with the good model alone, so that it is known which labels are usual: from 100 predictions on.
WARM_UP = 8
#: Requests after the release has failed: all are to be the good one's.
AFTER = 40
#: Steps after which nothing more is expected: linear takes three bakes to the shift, and as many to go back.
_MOST = int((10 * BAKE_MINUTES * 60) / STEP)
#: Real seconds for a step: a bound for a bug.
_LONGEST = 120.0
_CAPACITY = re.compile(r"with traffic enabled on \w+ capacity of (\d+) instance")


@dataclass
class Found:
    """How it went.

    Attributes:
        back: the endpoint serves the good model again, the ledger says that the release failed, and the last requests
            were all the good one's.
        caught: what found it: a guard, or ``golden``.
        shares: of the stages that limit the bad model.
        whole: requests that the bad model got while it had all of the traffic.
        bad: requests that it got.
        asked: requests, all together; lost: those that the good one lost.
        minutes: of the server's clock, from the update's start until the good one had all of the traffic again.
    """

    strategy: str
    kind: str
    back: bool = False
    caught: str = ""
    reason: str = ""
    expected: bool = False
    shares: list[Share] = field(default_factory=list)
    bad: int = 0
    asked: int = 0
    failed_on_bad: int = 0
    lost: int = 0
    minutes: float = 0.0
    seconds: float = 0.0
    by: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return any(share.over for share in self.shares)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "over": self.over}


def run(strategy: str, kind: str, folder: Path) -> Found:
    """Do it in an empty folder."""
    began = time.monotonic()
    behaviour, expected = KINDS[kind]
    folder.mkdir(parents=True)
    with opened(folder, strategy) as place:
        serves = place.serve(place.package(good()))
        bad = place.package(behaviour)
        bodies = tuple(base64.b64encode(json.dumps({"image": image}).encode()).decode() for image in IMAGES)
        plan = Plan(
            place.url, place.made.release.region, place.endpoint, bodies, (FIRST, 1 - FIRST), "application/json", RATE,
            True, str(folder / "asked.jsonl"),
        )  # fmt: skip
        found = Found(strategy, kind)
        with load.running(plan):
            stages = approved(place, bad.arn, serves, Path(plan.file), found)
    asked, reads = load.read(Path(plan.file)), measure.journal(place.journal)
    after = [one for one in reads if one.id][-AFTER:]
    found.back = found.back and all(one.who == GOOD for one in after)
    found.shares = measure.shares(reads, behaviour.name, stages)
    found.bad = sum(one.who == behaviour.name and bool(one.id) for one in reads)
    found.asked = len(asked)
    lost = measure.lost_on_good(asked, reads, behaviour.name)
    found.lost = len(lost)
    for one in lost[:5]:
        say(f"{strategy}, {kind}: lost on the good one: {one}")
    found.failed_on_bad = sum(one.status != 200 for one in asked) - len(lost)
    found.by = dict(measure.by_status(asked, reads))
    found.expected = found.caught in expected
    found.seconds = round(time.monotonic() - began, 1)
    return found


def approved(place: Place, arn: str, serves: str, file: Path, found: Found) -> list[Stage]:
    """Warm up, approve the bad package, and let the clock run until its release has failed.

    Returns the stages of its traffic.
    """
    steps = _Steps(place, file)
    for _ in range(WARM_UP):
        steps.one()
    approved_at = place.now()
    place.made.client("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    stages: list[Stage] = []
    for number in range(_MOST):
        place.sweep()
        steps.one()
        now = place.described()
        share = _share(now, serves)
        if share is not None and (not stages or stages[-1].share != share[0]):
            stages.append(Stage(place.at(share[1]) if share[1] else steps.moved, share[0]))
        told = next((one for one in place.releases() if one.facts["package_arn"] == arn), None)
        say(
            f"{found.strategy}, {found.kind}: step {number}, {now['EndpointStatus']}, "
            f"share {stages[-1].share if stages else 0:g}, {told.state if told else 'not begun'}"
        )
        if told is not None and not told.open:
            found.reason = told.reason
            found.caught = _caught(place, told.reason)
            if now["EndpointStatus"] == "InService" and now["EndpointConfigName"] == serves:
                found.back = told.state == ledger.FAILED
                found.minutes = round((place.now() - approved_at) / 60, 1)
                break
    steps.answered(AFTER + REQUESTS)
    return stages


def _share(now: dict[str, Any], serves: str) -> tuple[float, float] | None:
    """The new model's share, and since when on the server's clock (0: not known); None: it does not say."""
    if now["EndpointConfigName"] != serves:
        return 1.0, 0.0
    pending = now.get("PendingDeploymentSummary")
    if not pending or now["EndpointStatus"] != "Updating":
        return None
    status = pending["ProductionVariants"][0].get("VariantStatus", [{}])[0]
    capacity = _CAPACITY.search(status.get("StatusMessage", ""))
    if capacity is None:
        return None
    return int(capacity[1]) / INSTANCES, status["StartTime"].timestamp()


def _caught(place: Place, reason: str) -> str:
    """The guard or the check that a release's outcome names; empty: none."""
    names = [guard for guard in GUARDS if guards.alarm_name(place.made.release, guard) in reason]
    return "+".join(names) or ("golden" if "golden" in reason else "")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Steps:
    """The driven clock, in steps with real requests between."""

    def __init__(self, place: Place, file: Path) -> None:
        self._place = place
        self._file = file
        self.moved = time.time()

    def one(self) -> None:
        self._place.advance(STEP)
        self.moved = time.time()
        self.answered(REQUESTS)

    def answered(self, count: int) -> None:
        """Wait until so many more requests are recorded."""
        wanted = self._lines() + count
        eventually(lambda: self._lines() >= wanted, f"the answer to {count} requests", _LONGEST)

    def _lines(self) -> int:
        return self._file.read_bytes().count(b"\n") if self._file.exists() else 0
