"""The endpoint follows the registry: compare what is desired with what is, and do what is due now.

Nothing here waits: each run looks at the registry and the endpoint afresh, so events may come twice, late or never, and
a run may be killed after any of its calls. One thing is remembered, ``release/attempt.json``, the roll-out that was
started last: an endpoint that went back to its old configuration does not say what it went back from, and a package
that failed once is not rolled out again until a person says so (``cv-factory deploy``) or another one is desired.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from contracts.release import ATTEMPT_KEY, ReleaseSettings
from deployment import aws, log, outcome, packages, specs
from deployment.aws import Session
from deployment.outcome import Outcome
from deployment.packages import Desired, Package

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import (
        CreateEndpointConfigInputTypeDef,
        CreateModelInputTypeDef,
        DescribeEndpointOutputTypeDef,
    )

#: The endpoint is changing; an event follows. Source: API reference, DescribeEndpoint, EndpointStatus.
_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def reconcile(session: Session, settings: ReleaseSettings, *, retry: bool = False) -> Outcome:
    """Bring the endpoint one step nearer to the desired package; returns what was done.

    ``retry``: a person asks for it, so a roll-out that failed before is tried again.

    Raises:
        ClientError: a call was refused; the next run goes on from there.
    """
    result = _Release(session.client("sagemaker"), session.client("s3"), settings).step(retry)
    level = logging.INFO if result.ok else logging.ERROR
    log.event("reconciled", level=level, **result.to_json())
    return result


@dataclass(frozen=True, slots=True)
class _Target:
    """The desired package with the model and endpoint configuration that serve it."""

    package: Package
    pinned: bool
    model: CreateModelInputTypeDef
    config: CreateEndpointConfigInputTypeDef

    @property
    def model_name(self) -> str:
        return self.model["ModelName"]

    @property
    def config_name(self) -> str:
        return self.config["EndpointConfigName"]


class _Release:
    def __init__(self, sagemaker: SageMakerClient, s3: S3Client, settings: ReleaseSettings) -> None:
        self.sagemaker = sagemaker
        self.s3 = s3
        self.settings = settings
        self.endpoint = settings.names.endpoint
        self.attempt = settings.names.artifacts(ATTEMPT_KEY)

    def step(self, retry: bool) -> Outcome:
        desired = packages.desired(self.sagemaker, self.s3, self.settings.names)
        current = self._describe()
        status = current["EndpointStatus"] if current else ""
        if desired.package is None:
            left = f"; the endpoint stays as it is ({status})" if current else ""
            return self._outcome(outcome.NONE, f"no package is approved{left}", desired, status)
        model = specs.model(desired.package, self.settings)
        target = _Target(
            desired.package, desired.pinned, model, specs.endpoint_config(model["ModelName"], self.settings)
        )
        result = self._toward(target, current, status, retry)
        if not desired.note:
            return result
        return Outcome(
            **{**result.to_json(), "message": f"{result.message} ({desired.note})", "removed": result.removed}
        )

    def _toward(
        self, target: _Target, current: DescribeEndpointOutputTypeDef | None, status: str, retry: bool
    ) -> Outcome:
        label = target.package.label
        if current is None:
            return self._create(target)
        serving = current.get("EndpointConfigName", "")
        if status in _CHANGING:
            return self._outcome(outcome.WAITING, f"the endpoint is {status}", target, status)
        if status == "Failed":
            reason = current.get("FailureReason", "no reason given")
            if serving == target.config_name and not retry:
                return self._outcome(
                    outcome.FAILED,
                    f"the endpoint could not be created with {label}: {reason}. cv-factory deploy tries again",
                    target,
                    status,
                )
            return self._remove(target, status)
        if status != "InService":
            return self._outcome(
                outcome.BLOCKED,
                f"the endpoint is {status}: {current.get('FailureReason', 'no reason given')}. A person has to decide",
                target,
                status,
            )
        if serving == target.config_name:
            removed = self._clean(target)
            return self._outcome(outcome.SERVING, f"the endpoint serves {label}", target, status, removed)
        if not retry and self._attempted() == target.config_name:
            reason = current.get("FailureReason", "")
            return self._outcome(
                outcome.FAILED,
                f"the roll-out of {label} failed and was rolled back{': ' + reason if reason else ''}. Reject it, or "
                "try again with cv-factory deploy",
                target,
                status,
            )
        return self._update(target, status)

    # --- one step each ------------------------------------------------------------------------------------------------

    def _create(self, target: _Target) -> Outcome:
        self._prepare(target)
        made = self._made(
            lambda: self.sagemaker.create_endpoint(
                EndpointName=self.endpoint,
                EndpointConfigName=target.config_name,
                Tags=specs.tags(self.settings),
            )
        )
        if not made:
            return self._outcome(outcome.WAITING, "another run has created the endpoint", target, "Creating")
        return self._outcome(
            outcome.CREATED, f"the endpoint is being created with {target.package.label}", target, "Creating"
        )

    def _update(self, target: _Target, status: str) -> Outcome:
        self._prepare(target)
        try:
            self.sagemaker.update_endpoint(
                EndpointName=self.endpoint,
                EndpointConfigName=target.config_name,
                RetainAllVariantProperties=True,
                ExcludeRetainedVariantProperties=specs.not_retained(self.settings),
                DeploymentConfig=specs.deployment_config(self.settings),
                RetainDeploymentConfig=False,
            )
        except ClientError:
            now = self._moved_on(status)
            if now is None:
                raise
            return self._outcome(outcome.WAITING, f"another run was faster: the endpoint is {now}", target, now)
        aws.write_json(
            self.s3, self.attempt, {"endpoint_config": target.config_name, "package_arn": target.package.arn}
        )
        return self._outcome(
            outcome.UPDATED,
            f"the endpoint is being updated to {target.package.label} ({self.settings.strategy})",
            target,
            "Updating",
        )

    def _remove(self, target: _Target, status: str) -> Outcome:
        """A Failed endpoint serves nothing and can only be deleted (API reference, DescribeEndpoint)."""
        try:
            self.sagemaker.delete_endpoint(EndpointName=self.endpoint)
        except ClientError as error:
            if not aws.is_missing(error) and self._moved_on(status) is None:
                raise
        return self._outcome(
            outcome.REMOVED, "the failed endpoint is being removed; then it is created again", target, "Deleting"
        )

    def _prepare(self, target: _Target) -> None:
        """Create the model and the configuration, unless an earlier run has."""
        self._made(lambda: self.sagemaker.create_model(**target.model))
        self._made(lambda: self.sagemaker.create_endpoint_config(**target.config))

    def _clean(self, target: _Target) -> tuple[str, ...]:
        """Remove the models and configurations of ours that nothing uses now that ``target`` serves."""
        configs = self._ours("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", target.config_name)
        models = self._ours("list_models", "Models", "ModelName", target.model_name)
        if not configs and not models:
            return ()
        # A newer approval may have started a roll-out since; its configuration must stay.
        current = self._describe()
        state = (current["EndpointStatus"], current.get("EndpointConfigName")) if current else None
        if state != ("InService", target.config_name):
            return ()
        self.s3.delete_object(Bucket=self.attempt.bucket, Key=self.attempt.key)
        for name in configs:
            self._gone(lambda name=name: self.sagemaker.delete_endpoint_config(EndpointConfigName=name))  # type: ignore[misc]
        for name in models:
            self._gone(lambda name=name: self.sagemaker.delete_model(ModelName=name))  # type: ignore[misc]
        return (*configs, *models)

    # --- looking ------------------------------------------------------------------------------------------------------

    def _describe(self) -> DescribeEndpointOutputTypeDef | None:
        try:
            return self.sagemaker.describe_endpoint(EndpointName=self.endpoint)
        except ClientError as error:
            if aws.is_missing(error):
                return None
            raise

    def _moved_on(self, status: str) -> str | None:
        """The endpoint's status if it is no longer ``status``: then another run was faster, and its event follows."""
        current = self._describe()
        now = current["EndpointStatus"] if current else "gone"
        return now if now != status else None

    def _attempted(self) -> str:
        value = aws.read_json(self.s3, self.attempt)
        return str(value.get("endpoint_config", "")) if isinstance(value, dict) else ""

    def _ours(self, operation: str, key: str, field: str, used: str) -> list[str]:
        pages = self.sagemaker.get_paginator(operation).paginate(  # type: ignore[call-overload]
            NameContains=f"{self.settings.names.prefix}-", PaginationConfig={"PageSize": 100}
        )
        found = [item[field] for page in pages for item in page[key]]
        return sorted(name for name in found if name != used and specs.is_ours(name, self.settings))

    # --- small things -------------------------------------------------------------------------------------------------

    @staticmethod
    def _made(create: Callable[[], object]) -> bool:
        try:
            create()
        except ClientError as error:
            if aws.is_existing(error):
                return False
            raise
        return True

    @staticmethod
    def _gone(delete: Callable[[], object]) -> None:
        try:
            delete()
        except ClientError as error:
            if not aws.is_missing(error):
                raise

    def _outcome(
        self, action: str, message: str, what: _Target | Desired, status: str, removed: tuple[str, ...] = ()
    ) -> Outcome:
        return Outcome(
            action=action,
            message=message,
            endpoint=self.endpoint,
            endpoint_status=status,
            package_arn=what.package.arn if what.package else "",
            pinned=what.pinned,
            endpoint_config=what.config_name if isinstance(what, _Target) else "",
            removed=removed,
        )
