"""How a model did where it comes from: whether it serves there, for how long, how much it was asked, and its alarms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contracts import release as contract
from contracts.names import VARIANT
from cv_factory.operations import release
from cv_factory.operations.approving.rules import Refusal
from cv_factory.operations.cleanup.inventory import Look
from deployment.packages import Package

if TYPE_CHECKING:
    from cv_factory.session import Target


@dataclass(frozen=True, slots=True)
class Soak:
    """The soak of a package.

    Attributes:
        wanted: hours, ``release.soak_hours`` of the environment that it is promoted to; 0: none is asked for.
        hours: since the endpoint of the source changed last, while it serves this package; 0: it does not.
        requests, errors: Invocations and Invocation5XXErrors in that time.
        alarms: names of the endpoint's alarms that ring.
    """

    wanted: int
    served: bool = False
    hours: float = 0.0
    requests: int = 0
    errors: int = 0
    alarms: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "wanted_hours": self.wanted, "served": self.served, "hours": round(self.hours, 2),
            "requests": self.requests, "errors_5xx": self.errors, "alarms": list(self.alarms),
        }  # fmt: skip

    def __str__(self) -> str:
        """What the promoted package keeps of it; every character may stand in a package's metadata."""
        if not self.wanted:
            return "not asked for"
        return contract.recorded_identity(
            f"{self.hours:.1f} h of {self.wanted} h - {self.requests} requests - {self.errors} errors - "
            + (f"alarms: {' '.join(self.alarms)}" if self.alarms else "no alarm")
        )

    def refusals(self) -> list[Refusal]:
        """Why it is not enough; none: it is, or none is asked for."""
        if not self.wanted:
            return []
        again = "Let it serve there, with requests, until the time is over; then approve again."
        if not self.served:
            return [Refusal("soak", "it is not what its own environment serves, and a soak is asked for", again)]
        found = []
        if self.hours < self.wanted:
            says = f"it has served for {self.hours:.1f} hours there, and release.soak_hours is {self.wanted}"
            found.append(Refusal("soak", says, again))
        if not self.requests:
            says = "nobody asked it anything there, so its soak says nothing"
            found.append(Refusal("soak", says, again))
        if self.alarms:
            says = f"alarms of its endpoint ring there: {', '.join(self.alarms)}"
            found.append(Refusal("soak", says, "Look why; reject it there if the model is the reason."))
        return found


def measure(source: Target, package: Package, wanted: int, now: datetime | None = None) -> Soak:
    """Ask the source's endpoint, metrics and alarms. With ``wanted`` 0 nothing is asked.

    Raises:
        ClientError: these credentials may not read them.
    """
    if not wanted:
        return Soak(0)
    moment = now or datetime.now(UTC)
    serving = release.serving(source)
    if serving.status != release.IN_SERVICE or serving.package_arn != package.arn:
        return Soak(wanted)
    since = source.client("sagemaker").describe_endpoint(EndpointName=serving.endpoint)["LastModifiedTime"]
    alarms = source.client("cloudwatch").get_paginator("describe_alarms").paginate(
        AlarmNames=[thing.name for thing in Look(source).alarms()] or ["none"], StateValue="ALARM"
    )  # fmt: skip
    return Soak(
        wanted, True, max(0.0, (moment - since).total_seconds() / 3600),
        _total(source, serving.endpoint, "Invocations", since, moment),
        _total(source, serving.endpoint, "Invocation5XXErrors", since, moment),
        tuple(item["AlarmName"] for page in alarms for item in page.get("MetricAlarms", [])),
    )  # fmt: skip


def _total(source: Target, endpoint: str, metric: str, since: datetime, now: datetime) -> int:
    """The sum of a metric; by the hour, so that 60 days fit into one answer of 1,440 values."""
    answer = source.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker", MetricName=metric, StartTime=since, EndTime=now, Period=3600, Statistics=["Sum"],
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": VARIANT}],
    )  # fmt: skip
    total: float = sum(point["Sum"] for point in answer["Datapoints"])
    return round(total)
