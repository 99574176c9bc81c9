"""A state machine over releases: what people, events, faults and time may do to an endpoint, in any order.

After each step three sentences hold:

- *the endpoint serves only what is or was Approved* (but what a person put there by hand);
- *a working endpoint keeps working*: no step takes it away or takes what it needs;
- *the ledger tells the truth*: nothing in it changes or vanishes, at most one release is open, each change that the
  endpoint was asked for has its record, what is called succeeded was served, what is called failed says why.

At the end, when faults have stopped, a few sweeps bring the endpoint to what is desired, or say why not, and leave
nothing over.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from contracts.release import PACKAGES_PREFIX
from cv_factory.operations import cleanup
from deployment import approve, deploy, reject, rollback, scaling
from tests.deployment import mishaps
from tests.deployment.mishaps import EXAMPLES, FAULTS, HOURS_WITHIN, Fault
from tests.deployment.plane import NAMES, report
from tests.deployment.truths import (
    BY_HAND,
    GOOD,
    NEVER_STARTS,
    NO_MACHINE,
    SETTINGS,
    UNSAFE,
    WRONG_ANSWERS,
    Truths,
    archive,
)  # fmt: skip

KINDS = (GOOD, GOOD, GOOD, WRONG_ANSWERS, UNSAFE, NEVER_STARTS, NO_MACHINE)
NOTHING, AN_EVENT, AN_HOUR, ITS_COURSE = "nothing", "an event", "an event and an hour", "its course"
NUMBERS = st.integers(min_value=0, max_value=50)
#: What follows a person's step: no event arrives, or one does, and the endpoint's changes take their time.
THEN = st.sampled_from((NOTHING, AN_EVENT, AN_HOUR, ITS_COURSE, ITS_COURSE))


class Releases(Truths):
    """What may happen, in any order. ``account`` is given by a subclass: making one takes seconds."""

    # --- steps --------------------------------------------------------------------------------------------------------

    @initialize(kind=st.sampled_from(KINDS))
    def begins(self, kind: str) -> None:
        self.counted[EXAMPLES] += 1
        self._register(kind, "Approved")

    @rule(kind=st.sampled_from(KINDS), approved=st.booleans(), then=THEN)
    def registers(self, kind: str, approved: bool, then: str) -> None:
        self._count("register")
        self._register(kind, "Approved" if approved else "PendingManualApproval")
        self._then(then)

    @rule(number=NUMBERS, fault=FAULTS, then=THEN)
    def approves(self, number: int, fault: Fault | None, then: str) -> None:
        self._count("approve")
        arn = self._some(number)
        self._do(fault, lambda: approve(self.session, SETTINGS, arn, "good"))
        self._then(then)

    @rule(number=NUMBERS, fault=FAULTS, then=THEN)
    def rejects(self, number: int, fault: Fault | None, then: str) -> None:
        self._count("reject")
        arn = self._some(number)
        self._do(fault, lambda: reject(self.session, SETTINGS, arn, "not good"))
        self._then(then)

    @rule(number=NUMBERS, fault=FAULTS, then=THEN)
    def pins(self, number: int, fault: Fault | None, then: str) -> None:
        self._count("deploy --package")
        arn = self._some(number)
        self._do(fault, lambda: deploy(self.session, SETTINGS, arn, "this one"))
        self._then(then)

    @rule(fault=FAULTS, then=THEN)
    def deploys(self, fault: Fault | None, then: str) -> None:
        self._count("deploy")
        self._do(fault, lambda: deploy(self.session, SETTINGS))
        self._then(then)

    @rule(number=NUMBERS, named=st.booleans(), now=st.booleans(), fault=FAULTS, then=THEN)
    def rolls_back(self, number: int, named: bool, now: bool, fault: Fault | None, then: str) -> None:
        self._count("rollback")
        to = self._some(number) if named else None
        self._do(fault, lambda: rollback(self.session, SETTINGS, to, "misses cracks", now=now))
        self._then(then)

    @rule(times=st.integers(min_value=1, max_value=3), fault=FAULTS)
    def gets_events(self, times: int, fault: Fault | None) -> None:
        """One that comes twice, or late: what it says is not read."""
        self._count("event")
        for _ in range(times):
            self._do(fault, self._reconcile)

    @rule(operation=st.sampled_from(("DescribeEndpoint", "CreateModel", "CreateEndpointConfig", "UpdateEndpoint")))
    def gets_two_events_at_once(self, operation: str) -> None:
        self._count("two at once")
        self.plane.before[operation] = self._reconcile
        self._do(None, self._reconcile)
        self.plane.before.clear()

    @rule(well=st.booleans())
    def time_passes(self, well: bool) -> None:
        """An hour: what is under way ends, as the package is, or rolled back by an alarm."""
        self._count("an hour")
        self._settle(well)

    @rule(seconds=st.integers(min_value=1, max_value=200))
    def a_moment_passes(self, seconds: int) -> None:
        self._count("a moment")
        self.plane.clock += seconds

    @rule(number=NUMBERS)
    def is_mended(self, number: int) -> None:
        """What was wrong with a package's image, or its start, is mended."""
        self._count("mended")
        arn = self._some(number)
        if self.kinds[arn] != WRONG_ANSWERS:
            self.kinds[arn] = GOOD
            self.plane.checked.pop(arn, None)

    @rule(fault=FAULTS)
    def is_cleaned_up(self, fault: Fault | None) -> None:
        self._count("cleanup")
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)

        def clean() -> None:
            agreed = cleanup.plan(self.target, now=later)
            cleanup.clean(self.target, agreed, lambda _: None, now=later)

        served = self._served()
        before = self._objects(PACKAGES_PREFIX).keys()
        self._do(fault, clean)
        gone = before - self._objects(PACKAGES_PREFIX).keys()
        for arn, package in self.plane.packages.items():
            if package["ModelApprovalStatus"] == "Approved" or arn == served:
                assert archive(package) not in gone, f"the clean-up removed what {arn} names"

    @precondition(lambda self: self._status() == "InService")
    @rule(number=NUMBERS)
    def is_changed_by_hand(self, number: int) -> None:
        self._count("hand: endpoint")
        self.plane.models[BY_HAND] = {
            "ModelName": BY_HAND, "PrimaryContainer": {"ModelPackageName": self._some(number)}, "CreationTime": 1.0,
        }  # fmt: skip
        self.plane.configs[BY_HAND] = {
            "EndpointConfigName": BY_HAND, "ProductionVariants": [{"ModelName": BY_HAND}], "CreationTime": 1.0,
        }  # fmt: skip
        self.plane.endpoint.update(EndpointConfigName=BY_HAND, LastModifiedTime=self.plane.now())

    @precondition(lambda self: self._status() == "InService")
    @rule(model=st.booleans())
    def loses_what_it_uses(self, model: bool) -> None:
        """A person deletes the model or the configuration that is served: on AWS nothing forbids it."""
        self._count("hand: model or config")
        config = self.plane.endpoint["EndpointConfigName"]
        if config not in self.plane.configs:
            return
        name = self.plane.configs[config]["ProductionVariants"][0]["ModelName"]
        if model:
            self.plane.models.pop(name, None)
        else:
            self.plane.configs.pop(config)
        self.removed |= {name, config}

    @rule(number=NUMBERS, gone=st.booleans())
    def an_alarm_is_changed_by_hand(self, number: int, gone: bool) -> None:
        self._count("hand: alarm")
        client = self.session.client("cloudwatch")
        found = client.describe_alarms(AlarmNamePrefix=NAMES.endpoint)["MetricAlarms"]
        if not found:
            return
        name = found[number % len(found)]["AlarmName"]
        if gone:
            client.delete_alarms(AlarmNames=[name])
        else:
            get_backend("cloudwatch")[DEFAULT_ACCOUNT_ID][SETTINGS.region].alarms[name].threshold = 12345.0

    @rule(most=st.integers(min_value=0, max_value=9))
    def scaling_is_changed_by_hand(self, most: int) -> None:
        self._count("hand: scaling")
        client = self.session.client("application-autoscaling")
        if scaling.look(client, SETTINGS) is None:
            return
        if most == 0:
            scaling.deregister(client, SETTINGS)
        else:
            wanted = scaling.wanted(SETTINGS)
            assert wanted is not None
            scaling.register(client, SETTINGS, dataclasses.replace(wanted, most=most))

    # --- how it is done -----------------------------------------------------------------------------------------------

    def _register(self, kind: str, approval: str) -> None:
        bundle = f"{len(self.plane.packages) + 1:064x}"
        arn = self.plane.register(bundle, approval)
        self.kinds[arn] = kind
        if kind == UNSAFE:
            self.plane.checked[arn] = report("inference.scan", "1 HIGH")
        if kind == WRONG_ANSWERS:
            self.plane.answers[arn] = report("golden[0]", "expected whole, got broken")
        self.session.client("s3").put_object(
            Bucket=NAMES.artifact_bucket, Key=archive(self.plane.packages[arn]), Body=b"bundle"
        )

    def _some(self, number: int) -> str:
        return list(self.plane.packages)[number % len(self.plane.packages)]

    def _then(self, then: str) -> None:
        for _ in range({NOTHING: 0, AN_EVENT: 1, AN_HOUR: 1, ITS_COURSE: 4}[then]):
            self._do(None, self._reconcile)
            if then != AN_EVENT:
                self._count(HOURS_WITHIN)
                self._settle(well=True)

    def _do(self, fault: Fault | None, act: Callable[[], object]) -> None:
        """A person's or an event's step."""
        with mishaps.befalls(self.calls, fault, self.counted):
            act()

    def _count(self, name: str) -> None:
        self.counted[name] += 1
