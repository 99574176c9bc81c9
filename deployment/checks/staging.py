"""A temporary endpoint of one instance that serves what is about to be rolled out, for the golden requests only.

Each call does what is due now and returns; it may be killed after any of its calls, and the next one goes on. What
says where a trial stands is AWS's own state (is the endpoint there, of which configuration, in which status) and one
object, ``release/staging.json``, which holds the result and is written before the endpoint is deleted.

The names cannot be another project's: a configuration's is ``<prefix>-<hash>-staging``, and an endpoint of the
staging name whose configuration is named otherwise is never touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts.release import STAGING_KEY, ReleaseSettings
from deployment import aws, log, specs
from deployment.aws import Session
from deployment.checks import answers
from deployment.checks.answers import Cases
from deployment.packages import Package
from deployment.report import Finding, Report

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import (
        CreateEndpointConfigInputTypeDef,
        DescribeEndpointOutputTypeDef,
        TagTypeDef,
    )

ID = "staging"
#: Seconds after which a trial is given up. SageMaker itself gives up a container that does not answer its ping sooner.
MAX_AGE = 3600
#: Statuses of an endpoint that can be deleted. Source: API reference, DescribeEndpoint, EndpointStatus.
_DELETABLE = ("InService", "OutOfService", "Failed", "UpdateRollbackFailed")


def step(session: Session, settings: ReleaseSettings, package: Package, asked: Callable[[], Cases | Finding]) -> Report:
    """Bring the trial of ``package`` one step on; its report, ``pending`` until the golden requests were answered.

    ``asked`` gives them, or what is wrong with them; it is called once the endpoint can be asked.
    """
    return _Trial(session, settings).step(package, asked)


def forget(session: Session, settings: ReleaseSettings) -> None:
    """Void the last result, so that the next :func:`deployment.checks.before` tries again.

    It is written over, not deleted: the deployer may delete pins and attempts only.
    """
    aws.write_json(session.client("s3"), settings.names.artifacts(STAGING_KEY), {"config": "", "report": {}})


def tidy(session: Session, settings: ReleaseSettings, keep: Package | None = None) -> bool:
    """Remove what a trial has left: the endpoint, then its configuration.

    Args:
        keep: the package whose trial is under way; None: none is.

    Returns:
        True when nothing is left but what is kept.
    """
    return _Trial(session, settings).tidy(keep)


def config(package: Package, settings: ReleaseSettings) -> CreateEndpointConfigInputTypeDef:
    """CreateEndpointConfig of the trial: the roll-out's model, on one instance, without capture."""
    single = replace(settings, instance_count=1, max_instances=1, capture_share=0.0)
    request = specs.endpoint_config(specs.model(package, settings)["ModelName"], single)
    request["EndpointConfigName"] = f"{request['EndpointConfigName']}{specs.TRIAL}"
    return request


class _Trial:
    def __init__(self, session: Session, settings: ReleaseSettings) -> None:
        self.session = session
        self.sagemaker: SageMakerClient = session.client("sagemaker")
        self.settings = settings
        self.name = settings.names.staging_endpoint
        self.record = settings.names.artifacts(STAGING_KEY)

    def step(self, package: Package, asked: Callable[[], Cases | Finding]) -> Report:
        wanted = config(package, self.settings)
        name = wanted["EndpointConfigName"]
        recorded = self._recorded(name)
        if recorded is not None:
            self.tidy(None)
            return recorded
        current = self._describe()
        if current is None:
            self._create(package, wanted)
            return self._pending(f"{self.name} is being created")
        status, serving = current["EndpointStatus"], current.get("EndpointConfigName", "")
        if not specs.is_trial(serving, self.settings):
            return self._report(
                Finding(
                    ID,
                    False,
                    f"there is an endpoint {self.name} that is not of this factory (its configuration is {serving}). "
                    "Delete it, or set release.staging: false",
                )
            )
        if serving != name:
            self._delete(current)
            return self._pending(f"{self.name} still tries another package: it is {status}")
        if status == "Failed":
            reason = current.get("FailureReason", "no reason given")
            return self._close(name, self._report(Finding(ID, False, f"{self.name} did not start: {reason}")))
        if status == "InService":
            cases = asked()
            if isinstance(cases, Finding):
                return self._close(name, self._report(cases))
            report = Report.of(answers.send(self.session.client("sagemaker-runtime"), self.name, cases))
            if not report.pending:
                return self._close(name, report)
            if self._age(current) > MAX_AGE:
                late = Finding(ID, False, f"{self.name} did not answer in {MAX_AGE} seconds: {report.message}")
                return self._close(name, self._report(late))
            return report
        return self._pending(f"{self.name} is {status}")

    def tidy(self, keep: Package | None) -> bool:
        kept = config(keep, self.settings)["EndpointConfigName"] if keep else ""
        if kept and self._recorded(kept) is not None:
            kept = ""
        current = self._describe()
        serving = current.get("EndpointConfigName", "") if current else ""
        done = True
        if current is not None and specs.is_trial(serving, self.settings) and serving != kept:
            self._delete(current)
            done = False
        for name in self._configs():
            if name not in (kept, serving):
                _unless_missing(lambda name=name: self.sagemaker.delete_endpoint_config(EndpointConfigName=name))  # type: ignore[misc]
        return done

    # --- one call each ------------------------------------------------------------------------------------------------

    def _create(self, package: Package, wanted: CreateEndpointConfigInputTypeDef) -> None:
        model = specs.model(package, self.settings)
        _unless_there(lambda: self.sagemaker.create_model(**model))
        _unless_there(lambda: self.sagemaker.create_endpoint_config(**wanted))
        _unless_there(
            lambda: self.sagemaker.create_endpoint(
                EndpointName=self.name, EndpointConfigName=wanted["EndpointConfigName"], Tags=self._tags()
            )
        )
        log.event("staging-created", endpoint=self.name, package_arn=package.arn)

    def _close(self, name: str, report: Report) -> Report:
        """Keep the result, then delete the endpoint: killed in between, the next call deletes it."""
        aws.write_json(self.session.client("s3"), self.record, {"config": name, "report": report.to_json()})
        log.event("staging-closed", endpoint=self.name, ok=report.ok, message=report.message)
        self.tidy(None)
        return report

    def _delete(self, current: DescribeEndpointOutputTypeDef) -> None:
        if current["EndpointStatus"] not in _DELETABLE:
            return  # it is changing; a later run deletes it
        _unless_missing(lambda: self.sagemaker.delete_endpoint(EndpointName=self.name))
        log.event("staging-deleted", endpoint=self.name)

    # --- looking ------------------------------------------------------------------------------------------------------

    def _recorded(self, name: str) -> Report | None:
        """The result of the trial with this configuration, None where there is none."""
        value: Any = aws.read_json(self.session.client("s3"), self.record)
        if not isinstance(value, dict) or value.get("config") != name:
            return None
        try:
            return Report.from_json(value["report"])
        except (KeyError, TypeError):
            return None

    def _describe(self) -> DescribeEndpointOutputTypeDef | None:
        try:
            return self.sagemaker.describe_endpoint(EndpointName=self.name)
        except ClientError as error:
            if aws.is_missing(error):
                return None
            raise

    def _configs(self) -> list[str]:
        pages = self.sagemaker.get_paginator("list_endpoint_configs").paginate(
            NameContains=specs.TRIAL, PaginationConfig={"PageSize": 100}
        )
        names = [item["EndpointConfigName"] for page in pages for item in page["EndpointConfigs"]]
        return sorted(name for name in names if specs.is_trial(name, self.settings))

    @staticmethod
    def _age(current: DescribeEndpointOutputTypeDef) -> float:
        return time.time() - current["CreationTime"].timestamp()

    # --- small things -------------------------------------------------------------------------------------------------

    def _tags(self) -> list[TagTypeDef]:
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + MAX_AGE))
        return [*specs.tags(self.settings), {"Key": "Purpose", "Value": ID}, {"Key": "Expires", "Value": expires}]

    @staticmethod
    def _report(finding: Finding) -> Report:
        return Report((finding,))

    def _pending(self, detail: str) -> Report:
        return self._report(Finding(ID, False, detail, pending=True))


def _unless_there(create: Callable[[], object]) -> None:
    try:
        create()
    except ClientError as error:
        if not aws.is_existing(error):
            raise


def _unless_missing(delete: Callable[[], object]) -> None:
    try:
        delete()
    except ClientError as error:
        if not aws.is_missing(error):
            raise
