"""What is there: the endpoint, the release that is open, our models and configurations. Looks only, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from botocore.exceptions import ClientError

from contracts.release import ReleaseSettings
from deployment import attempt, aws, monitor, scaling, specs
from deployment.at_once import Wish
from deployment.attempt import Attempt
from deployment.checked import Before
from deployment.monitor import Monitor
from deployment.scaling import Scaling

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef

    from deployment.clients import Clients


_T = TypeVar("_T")
#: What is read by calls that only who changes the endpoint needs: names of its parts.
MODELS, MONITOR, SCALING = "models", "monitor", "scaling"
PARTS = (MODELS, MONITOR, SCALING)


class Part(Protocol):
    """Reads one of :data:`PARTS`, or answers with ``nothing``."""

    def __call__(self, name: str, read: Callable[[], _T], nothing: _T, /) -> _T: ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The endpoint, as DescribeEndpoint says it.

    Attributes:
        modified: its LastModifiedTime.
        pending: the configuration that the update under way leads to; empty: none is.
    """

    status: str
    config: str
    failure: str = ""
    modified: str = ""
    pending: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that a plan depends on.

    Attributes:
        endpoint: None: there is none.
        attempt: the release that is open, or the last that failed.
        configs: names of the endpoint configurations that the deployer made for this environment.
        models: the same of models.
        ours: whether the endpoint's configuration has a name that the deployer gives.
        monitor: its alarms, metric filters and log group.
        scaling: None: it is not scaled.
        before: what the checks have found of what is desired; None: they have not been made.
        wish: what a person wants at once; None: nothing, or nothing is rolled out now.
        trial: whether an endpoint of a trial, or its configuration, may be there.
    """

    endpoint: Endpoint | None
    attempt: Attempt | None
    configs: frozenset[str]
    models: frozenset[str]
    ours: bool = True
    monitor: Monitor = field(default_factory=Monitor)
    scaling: Scaling | None = None
    before: Before | None = None
    wish: Wish | None = None
    trial: bool = False

    @property
    def status(self) -> str:
        return self.endpoint.status if self.endpoint else ""


def all_of_it(_: str, read: Callable[[], _T], __: _T) -> _T:
    """Reads a part of what is there; a call that is refused ends the run."""
    return read()


def observe(clients: Clients, settings: ReleaseSettings, part: Part = all_of_it) -> Observed:
    """Look at the endpoint first: what is listed after it is never older than it.

    Args:
        part: how one of :data:`PARTS` is read; who may not read it gets what is given as nothing.
    """
    found = endpoint(clients.sagemaker, settings)
    noted = attempt.read(clients.s3, settings)
    nothing: tuple[list[str], list[str]] = ([], [])
    configs, models = part(MODELS, lambda: _models(clients.sagemaker, settings), nothing)
    return Observed(
        endpoint=found,
        attempt=noted,
        configs=frozenset(name for name in configs if specs.is_ours(name, settings)),
        models=frozenset(name for name in models if specs.is_ours(name, settings)),
        ours=found is None or specs.is_ours(found.config, settings),
        monitor=part(MONITOR, lambda: monitor.look(clients, settings), Monitor()),
        scaling=part(SCALING, lambda: scaling.look(clients.scaling, settings), None),
        trial=any(specs.is_trial(name, settings) for name in configs),
    )


def endpoint(sagemaker: SageMakerClient, settings: ReleaseSettings) -> Endpoint | None:
    """The environment's endpoint now."""
    try:
        found: DescribeEndpointOutputTypeDef = sagemaker.describe_endpoint(EndpointName=settings.names.endpoint)
    except ClientError as error:
        if aws.is_missing(error):
            return None
        raise
    modified = found.get("LastModifiedTime")
    return Endpoint(
        status=found["EndpointStatus"],
        config=found.get("EndpointConfigName", ""),
        failure=found.get("FailureReason", ""),
        modified=modified.isoformat() if modified else "",
        pending=found.get("PendingDeploymentSummary", {}).get("EndpointConfigName", ""),
    )


def _models(sagemaker: SageMakerClient, settings: ReleaseSettings) -> tuple[list[str], list[str]]:
    """Names of endpoint configurations, and of models."""
    configs = _names(sagemaker.list_endpoint_configs, settings, "EndpointConfigs", "EndpointConfigName")
    return configs, _names(sagemaker.list_models, settings, "Models", "ModelName")


def _names(call: Callable[..., Mapping[str, Any]], settings: ReleaseSettings, key: str, field: str) -> list[str]:
    pages = aws.pages(call, NameContains=f"{settings.names.prefix}-")
    return [item[field] for page in pages for item in page[key]]
