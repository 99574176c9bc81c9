"""What is desired: the package, and the requests that serve it. Pure functions of the registry and the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.release import ReleaseSettings
from deployment import specs
from deployment.packages import Desired, Package

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
        strategy: how an update moves the traffic, as the settings name it.
    """

    package: Package | None
    pinned: bool
    note: str
    candidates: tuple[Candidate, ...]
    strategy: str

    def serving(self, config_name: str) -> Candidate | None:
        """The candidate that an endpoint configuration is."""
        return next((each for each in self.candidates if each.config_name == config_name), None)


def of(desired: Desired, settings: ReleaseSettings) -> Goal:
    """The goal for the desired package."""
    candidates: tuple[Candidate, ...] = ()
    if desired.package is not None:
        model = specs.model(desired.package, settings)
        candidates = tuple(
            Candidate(kind, model, specs.endpoint_config(model["ModelName"], settings, kind))
            for kind in specs.instance_types(settings)
        )
    return Goal(desired.package, desired.pinned, desired.note, candidates, settings.strategy)
