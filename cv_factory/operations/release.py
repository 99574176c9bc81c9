"""Releases from the keyboard: approve, reject, deploy, what is served, and waiting for a deployment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import deployment
from contracts.errors import FactoryError
from contracts.names import SETTINGS_KEY
from contracts.release import AT_ONCE, CHECKS_KEY, RETRY, ReleaseSettings
from deployment import attempt, aws, checked, ledger, packages, specs
from deployment.ledger import Release
from deployment.outcome import Outcome
from deployment.packages import Package
from deployment.reconcile import Act

if TYPE_CHECKING:
    from cv_factory.session import Target
    from deployment.aws import Session

IN_SERVICE, FAILED = "InService", "Failed"
#: Seconds until an approval must show at the endpoint: its event, the deployer's start, its first calls.
_STARTED_WITHIN = 180.0
#: Seconds that creating or updating an endpoint may take: a container may load for an hour, but this is a laptop.
_DONE_WITHIN = 1800.0


def settings_of(target: Target) -> ReleaseSettings:
    """The release settings that the base of the environment wrote.

    Raises:
        ContractError: the base is not there.
    """
    return deployment.read_settings(target.session, target.settings.names.artifacts(SETTINGS_KEY))


def by_the_deployer(target: Target) -> Act:
    """Let the deployer's function act, in its own role: who decides needs no right to change an endpoint."""

    def act(_: Session, settings: ReleaseSettings, *, at_once: bool) -> Outcome:
        name = target.settings.names.deployer
        try:
            answer = target.client("lambda").invoke(
                FunctionName=name, Payload=json.dumps({"action": AT_ONCE if at_once else RETRY}).encode()
            )
        except target.client("lambda").exceptions.ResourceNotFoundException:
            raise FactoryError(
                f"there is no function {name}, which changes the endpoint",
                f"Make the base: cv-factory --env {settings.env} " + ("local up" if target.is_local else "infra apply"),
            ) from None
        document = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise FactoryError(
                f"the deployer failed: {document.get('errorMessage', document)}",
                _deployer_log(target) + "What was decided is kept; try again: cv-factory deploy",
            )
        return Outcome.from_json(document)

    return act


@dataclass(frozen=True, slots=True)
class Serving:
    """The endpoint now. ``status`` is empty where there is none; ``package_arn`` where the model names no package."""

    endpoint: str
    status: str
    config: str
    failure: str
    package_arn: str


def serving(target: Target) -> Serving:
    """What the environment's endpoint is doing, and which package it serves."""
    sagemaker = target.client("sagemaker")
    name = target.settings.names.endpoint
    try:
        found = sagemaker.describe_endpoint(EndpointName=name)
    except sagemaker.exceptions.ClientError as error:
        if aws.is_missing(error):
            return Serving(name, "", "", "", "")
        raise
    config = found.get("EndpointConfigName", "")
    return Serving(
        name, found["EndpointStatus"], config, found.get("FailureReason", ""), _package_of(sagemaker, config)
    )


def _package_of(sagemaker: Any, config: str) -> str:
    try:
        variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        model = sagemaker.describe_model(ModelName=variants[0]["ModelName"])
    except sagemaker.exceptions.ClientError as error:
        if aws.is_missing(error):
            return ""
        raise
    return str(model.get("PrimaryContainer", {}).get("ModelPackageName", ""))


def package(target: Target, arn: str) -> Package:
    """A package of the group.

    Raises:
        UsageError: there is none.
    """
    return packages.find(target.client("sagemaker"), target.settings.names, arn)


def all_packages(target: Target) -> list[Package]:
    """Every package of the group, newest first."""
    sagemaker = target.client("sagemaker")
    group = target.settings.names.package_group
    try:
        found = [packages.describe(sagemaker, arn) for _, arn in packages.versions(sagemaker, group)]
    except sagemaker.exceptions.ClientError as error:
        if aws.is_missing(error):
            return []
        raise
    return [each for each in found if each is not None]


def releases(target: Target, most: int | None = None) -> list[Release]:
    """What the ledger says, newest first."""
    s3 = target.client("s3")
    try:
        return list(ledger.releases(s3, settings_of(target), most))
    except s3.exceptions.NoSuchBucket:
        return []


def wait_until_served(target: Target, arn: str, changed: Callable[[Serving], None]) -> Serving:
    """Wait until the endpoint serves a package and has answered its golden requests. Deploying itself is the
    deployer's work: its events drive it.

    ``changed`` is called whenever the endpoint's status or configuration is another one.

    Raises:
        FactoryError: the checks refuse the package, its answers are wrong, the endpoint failed or went back to what it
            served before, or nothing happened for long.
    """
    wanted = package(target, arn)
    settings = settings_of(target)
    config = specs.endpoint_config(specs.model(wanted, settings)["ModelName"], settings)["EndpointConfigName"]
    start = time.monotonic()
    last: tuple[str, str] | None = None
    moved = False
    while True:
        now = serving(target)
        if (now.status, now.config) != last:
            last = (now.status, now.config)
            changed(now)
        moved = moved or now.status not in ("", IN_SERVICE)
        _check_not_refused(target, settings, arn)
        if (now.status, now.config) == (IN_SERVICE, config) and not _is_open(target, settings, config):
            return now
        if now.status == FAILED:
            raise _endpoint_failed(target, now)
        if now.status == IN_SERVICE and now.config != config and _rolled_back(target, settings, config):
            raise FactoryError(
                f"the roll-out of {wanted.label} failed and was rolled back: {now.failure or 'no reason given'}",
                _with_log(target, now) + "Reject it (cv-factory reject), or try again: cv-factory deploy",
            )
        waited = time.monotonic() - start
        if (not moved and waited > _STARTED_WITHIN) or waited > _DONE_WITHIN:
            raise FactoryError(
                f"endpoint {now.endpoint} does not serve {wanted.label} after {waited:.0f} s (it is"
                f" {now.status or 'not there'})",
                _deployer_log(target) + "Try the deployment from here: cv-factory deploy",
            )
        time.sleep(0.5 if target.is_local else 10.0)


def _check_not_refused(target: Target, settings: ReleaseSettings, arn: str) -> None:
    """Raises where the checks, or the endpoint's answers to the golden requests, speak against the package."""
    now = package(target, arn)
    if now.approval == packages.REJECTED:
        raise FactoryError(
            f"{now.label} is rejected: {now.reason or 'no reason given'}", "cv-factory status --releases"
        )
    found = checked.Before.from_json(aws.read_json(target.client("s3"), settings.names.artifacts(CHECKS_KEY)))
    if found is not None and found.package_arn == arn and found.report.failed:
        raise FactoryError(
            f"{now.label} is refused, and nothing was changed: {found.report.message}",
            "Reject it (cv-factory reject), or, once that is mended: cv-factory deploy",
        )


def _is_open(target: Target, settings: ReleaseSettings, config: str) -> bool:
    """Is the release of ``config`` open, so that its golden requests are not answered yet?"""
    found = attempt.read(target.client("s3"), settings)
    return found is not None and found.endpoint_config == config and not found.failed


def _rolled_back(target: Target, settings: ReleaseSettings, config: str) -> bool:
    """Was the roll-out of ``config`` started? Then an endpoint in service with another configuration went back."""
    found = attempt.read(target.client("s3"), settings)
    return found is not None and found.endpoint_config == config and found.state != attempt.PLANNED


def _endpoint_failed(target: Target, now: Serving) -> FactoryError:
    return FactoryError(
        f"endpoint {now.endpoint} failed: {now.failure or 'no reason given'}",
        _with_log(target, now) + "Reject the package (cv-factory reject --why …), or try again: cv-factory deploy",
    )


def _with_log(target: Target, now: Serving) -> str:
    lines = _tail(target, f"/aws/sagemaker/Endpoints/{now.endpoint}", 15)
    return "".join(f"  {line}\n" for line in ["The container's last lines:", *lines]) if lines else ""


def _deployer_log(target: Target) -> str:
    lines = _tail(target, f"/aws/lambda/{target.settings.names.deployer}", 10)
    return "".join(f"  {line}\n" for line in ["The deployer's last lines:", *lines]) if lines else ""


def _tail(target: Target, group: str, count: int) -> list[str]:
    """The last lines of the stream that a log group got an event in last."""
    logs = target.client("logs")
    try:
        streams = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True, limit=1)
        for stream in streams["logStreams"]:
            events = logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], limit=count, startFromHead=False
            )["events"]
            return [event["message"].rstrip("\n") for event in events][-count:]
    except logs.exceptions.ResourceNotFoundException:
        pass
    return []
