"""The actions of the checks: check what is to be rolled out, ask the endpoint, reject what answers wrongly."""

from __future__ import annotations

from dataclasses import replace

from botocore.exceptions import ClientError

from contracts.release import ReleaseSettings
from deployment import attempt as attempts
from deployment import aws, checked, checks, clock, ledger, packages
from deployment.actions import Action
from deployment.attempt import Attempt
from deployment.checked import Before
from deployment.checks import Finding, Report
from deployment.clients import Clients
from deployment.goal import Goal
from deployment.observed import Observed
from deployment.packages import Package


class Known(Exception):
    """The result is there and written down, so the plan is to be made again. ``rejected``: why the package was."""

    def __init__(self, rejected: str = "") -> None:
        super().__init__(rejected)
        self.rejected = rejected


class Checking:
    """The checks of one run. Each result is written before anything is made of it.

    Attributes:
        waits: what a check waits for; empty where none does.
    """

    def __init__(self, clients: Clients, settings: ReleaseSettings, goal: Goal, seen: Observed) -> None:
        self.clients = clients
        self.settings = settings
        self.goal = goal
        self.seen = seen
        self.waits = ""

    def known(self, report: Report | None) -> None:
        """Raises Known where the report is final; else keeps what is waited for."""
        if report is not None and report.pending:
            self.waits = report.message
            return
        raise Known

    def check(self, action: Action) -> None:
        """Check the desired package. A refusal that a person wants to see tried again begins anew."""
        s3, session, last = self.clients.s3, self.clients.session, self.seen.before
        # The key comes first: an archive that is replaced while it is read has another one.
        key = checked.key(s3, self.settings, self.goal)
        if last is not None and last.report.failed and self.settings.staging:
            checks.forget(session, self.settings)
        usable = last is not None and last.key == key and not last.report.failed
        report = checks.before(session, self.settings, self._package, last.report if last and usable else None)
        name = ledger.new_id(clock.now(), self.goal.candidates[0].config_name) if report.failed else ""
        found = Before(key, self._package.arn, report, name)
        if found != last:
            checked.write(s3, self.settings, found)
        self.known(report)

    def ask(self, current: Attempt) -> Attempt:
        """The attempt with what the endpoint answers to the golden requests."""
        package = self._named(current.package_arn)
        if package is None:
            report = Report(
                (Finding("golden", False, f"{current.package_arn} is gone, and its golden requests with it"),)
            )
        else:
            report = checks.golden(self.clients.session, self.settings, package, self.settings.names.endpoint)
        asked = replace(current, golden=report)
        if asked != current:
            attempts.write(self.clients.s3, self.settings, asked)
        return asked

    def reject(self, action: Action) -> None:
        """Reject the package that answered wrongly; a person's rejection keeps its reason.

        Raises:
            Known: it was the desired one, so that another is desired now.
        """
        package = self._named(action.name)
        if package is not None and package.approval != packages.REJECTED:
            try:
                packages.set_approval(self.clients.sagemaker, package, packages.REJECTED, action.reason)
            except ClientError as error:
                if not aws.is_missing(error):
                    raise
        packages.unpin(self.clients.s3, self.settings.names, action.name)
        if self.goal.package is not None and self.goal.package.arn == action.name:
            raise Known(f"{self.goal.package.label} is rejected: {action.reason}")

    def _named(self, arn: str) -> Package | None:
        """The package of a release; None: it was deleted."""
        if self.goal.package is not None and self.goal.package.arn == arn:
            return self.goal.package
        return packages.describe(self.clients.sagemaker, arn)

    def tidy(self, action: Action) -> None:
        checks.tidy(self.clients.session, self.settings)

    @property
    def _package(self) -> Package:
        if self.goal.package is None:
            raise AssertionError("where nothing is desired, nothing is checked")
        return self.goal.package
