"""What must hold of a release at any moment, and when all has come to rest: the truths of the state machine."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine, invariant
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from contracts.release import ATTEMPT_KEY, LEDGER_PREFIX
from cv_factory.session import Target
from deployment import guards, ledger, outcome, packages, scaling, verdict
from deployment.clients import Clients
from deployment.outcome import Outcome
from deployment.reconcile import reconcile
from tests.cv_factory.helpers import make_settings
from tests.deployment.account import Account, release_settings
from tests.deployment.plane import NAMES

GOOD, WRONG_ANSWERS, UNSAFE, NEVER_STARTS, NO_MACHINE = (
    "good", "wrong answers", "unsafe image", "never starts", "no machine of the first type",
)  # fmt: skip
BY_HAND = "by-hand"

SETTINGS = dataclasses.replace(
    release_settings(),
    guards={"errors_5xx": 5, "label_shift": 0.3},
    max_instances=3,
    fallback_instance_types=("ml.c5.large",),
)


class Truths(RuleBasedStateMachine):
    """One environment. ``account`` is given by a subclass: making one takes seconds."""

    account: ClassVar[Account]
    folder: ClassVar[Path]
    counted: ClassVar[Counter[str]]
    """How often each step was made, and each fault struck."""

    def __init__(self) -> None:
        super().__init__()
        self.account.empty()
        self.session, self.plane, self.calls = self.account.session, self.account.plane, self.account.calls
        self.kinds: dict[str, str] = {}
        self.working = False
        self.records: dict[str, bytes] = {}
        #: What was removed by hand, although the endpoint uses it.
        self.removed: set[str] = set()
        self.target = Target(
            make_settings(self.folder, _FACTORY, "dev"), self.folder / "factory.yaml", "AWS", self.session
        )

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def serves_only_what_was_approved(self) -> None:
        arn = self._served()
        assert arn is None or arn in self.plane.approved, f"it serves {arn}, which nobody ever approved"

    @invariant()
    def a_working_endpoint_keeps_working(self) -> None:
        status = self._status()
        if self.working:
            assert status in ("InService", "Updating", "RollingBack"), f"it worked, and now it is {status or 'gone'}"
        self.working = self.working or status == "InService"
        if status in ("InService", "Updating"):
            config = self.plane.endpoint["EndpointConfigName"]
            if config not in self.removed:
                assert config in self.plane.configs, f"{config} is served, and gone"
                model = self.plane.configs[config]["ProductionVariants"][0]["ModelName"]
                assert model in self.removed or model in self.plane.models, f"{model} is served, and gone"

    @invariant()
    def the_ledger_tells_the_truth(self) -> None:
        records = self._objects(LEDGER_PREFIX)
        for key, body in self.records.items():
            assert records.get(key) == body, f"{key} was changed or removed"
        new = {key: json.loads(body) for key, body in records.items() if key not in self.records}
        self.records = records
        for key, record in new.items():
            if record["state"] == ledger.OPENED:
                package = self.plane.packages[record["package_arn"]]
                assert record["package_arn"] in self.plane.approved
                assert record["version"] == package["ModelPackageVersion"]
                assert record["approved_by"] is not None and record["plan"]
            elif record["state"] == ledger.SUCCEEDED:
                opened = self._opened(record["release_id"])
                assert opened["endpoint_config"] in self.plane.served, f"{key}: it was never served"
                assert self.kinds[opened["package_arn"]] != WRONG_ANSWERS, f"{key}: its answers are wrong"
            elif record["state"] in (ledger.FAILED, ledger.REFUSED):
                assert record["outcome"], f"{key} does not say why"
        ended = {self._id(key) for key in records if not key.endswith(("-opened.json", "-started.json"))}
        open_ = {self._id(key) for key in records} - ended
        assert len(open_) <= 1, f"more than one release is open: {sorted(open_)}"
        told = [json.loads(body)["endpoint_config"] for key, body in records.items() if key.endswith("-opened.json")]
        assert set(self.plane.asked) <= set(told), "the endpoint was changed, and no record says so"
        assert len(self.plane.asked) <= len(told), "the endpoint was changed more often than the records say"

    def teardown(self) -> None:
        """No more faults: it comes to its end by itself."""
        answer = self._sweep()
        for _ in range(20):
            if self._status() not in verdict.CHANGING:
                last, answer = answer, self._sweep()
                if self._status() not in verdict.CHANGING and (last.action, last.message) == (
                    answer.action, answer.message,
                ):  # fmt: skip
                    break
            self._settle(well=True)
            answer = self._sweep()
        else:
            raise AssertionError(f"it does not come to an end: {answer}")
        self.serves_only_what_was_approved()
        self.a_working_endpoint_keeps_working()
        self.the_ledger_tells_the_truth()
        desired = packages.desired(self.session.client("sagemaker"), self.session.client("s3"), NAMES).package
        if answer.action == outcome.SERVING:
            self._is_whole(desired)
        elif answer.action == outcome.NONE:
            assert desired is None
        else:
            assert not answer.ok, f"it waits for nothing: {answer}"
            assert desired is not None and self._may_fail(desired.arn), f"a good package is not served: {answer}"

    def _is_whole(self, desired: packages.Package | None) -> None:
        """The desired package is served, and nothing is there that it does not need."""
        assert desired is not None and self._served() == desired.arn
        config = self.plane.endpoint["EndpointConfigName"]
        ours = {name for name in self.plane.configs if name != BY_HAND}
        assert ours == {config}, f"left over: {ours - {config}}"
        models = {name for name in self.plane.models if name != BY_HAND}
        assert models == {self.plane.configs[config]["ProductionVariants"][0]["ModelName"]}, f"left over: {models}"
        assert not self._objects(ATTEMPT_KEY), "a release is noted as open or failed"
        clients = Clients(self.session)
        alarms = {each["AlarmName"] for each in clients.cloudwatch.describe_alarms()["MetricAlarms"]}
        wanted = {each.name for each in guards.alarms(SETTINGS)}
        assert wanted <= alarms <= wanted | {guards.alarm_name(SETTINGS, "label_shift")}
        assert scaling.look(clients.scaling, SETTINGS) == scaling.wanted(SETTINGS)
        if self.kinds[desired.arn] == WRONG_ANSWERS:
            return  # it was rejected, had nothing to go back to, and a person approved it all the same
        told = [
            (each.state, each.facts["endpoint_config"], each.reason) for each in ledger.releases(clients.s3, SETTINGS)
        ]
        newest = next((name for state, name, _ in told if state == ledger.SUCCEEDED), None)
        assert newest == config, f"the ledger's newest success is not what is served, {config}: {told}"

    # --- looking, and time --------------------------------------------------------------------------------------------

    def _reconcile(self) -> Outcome:
        return reconcile(self.session, SETTINGS)

    def _sweep(self) -> Outcome:
        """The next sweep: whoever held the lease and was killed has lost it."""
        self.plane.clock += 900
        return self._reconcile()

    def _settle(self, well: bool) -> None:
        if self._status() not in verdict.CHANGING:
            self.plane.settle()
            return
        endpoint = self.plane.endpoint
        pending = endpoint.get("PendingDeploymentSummary", endpoint)["EndpointConfigName"]
        config = self.plane.configs.get(pending)
        kind, first = GOOD, True
        if config is not None:
            variant = config["ProductionVariants"][0]
            model = self.plane.models.get(variant["ModelName"])
            first = variant.get("InstanceType") == SETTINGS.instance_type
            kind = self.kinds[model["PrimaryContainer"]["ModelPackageName"]] if model else GOOD
        short = kind == NO_MACHINE and first
        self.plane.settle(ok=kind != NEVER_STARTS and not short and (well or not self.working))
        if short and NAMES.endpoint in self.plane.endpoints:
            self.plane.endpoint["FailureReason"] = "InsufficientInstanceCapacity"

    def _may_fail(self, arn: str) -> bool:
        """Whether a person has to look at a package: it is bad, or its roll-out was rolled back once."""
        failed = {
            self._opened(self._id(key))["package_arn"]
            for key in self._objects(LEDGER_PREFIX)
            if key.endswith(("-failed.json", "-refused.json"))
        }
        return self.kinds[arn] != GOOD or arn in failed

    def _status(self) -> str:
        endpoint = self.plane.endpoints.get(NAMES.endpoint)
        return endpoint["EndpointStatus"] if endpoint else ""

    def _served(self) -> str | None:
        """The package that answers; None: none does, or a person has put it there or removed what it uses."""
        if self._status() not in ("InService", "Updating", "RollingBack"):
            return None
        config = self.plane.endpoint["EndpointConfigName"]
        model = self.plane.configs.get(config, {}).get("ProductionVariants", [{}])[0].get("ModelName")
        if config == BY_HAND or model not in self.plane.models:
            return None
        return self.plane.served_package()

    def _objects(self, prefix: str) -> dict[str, bytes]:
        bucket = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].buckets[NAMES.artifact_bucket]
        return {name: key.value for name, key in bucket.keys.items() if name.startswith(prefix)}

    def _opened(self, release_id: str) -> dict[str, Any]:
        keys = (f"{LEDGER_PREFIX}{release_id}/{name}.json" for name in ("0-opened", "2-refused"))
        found: dict[str, Any] = json.loads(next(self.records[key] for key in keys if key in self.records))
        return found

    @staticmethod
    def _id(key: str) -> str:
        return key.removeprefix(LEDGER_PREFIX).partition("/")[0]


def archive(package: dict[str, Any]) -> str:
    uri: str = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    return uri.partition(f"{NAMES.artifact_bucket}/")[2]


_FACTORY = """
name: widgets
aws: {region: eu-west-1, account_id: "111122223333"}
data: {source: ./photos}
environments:
  dev: {release: {keep: 2}}
"""
