"""What is desired: the package, and the requests that serve it. Pure functions of the registry and the settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from contracts import release
from contracts.release import ReleaseSettings
from deployment import guards, scaling, specs
from deployment.guards import Alarm, Filter
from deployment.packages import Desired, Package
from deployment.scaling import Scaling

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import CreateEndpointConfigInputTypeDef, CreateModelInputTypeDef


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to serve the desired package: on one instance type."""

    instance_type: str
    model: CreateModelInputTypeDef
    config: CreateEndpointConfigInputTypeDef

    @property
    def model_name(self) -> str:
        return self.model["ModelName"]

    @property
    def config_name(self) -> str:
        return self.config["EndpointConfigName"]


@dataclass(frozen=True, slots=True)
class Goal:
    """The desired state of the endpoint.

    Attributes:
        package: None: nothing is approved.
        pinned: whether the pin chose the package.
        note: why a pin was not followed.
        candidates: the settings' instance type first, then the fallback types in their order. Empty without a package.
        rollout: the settings by which an update moves the traffic: the release's own, or without guards and waits.
        at_once: whether it is without them.
        alarms: of the guards that are on, all but the one on labels: that one is made for each update.
        labels: whether the guard on labels is on.
        filters: the metric filters that the guards need.
        log_days: the retention of the endpoint's log group.
        scaling: None: the fleet has a fixed size.
    """

    package: Package | None
    pinned: bool
    note: str
    candidates: tuple[Candidate, ...]
    rollout: ReleaseSettings
    at_once: bool = False
    alarms: tuple[Alarm, ...] = ()
    labels: bool = False
    filters: tuple[Filter, ...] = ()
    log_days: int = 0
    scaling: Scaling | None = None

    @property
    def strategy(self) -> str:
        return self.rollout.strategy

    @property
    def guarded(self) -> bool:
        return bool(self.rollout.guards)

    def serving(self, config_name: str) -> Candidate | None:
        """The candidate that an endpoint configuration is."""
        return next((each for each in self.candidates if each.config_name == config_name), None)


def of(desired: Desired, settings: ReleaseSettings, *, at_once: bool = False) -> Goal:
    """The goal for the desired package.

    ``at_once``: a person wants it without the release's guards and waits.
    """
    candidates: tuple[Candidate, ...] = ()
    if desired.package is not None:
        model = specs.model(desired.package, settings)
        candidates = tuple(
            Candidate(kind, model, specs.endpoint_config(model["ModelName"], settings, kind))
            for kind in specs.instance_types(settings)
        )
    now = replace(settings, strategy="all-at-once", bake_minutes=0, termination_minutes=0, guards={})
    return Goal(
        package=desired.package,
        pinned=desired.pinned,
        note=desired.note,
        candidates=candidates,
        rollout=now if at_once else settings,
        at_once=at_once,
        alarms=guards.alarms(settings),
        labels=release.LABEL_SHIFT in settings.guards,
        filters=guards.filters(settings),
        log_days=settings.log_days,
        scaling=scaling.wanted(settings),
    )
