"""The checks of a release, in order: what is cheap and certain first, an endpoint of one's own last."""

from __future__ import annotations

from contracts.errors import ContractError
from contracts.release import ReleaseSettings
from deployment import log
from deployment.aws import Session
from deployment.checks import answers, images, origin, staging
from deployment.checks.archive import Contents
from deployment.checks.report import Finding, Report
from deployment.packages import Package


def before(session: Session, settings: ReleaseSettings, package: Package) -> Report:
    """May ``package`` be rolled out? ``pending`` while AWS is at work: call again.

    With ``release.staging`` the golden requests are answered by a temporary endpoint first, once all else holds.

    Raises:
        ClientError: a call was refused, so nothing is known.
    """
    findings = list(images.check(session, settings, package))
    contents = origin.contents(session, settings, package)
    if isinstance(contents, Finding):
        findings.append(contents)
    else:
        findings.append(Finding("bundle.hash", True, package.bundle_hash))
        findings += origin.check(session, settings, package, contents)
    report = Report.of(findings)
    if report.ok and settings.staging and isinstance(contents, Contents):
        report = Report((*findings, *_staged(session, settings, package, contents).findings))
    _log("checked before", package, report)
    return report


def golden(session: Session, settings: ReleaseSettings, package: Package, endpoint_name: str) -> Report:
    """Does the endpoint answer the package's golden requests as the exported model did?

    Each finding that is not ok names a case, what was expected, what came, and the tolerance. ``pending``: the endpoint
    was too busy to answer.

    Raises:
        ClientError: a call was refused, so nothing is known.
    """
    contents = origin.contents(session, settings, package)
    if isinstance(contents, Finding):
        report = Report((contents,))
    else:
        try:
            asked = answers.cases(contents, package.precision)
        except ContractError as error:
            report = Report((_no_requests(error),))
        else:
            report = Report.of(answers.send(session.client("sagemaker-runtime"), endpoint_name, asked))
    _log("golden requests", package, report)
    return report


def _staged(session: Session, settings: ReleaseSettings, package: Package, contents: Contents) -> Report:
    try:
        asked = answers.cases(contents, package.precision)
    except ContractError as error:
        return Report((_no_requests(error),))
    return staging.step(session, settings, package, asked)


def _no_requests(error: ContractError) -> Finding:
    return Finding(answers.ID, False, f"{error.headline}. {error.hint}")


def _log(name: str, package: Package, report: Report) -> None:
    log.event(name, package_arn=package.arn, **report.to_json())
