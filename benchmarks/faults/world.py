"""A local SageMaker with one endpoint, two packages that are released in turn, and what there is when all is well."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from benchmarks.faults.deployer import Deployer, Run, Strike
from benchmarks.faults.load import Load
from contracts import jsonio
from contracts.names import SETTINGS_KEY
from contracts.release import LEASE_KEY, LEDGER_PREFIX, ReleaseSettings
from contracts.settings import load
from cv_factory import session as sessions
from cv_factory.operations import local_base
from deployment import guards, lease, ledger, outcome, releases, scaling
from deployment.aws import read_settings
from deployment.outcome import Outcome
from deployment.packages import Package
from deployment.verdict import CHANGING
from local_sagemaker import control
from tests.deployment.checks.factory import IMAGES, SERVER, Calls, Factory, answer, golden, table
from tests.waiting import eventually

#: Two instances, so that there is something to move; autoscaling is registered, and the load never asks for a third.
SETTINGS = """\
name: widgets
aws: {region: eu-west-1, account_id: "123456789012"}
data: {source: ./photos}
serving: {instance_count: 2, max_instances: 3, requests_per_instance: 100000}
release: {strategy: all-at-once, bake_minutes: 1, percent: 50}
"""
INSTANCES = 2
#: What each package answers to the first image.
SHARES = (0.91, 0.92)
#: What Application Auto Scaling's own alarms have in their names.
_BY_CHANCE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclasses.dataclass
class World:
    """The account."""

    factory: Factory
    deployer: Deployer
    packages: tuple[Package, Package]
    port: int
    folder: Path
    offset: float = 0.0

    def __post_init__(self) -> None:
        self.names = self.factory.names
        self.endpoint: str = self.names.endpoint
        self.sagemaker, self.s3 = self.client("sagemaker"), self.client("s3")

    def client(self, service: str) -> Any:
        return self.factory.client(service)

    def admin(self, method: str, path: str, value: Any = None) -> Any:
        return _admin(self.port, method, path, value)

    def advance(self, seconds: float) -> None:
        self.offset = self.admin("POST", "clock", {"advance": seconds})["time"] - time.time()

    def now(self) -> float:
        return time.time() + self.offset

    def load(self) -> Load:
        right = {
            image: [answer(share) for share in ((SHARES[0], SHARES[1]) if number == 0 else (0.2,))]
            for number, image in enumerate(IMAGES)
        }
        return Load(self.port, self.endpoint, right, self.folder / "lost.txt")

    # --- what a person does -------------------------------------------------------------------------------------------

    def use(self, strategy: str) -> ReleaseSettings:
        """Have the base say how an update moves the traffic."""
        self.factory.release = dataclasses.replace(self.factory.release, strategy=strategy)
        body = jsonio.canonical(self.factory.release.to_json()).encode()
        self.factory.put(self.names.artifact_bucket, SETTINGS_KEY, body)
        return self.factory.release

    def pin(self, package: Package) -> None:
        """``cv-factory deploy --package``, up to the call of the deployer."""

        def nobody(session: Any, settings: ReleaseSettings, /, *, at_once: bool) -> Outcome:
            return Outcome(outcome.WAITING, "the deployer is called next", self.endpoint)

        releases.deploy(self.factory.session, self.factory.release, package.arn, act=nobody)

    def take_down(self) -> None:
        """Remove the endpoint and all that was made for it, as if there had never been one."""
        with contextlib.suppress(ClientError):
            self.sagemaker.delete_endpoint(EndpointName=self.endpoint)
        eventually(lambda: self.described() is None, "the endpoint is gone")
        for item in self.sagemaker.list_endpoint_configs()["EndpointConfigs"]:
            self.sagemaker.delete_endpoint_config(EndpointConfigName=item["EndpointConfigName"])
        for item in self.sagemaker.list_models()["Models"]:
            self.sagemaker.delete_model(ModelName=item["ModelName"])
        scaling.deregister(self.client("application-autoscaling"), self.factory.release)
        alarms = self.client("cloudwatch").describe_alarms()["MetricAlarms"]
        self.client("cloudwatch").delete_alarms(AlarmNames=[item["AlarmName"] for item in alarms])
        with contextlib.suppress(ClientError):
            self.client("logs").delete_log_group(logGroupName=guards.log_group(self.factory.release))

    # --- the deployer, and time ---------------------------------------------------------------------------------------

    def run(self, strike: Strike | None = None) -> Run:
        found = self.deployer.run(strike, self.offset)
        self.admin("DELETE", "faults")
        return found

    def held(self) -> bool:
        """Does somebody hold the lease now?"""
        body = self.s3.get_object(Bucket=self.names.artifact_bucket, Key=LEASE_KEY)["Body"].read()
        value = json.loads(body)
        return bool(value["holder"]) and datetime.fromisoformat(value["until"]).timestamp() > self.now()

    def let_the_lease_run_out(self) -> bool:
        """Let the time pass that a run which was killed holds the lease; False: nobody holds it."""
        try:
            if not self.held():
                return False
        except ClientError:
            return False
        self.advance(lease.LASTS.total_seconds() + 1)
        return True

    def settle(self) -> dict[str, Any] | None:
        """Wait until the endpoint does not change; a bake is skipped by the clock."""
        found: dict[str, Any] | None = None

        def steady() -> bool:
            nonlocal found
            found = self.described()
            if found is None or found["EndpointStatus"] not in CHANGING:
                return True
            if _bakes(found):
                self.advance(60)
            return False

        eventually(steady, "the endpoint is steady")
        return found

    # --- what there is ------------------------------------------------------------------------------------------------

    def described(self) -> dict[str, Any] | None:
        try:
            return dict(self.sagemaker.describe_endpoint(EndpointName=self.endpoint))
        except ClientError:
            return None

    def served(self) -> str:
        """The ARN of the package that is served, by the control plane; else what is wrong."""
        found = self.described()
        if found is None:
            return "there is no endpoint"
        if found["EndpointStatus"] != "InService":
            return f"the endpoint is {found['EndpointStatus']}"
        config = self.sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        (variant,) = config["ProductionVariants"]
        model = self.sagemaker.describe_model(ModelName=variant["ModelName"])
        return str(model["PrimaryContainer"]["ModelPackageName"])

    def answered(self) -> list[Any]:
        """What the endpoint answers, by several requests, to the image that tells the packages apart."""
        found = []
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for _ in range(4):
            connection.request(
                "POST", f"/endpoints/{self.endpoint}/invocations", json.dumps({"image": IMAGES[0]}),
                {"Content-Type": "application/json"},
            )  # fmt: skip
            found.append(json.loads(connection.getresponse().read()))
        connection.close()
        return found

    def things(self) -> frozenset[str]:
        """Everything that a release could leave: names by kind, with what matters of each."""
        sagemaker, logs = self.sagemaker, self.client("logs")
        found = {f"endpoint {item['EndpointName']}" for item in sagemaker.list_endpoints()["Endpoints"]}
        found |= {f"config {i['EndpointConfigName']}" for i in sagemaker.list_endpoint_configs()["EndpointConfigs"]}
        found |= {f"model {item['ModelName']}" for item in sagemaker.list_models()["Models"]}
        alarms = [
            _BY_CHANCE.sub("*", f"alarm {item['AlarmName']} {item.get('AlarmDescription', '')}")
            for item in self.client("cloudwatch").describe_alarms()["MetricAlarms"]
        ]
        found |= {f"{each}, {number + 1}" for each in alarms for number in range(alarms.count(each))}
        group = guards.log_group(self.factory.release)
        for item in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            found.add(f"log group {item['logGroupName']} {item.get('retentionInDays')}")
            filters = logs.describe_metric_filters(logGroupName=item["logGroupName"])["metricFilters"]
            found |= {f"filter {each['filterName']} {each['filterPattern']}" for each in filters}
        scaler = self.client("application-autoscaling")
        for item in scaler.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]:
            found.add(f"scaling of {item['ResourceId']} {item['MinCapacity']} to {item['MaxCapacity']}")
        for item in scaler.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]:
            found.add(f"policy {item['PolicyName']} {item['TargetTrackingScalingPolicyConfiguration']}")
        for item in (self.described() or {}).get("ProductionVariants", []):
            found.add(f"variant {item['VariantName']} with {item['CurrentInstanceCount']} instances")
        objects = self.s3.list_objects_v2(Bucket=self.names.artifact_bucket, Prefix="release/", Delimiter="/")
        found |= {f"object {item['Key']}" for item in objects.get("Contents", [])}
        if self.held():
            found.add("the lease is held")
        found |= {f"container {number}" for number in range(len(self.admin("GET", "children")["children"]))}
        return frozenset(found)

    def ledger(self, since: float) -> list[tuple[str, str, str]]:
        """(id, last state, package) of each release that was opened since then, on the server's clock."""
        bucket = self.names.artifact_bucket
        moment = ledger.new_id(datetime.fromtimestamp(since, UTC), "").partition("Z")[0]
        pages = self.s3.list_objects_v2(Bucket=bucket, Prefix=LEDGER_PREFIX, StartAfter=LEDGER_PREFIX + moment)
        keys: dict[str, list[str]] = {}
        for item in pages.get("Contents", []):
            keys.setdefault(item["Key"].removeprefix(LEDGER_PREFIX).partition("/")[0], []).append(item["Key"])
        found = []
        for identity, names in sorted(keys.items()):
            first, last = sorted(names)[0], sorted(names)[-1]
            about = json.loads(self.s3.get_object(Bucket=bucket, Key=first)["Body"].read())
            found.append((identity, last.rpartition("-")[2].removesuffix(".json"), about.get("package_arn", "")))
        return found


def _bakes(described: dict[str, Any]) -> bool:
    pending = described.get("PendingDeploymentSummary")
    status = pending["ProductionVariants"][0].get("VariantStatus", [{}])[0] if pending else {}
    return bool(status.get("Status") == "Baking")


def _admin(port: int, method: str, path: str, value: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, f"/_local/{path}", None if value is None else json.dumps(value))
        found = connection.getresponse()
        body = found.read()
        assert found.status == 200, body
        return json.loads(body)
    finally:
        connection.close()


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[World]:
    """A server in ``folder`` with the base and two approved packages; no event calls the deployer."""
    (folder / "factory.yaml").write_text(SETTINGS)
    (folder / "server.py").write_text(SERVER)
    settings = load(folder / "factory.yaml", "local")
    environment = dict(os.environ)
    os.environ |= {f"LOCAL_SAGEMAKER_HOSTING_{name}": "1" for name in ("PING_INTERVAL_SECONDS", "STOP_SECONDS")}
    server = control.start(folder / "state", settings.aws.account_id, settings.aws.region)
    try:
        session = sessions.local_session(server.endpoint_url, server.region)
        cached: dict[str, Any] = {}
        make = session.client
        session.client = lambda name: cached[name] if name in cached else cached.setdefault(name, make(name))  # type: ignore
        local_base.ensure(settings, session, f"{server.endpoint_url}/_local")
        for rule in (settings.names.registry_rule, settings.names.endpoint_rule, settings.names.sweep_rule):
            session.client("events").disable_rule(Name=rule)
        where = settings.names.artifacts(SETTINGS_KEY)
        factory = Factory(settings, session, read_settings(session, where), folder, server.port, Calls(session))
        binding = {
            "pattern": f"{settings.names.registry}/{settings.names.inference_repository}@*",
            "entrypoint": [sys.executable, "-S", "-E", str(folder / "server.py")], "environment": {},
            "working_dir": str(folder),
        }  # fmt: skip
        _admin(server.port, "PUT", "images", binding)
        first, second = (
            factory.package(model={"float32": table(share, 0.2)}, expected={"float32": golden(damaged=(share, 0.2))})
            for share in SHARES
        )

        def admin(*arguments: Any) -> Any:
            return _admin(server.port, *arguments)

        deployer = Deployer(server.endpoint_url, server.region, str(where), admin, folder)
        yield World(factory, deployer, (first, second), server.port, folder)
    finally:
        control.stop(folder / "state")
        os.environ.clear()
        os.environ |= environment
