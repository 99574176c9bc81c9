"""The checks of a release, in order: what is cheap and certain first, an endpoint of one's own last."""

from __future__ import annotations

from contracts.errors import ContractError
from contracts.release import ReleaseSettings
from deployment import log
from deployment.aws import Session
from deployment.checks import answers, images, origin, staging
from deployment.checks.answers import Cases
from deployment.checks.archive import Contents
from deployment.packages import Package
from deployment.report import Finding, Report


def before(session: Session, settings: ReleaseSettings, package: Package, last: Report | None = None) -> Report:
    """May ``package`` be rolled out? ``pending`` while AWS is at work: call again.

    With ``release.staging`` the golden requests are answered by a temporary endpoint first, once all else holds.

    Args:
        last: the report before, of the same package and archive: what holds in it without the temporary endpoint is not
            looked at again. So waiting for that endpoint does not read the archive each time.

    Raises:
        ClientError: a call was refused, so nothing is known.
    """
    report = _held(last) or _looked_at(session, settings, package)
    if report.ok and settings.staging:
        report = Report((*report.findings, *_staged(session, settings, package).findings))
    _log("checked before", package, report)
    return report


def _held(last: Report | None) -> Report | None:
    """The part of a report that needs no endpoint, where all of it holds."""
    if last is None:
        return None
    found = Report.of(finding for finding in last.findings if not finding.id.startswith((staging.ID, answers.ID)))
    return found if found.findings and found.ok else None


def _looked_at(session: Session, settings: ReleaseSettings, package: Package) -> Report:
    """Images, then the archive. While a scan is under way the archive, which is large, is not read."""
    report = Report.of(images.check(session, settings, package))
    if report.pending:
        return report
    contents = origin.contents(session, settings, package)
    if isinstance(contents, Finding):
        return Report((*report.findings, contents))
    found = [Finding("bundle.hash", True, package.bundle_hash), *origin.check(session, settings, package, contents)]
    if settings.staging:
        asked = _cases(contents, package)
        found += [asked] if isinstance(asked, Finding) else []
    return Report((*report.findings, *found))


def golden(session: Session, settings: ReleaseSettings, package: Package, endpoint_name: str) -> Report:
    """Does the endpoint answer the package's golden requests as the exported model did?

    Each finding that is not ok names a case, what was expected, what came, and the tolerance. ``pending``: the endpoint
    was too busy to answer.

    Raises:
        ClientError: a call was refused, so nothing is known.
    """
    asked = _asked(session, settings, package)
    if isinstance(asked, Finding):
        report = Report((asked,))
    else:
        report = Report.of(answers.send(session.client("sagemaker-runtime"), endpoint_name, asked))
    _log("golden requests", package, report)
    return report


def _staged(session: Session, settings: ReleaseSettings, package: Package) -> Report:
    return staging.step(session, settings, package, lambda: _asked(session, settings, package))


def _asked(session: Session, settings: ReleaseSettings, package: Package) -> Cases | Finding:
    """The golden requests in the package's archive, or what is wrong with it."""
    contents = origin.contents(session, settings, package)
    return contents if isinstance(contents, Finding) else _cases(contents, package)


def _cases(contents: Contents, package: Package) -> Cases | Finding:
    try:
        return answers.cases(contents, package.precision)
    except ContractError as error:
        return Finding(answers.ID, False, f"{error.headline}. {error.hint}")


def _log(name: str, package: Package, report: Report) -> None:
    log.event(name, package_arn=package.arn, **report.to_json())
