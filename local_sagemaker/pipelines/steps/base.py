"""What an action gets and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local_sagemaker import api
from local_sagemaker.errors import ApiError
from local_sagemaker.iam.access import Denied
from local_sagemaker.objects import ObjectError
from local_sagemaker.pipelines import paths, retries
from local_sagemaker.pipelines.definition import Definition, Step
from local_sagemaker.pipelines.expressions import CannotResolve, Scope, resolve

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


@dataclass(frozen=True, slots=True)
class Began:
    """A job was created; its end comes later."""

    metadata: dict[str, Any]
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The step is done.

    ``properties`` is what ``Steps.<name>.…`` refers to, ``source`` the execution that a cache hit comes from.
    """

    metadata: dict[str, Any]
    properties: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    source: str | None = None
    branch: bool | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """``kind`` is the exception type that a retry policy may name; ``message`` becomes the execution's own reason."""

    reason: str
    kind: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    message: str | None = None


Outcome = Began | Succeeded | Failed


@dataclass(frozen=True, slots=True)
class Context:
    """One try of one step. ``job_name`` was stored before, so that a restart finds what this try created."""

    platform: Platform
    region: str
    execution: Mapping[str, Any]
    definition: Definition
    step: Step
    properties: Callable[[str], Mapping[str, Any]]
    cached: Callable[[str], Mapping[str, Any] | None]
    job_name: str
    attempt: int

    def resolve(self, value: Any) -> Any:
        """
        Raises:
            CannotResolve: an expression has no value.
        """
        return resolve(value, self.scope())

    def scope(self) -> Scope:
        body, now = self.execution, self.platform.clock.time()
        return Scope(
            parameters=body["Parameters"],
            execution={
                "StartDateTime": _instant(body["StartTime"]),
                "CurrentDateTime": _instant(now),
                "PipelineName": body["PipelineName"],
                "PipelineArn": body["PipelineArn"],
                "PipelineExecutionArn": body["PipelineExecutionArn"],
                "PipelineExecutionId": body["PipelineExecutionArn"].rsplit("/", 1)[-1],
                "TrainingJobName": self.job_name,
                "ProcessingJobName": self.job_name,
            },
            experiment=resolve(dict(self.definition.experiment), Scope(body["Parameters"]))
            if self._has_experiment
            else {},
            properties=self.properties,
            file=self._file,
            read=self._read,
        )

    def perform(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Call a SageMaker operation as the pipeline's role.

        Raises:
            ApiError: it was refused.
        """
        account = self.platform.account_id
        role = self.execution["RoleArn"].rsplit("/", 1)[-1]
        caller = f"arn:aws:sts::{account}:assumed-role/{role}/SageMaker"
        call = api.Call(self.platform, operation, account, self.region, caller, request)
        try:
            self.platform.access.call(call, self.execution["RoleArn"])
        except Denied as error:
            raise ApiError(error.message, code="AccessDeniedException") from None
        return api.perform(call)

    def refused(self, operation: str, error: ApiError) -> Failed:
        """The outcome of a refused call, in AWS's words."""
        reason = f"ClientError: Failed to invoke sagemaker:{operation}. Error Details: {error.message}"
        return Failed(reason, retries.of_api_error(error.code, error.status))

    @property
    def _has_experiment(self) -> bool:
        return any(reference.root == "PipelineExperimentConfig" for reference in self.step.references)

    def _file(self, step: str, name: str) -> str:
        file = self.definition.steps[step].property_files[name]
        try:
            path = ("ProcessingOutputConfig", "Outputs", file.output, "S3Output", "S3Uri")
            base = paths.follow(self.properties(step), path)
        except paths.NoValue as error:
            raise CannotResolve(f"The property file {name} of the step {step} cannot be found: {error}.") from None
        return f"{base.rstrip('/')}/{file.path.lstrip('/')}"

    def _read(self, uri: str) -> bytes:
        try:
            return self.platform.objects.read(uri, role_arn=self.execution["RoleArn"])
        except ObjectError as error:
            raise CannotResolve(f"Std:JsonGet cannot read {uri}: {error}") from None


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
