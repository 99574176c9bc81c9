"""What every step of a pipeline shares: settings, names, image, network, encryption, tags, caching and retries."""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.mlops.workflow.retry import (
    RetryPolicy,
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import CacheConfig

from contracts import release, source
from contracts.names import Names
from contracts.settings import Settings
from pipeline_definition import parameters

#: CreateProcessingJob, StoppingCondition.MaxRuntimeInSeconds: five days of the 28 that a training job may take.
MAX_PROCESSING_SECONDS = 777_600


@dataclass(frozen=True)
class Context:
    """One build.

    Attributes:
        settings: of the environment.
        session: the SDK's recording session.
        source_hash: of the training image's sources.
        parameters: name -> the SDK's parameter, in the definition's order.
    """

    settings: Settings
    session: Any
    source_hash: str
    parameters: dict[str, ParameterString] = field(init=False)

    def __post_init__(self) -> None:
        made = {
            declared.name: ParameterString(
                declared.name, default_value=declared.default, enum_values=list(declared.allowed) or None
            )
            for declared in parameters.declared(self.settings)
        }
        object.__setattr__(self, "parameters", made)

    @property
    def names(self) -> Names:
        return self.settings.names

    @property
    def training_image(self) -> str:
        """By tag, and the tag is immutable and follows from the sources: the same URI in every runtime."""
        return self.names.image(self.names.training_repository, tag=source.tag(self.source_hash))

    @property
    def job_role(self) -> str:
        return self.settings.role_arn("job")

    @property
    def max_seconds(self) -> int:
        return self.settings.training.max_minutes * 60

    @property
    def tags(self) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.names.tags.items()]

    def isolated(self, step: str) -> bool:
        """Is ``step`` (preprocess, train or evaluate) cut off from any network?"""
        return step in self.settings.network.isolated

    @property
    def network(self) -> tuple[list[Any], list[Any]] | None:
        """Subnets and security groups of the jobs, or None where they run in SageMaker's own network."""
        match self.settings.network.vpc:
            case "existing":
                existing = self.settings.aws.existing
                return list(existing.subnet_ids or ()), list(existing.security_group_ids or ())
            case "create":
                get = self.parameters
                subnets = [get[parameters.SUBNET_A], get[parameters.SUBNET_B]]
                return subnets, [get[parameters.SECURITY_GROUP]]
        return None

    def run_uri(self, step: str, *parts: str) -> Join:
        """``s3://<artifacts>/runs/<execution id>/<step>/…``: for outputs only.

        In an input, an argument or the environment an execution id would make each run's cache key a new one.
        """
        base = str(self.names.artifacts(release.RUNS_PREFIX)).rstrip("/")
        return Join(on="/", values=[base, ExecutionVariables.PIPELINE_EXECUTION_ID, step, *parts])

    @property
    def cache(self) -> CacheConfig:
        return CacheConfig(enable_caching=True, expire_after=f"P{self.settings.training.cache_days}D")

    @property
    def request_retries(self) -> list[RetryPolicy]:
        """The call itself failed: SageMaker throttled it or had a fault. Five tries in about five minutes."""
        return [
            StepRetryPolicy(
                [StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
                interval_seconds=10,
                backoff_rate=2.0,
                max_attempts=5,
            )
        ]

    @property
    def job_retries(self) -> list[RetryPolicy]:
        """As :attr:`request_retries`; no instances or no quota left: six tries in two hours; an inner fault: two."""
        return [
            *self.request_retries,
            SageMakerJobStepRetryPolicy(
                [SageMakerJobExceptionTypeEnum.CAPACITY_ERROR, SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
                interval_seconds=120,
                backoff_rate=2.0,
                max_attempts=6,
            ),
            SageMakerJobStepRetryPolicy(
                failure_reason_types=[SageMakerJobExceptionTypeEnum.INTERNAL_ERROR],
                interval_seconds=60,
                backoff_rate=2.0,
                max_attempts=2,
            ),
        ]
