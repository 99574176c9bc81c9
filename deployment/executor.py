"""Does a plan's actions, one by one. Killed after any call, the next run goes on: each action may be done twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from contracts.release import ReleaseSettings
from deployment import actions, at_once, aws, checked, checking, clock, ledger, log, observed, outcome, specs
from deployment import attempt as attempts
from deployment.actions import Action
from deployment.at_once import Wish
from deployment.attempt import Attempt
from deployment.clients import Clients
from deployment.goal import Candidate, Goal
from deployment.lease import Lease
from deployment.observed import Observed
from deployment.outcome import Outcome
from deployment.planner import Plan
from deployment.verdict import is_capacity
from deployment.watch import Watch


class _Overtaken(Exception):
    """Somebody else has changed the endpoint meanwhile: nothing more of this plan is right."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class LookAgain(Exception):
    """Something is known now that was not when the plan was made: look and plan again.

    Attributes:
        done: what was done until then.
        rejected: why the package was rejected; empty where it was not.
    """

    def __init__(self, done: list[Action], rejected: str = "") -> None:
        super().__init__(rejected)
        self.done = tuple(done)
        self.rejected = rejected


class NoCapacity(Exception):
    """SageMaker refused the instance type at once. The release is closed; another plan may have another type."""


def execute(
    clients: Clients, settings: ReleaseSettings, lease: Lease, goal: Goal, seen: Observed, plan: Plan
) -> Outcome:
    """Do the plan's actions.

    Raises:
        ClientError: a call was refused; the next run goes on from there.
        LeaseLost: another run acts now.
        LookAgain: plan again, with what is known now.
        NoCapacity: plan again.
    """
    return _Executor(clients, settings, lease, goal, seen, plan).run()


class _Executor:
    def __init__(
        self, clients: Clients, settings: ReleaseSettings, lease: Lease, goal: Goal, seen: Observed, plan: Plan
    ) -> None:
        self.clients = clients
        self.settings = settings
        self.lease = lease
        self.goal = goal
        self.seen = seen
        self.plan = plan
        self.attempt = seen.attempt
        self.checks = checking.Checking(clients, settings, goal, seen)
        self.done: list[Action] = []
        self.steady = False
        self.watch = Watch(clients, settings, goal)
        self.kinds: dict[str, Callable[[Action], None]] = {
            actions.OPEN: self._open,
            actions.CLOSE: self._close,
            actions.FORGET: self._forget,
            actions.CHECK: self.checks.check,
            actions.REFUSE: self._refuse,
            actions.ASK: self._ask,
            actions.REJECT: self.checks.reject,
            actions.TIDY_TRIAL: self.checks.tidy,
            actions.FORGET_WISH: self._forget_wish,
            actions.CREATE_MODEL: self._create_model,
            actions.CREATE_CONFIG: self._create_config,
            actions.CREATE_ENDPOINT: self._create_endpoint,
            actions.UPDATE_ENDPOINT: self._update_endpoint,
            actions.DELETE_ENDPOINT: self._delete_endpoint,
            actions.DELETE_CONFIG: self._delete_config,
            actions.DELETE_MODEL: self._delete_model,
            actions.CREATE_LOG_GROUP: self.watch.create_log_group,
            actions.KEEP_LOGS: self.watch.keep_logs,
            actions.PUT_FILTER: self.watch.put_filter,
            actions.DELETE_FILTER: self.watch.delete_filter,
            actions.PUT_ALARM: self.watch.put_alarm,
            actions.PUT_LABEL_ALARM: self.watch.put_label_alarm,
            actions.DELETE_ALARM: self.watch.delete_alarm,
            actions.REGISTER_SCALING: self.watch.register_scaling,
            actions.PUT_SCALING_POLICY: self.watch.put_scaling_policy,
            actions.DEREGISTER_SCALING: self.watch.deregister_scaling,
        }

    def run(self) -> Outcome:
        answer = self.plan.answer(self.settings, self.goal, self.plan.status)
        for action in self.plan.actions:
            self.lease.hold()
            try:
                self.kinds[action.kind](action)
            except checking.Known as known:
                self._acted(action)
                raise LookAgain(self.done, known.rejected) from None
            except _Overtaken as other:
                message = f"another change was faster: the endpoint is {other.status}"
                answer = replace(answer, action=outcome.WAITING, message=message, endpoint_status=other.status)
                break
            self._acted(action)
        if self.checks.waits:
            answer = replace(answer, message=f"{answer.message.partition(': ')[0]}: {self.checks.waits}")
        removed = (a.name for a in self.done if a.kind in (actions.DELETE_CONFIG, actions.DELETE_MODEL))
        return replace(
            answer,
            removed=tuple(removed),
            release_id=self.attempt.release_id if self.attempt else "",
            actions=tuple(action.to_json() for action in self.done),
        )

    def _acted(self, action: Action) -> None:
        self.done.append(action)
        log.event("acted", action=action.kind, on=action.name, reason=action.reason)

    # --- the release's records ----------------------------------------------------------------------------------------

    def _open(self, action: Action) -> None:
        """Note what is about to be done, before it is done."""
        candidate, moment = self._candidate, clock.now()
        resumed = self.seen.attempt if action.value else None
        self.attempt = resumed or Attempt(
            release_id=ledger.new_id(moment, candidate.config_name),
            package_arn=self.goal.package.arn if self.goal.package else "",
            endpoint_config=candidate.config_name,
            instance_type=candidate.instance_type,
            modified=self.seen.endpoint.modified if self.seen.endpoint else "",
            tried=self.plan.tried,
        )
        if self.goal.at_once:
            # First: once the attempt is another one, nothing else says that it is to be at once.
            wish = Wish(self.goal.candidates[0].config_name, self.attempt.release_id)
            at_once.write(self.clients.s3, self.settings, wish)
        if resumed is None:
            attempts.write(self.clients.s3, self.settings, self.attempt)
        ledger.append(
            self.clients.s3, self.settings, self.attempt.release_id, ledger.OPENED, self._facts(action, candidate)
        )

    def _facts(self, action: Action, candidate: Candidate) -> dict[str, Any]:
        package = self.goal.package
        assert package is not None  # noqa: S101 (a release without a package is never planned)
        return {
            "environment": self.settings.env,
            "endpoint": self.settings.names.endpoint,
            "package_arn": package.arn,
            "version": package.version,
            "bundle_hash": package.bundle_hash,
            "precision": package.precision,
            "image": package.image,
            "image_digests": {
                "inference": package.inference_digest or package.image.partition("@")[2],
                "training": package.training_digest,
            },
            "approved_by": package.approved_by,
            "approval_reason": package.reason,
            "pinned": self.goal.pinned,
            "reason": action.reason,
            "checks": self.seen.before.report.to_json() if self.seen.before else None,
            "strategy": self.goal.strategy,
            "plan": [each.to_json() for each in self.plan.actions],
            "endpoint_config": candidate.config_name,
            "instance_type": candidate.instance_type,
            "no_capacity": list(self.plan.tried),
            "before": self.seen.endpoint.config if self.seen.endpoint else "",
        }

    def _close(self, action: Action) -> None:
        current = self.attempt
        if current is None:
            return
        self._check_untold(current)
        ledger.append(
            self.clients.s3,
            self.settings,
            current.release_id,
            action.value,
            {
                "outcome": action.reason,
                "alarms": self._alarms(),
                "golden": current.golden.to_json() if current.golden else None,
            },
        )
        self._closed(current, action)

    def _check_untold(self, current: Attempt) -> None:
        """A killed run may have told the ledger how the release ended, or not even that it was opened.

        Raises:
            Known: the ledger is right, and the attempt now says the same.
        """
        told = ledger.told(self.clients.s3, self.settings, current.release_id)
        for state in (ledger.SUCCEEDED, ledger.FAILED, ledger.SUPERSEDED):
            if state in told:
                self._closed(current, Action(actions.CLOSE, current.release_id, str(told[state]["outcome"]), state))
                raise checking.Known
        if ledger.OPENED not in told:
            attempts.remove(self.clients.s3, self.settings)
            raise checking.Known  # nothing was asked for yet, so there is nothing to tell

    def _closed(self, current: Attempt, action: Action) -> None:
        """The ledger knows; the attempt, and what a person wanted at once, follow."""
        self._fulfil(current, action)
        level = logging.ERROR if action.value == ledger.FAILED else logging.INFO
        log.event(
            "release-closed", level=level, release_id=current.release_id, state=action.value, reason=action.reason
        )
        if action.value == ledger.FAILED:
            self.attempt = current.with_state(attempts.FAILED, action.reason)
            attempts.write(self.clients.s3, self.settings, self.attempt)
        else:
            attempts.remove(self.clients.s3, self.settings)
            self.attempt = None

    def _alarms(self) -> list[dict[str, str]]:
        """The guards' alarms as they were when the run looked."""
        return [
            {"name": name, "state": each.state, "since": each.since, "reason": each.reason}
            for name, each in sorted(self.seen.monitor.alarms.items())
        ]

    def _refuse(self, action: Action) -> None:
        """Tell the ledger that nothing was begun, and why, in one record."""
        s3, found = self.clients.s3, self.seen.before
        if found is None:
            return
        told = {"outcome": f"refused by the checks: {action.reason}", "alarms": self._alarms(), "golden": None}
        facts = self._facts(action, self._candidate)
        ledger.append(s3, self.settings, action.name, ledger.REFUSED, {**facts, **told})
        checked.write(s3, self.settings, replace(found, told=True))
        log.event("release-refused", level=logging.ERROR, release_id=action.name, reason=action.reason)

    def _ask(self, action: Action) -> None:
        if self.attempt is not None:
            self.attempt = self.checks.ask(self.attempt)
            self.checks.known(self.attempt.golden)

    def _forget(self, action: Action) -> None:
        if self.goal.at_once:
            # What is forgotten may be why: a package whose answers were wrong.
            at_once.write(self.clients.s3, self.settings, Wish(self.goal.candidates[0].config_name))
        attempts.remove(self.clients.s3, self.settings)
        self.attempt = None

    def _fulfil(self, current: Attempt, closing: Action) -> None:
        """The release that a person wanted at once is closed. One that had no machine goes on with another type."""
        wish = at_once.read(self.clients.s3, self.settings)
        if wish is None or (closing.value == ledger.FAILED and is_capacity(closing.reason)):
            return
        served = closing.value == ledger.SUCCEEDED and wish.endpoint_config == current.endpoint_config
        if served or wish.release_id == current.release_id:
            at_once.forget(self.clients.s3, self.settings)

    def _forget_wish(self, action: Action) -> None:
        at_once.forget(self.clients.s3, self.settings)

    def _started(self) -> None:
        if self.attempt is None:
            return
        self.attempt = self.attempt.with_state(attempts.STARTED)
        attempts.write(self.clients.s3, self.settings, self.attempt)
        told = {"armed": list(self.watch.armed), "usual_labels": self.watch.usual}
        ledger.append(self.clients.s3, self.settings, self.attempt.release_id, ledger.STARTED, told)

    def _overtaken(self, status: str) -> _Overtaken:
        """The release that was opened has not begun, and its plan is no longer right: it ends here."""
        if self.attempt is not None and not self.attempt.failed:
            reason = f"another change was faster: the endpoint is {status}"
            self._close(Action(actions.CLOSE, self.attempt.release_id, reason, ledger.SUPERSEDED))
        return _Overtaken(status)

    # --- models, configurations, the endpoint -------------------------------------------------------------------------

    @property
    def _candidate(self) -> Candidate:
        if self.plan.candidate is None:
            raise AssertionError("a plan that serves nothing creates nothing")
        return self.plan.candidate

    def _create_model(self, action: Action) -> None:
        aws.made(lambda: self.clients.sagemaker.create_model(**self._candidate.model))

    def _create_config(self, action: Action) -> None:
        aws.made(lambda: self.clients.sagemaker.create_endpoint_config(**self._candidate.config))

    def _create_endpoint(self, action: Action) -> None:
        try:
            made = aws.made(
                lambda: self.clients.sagemaker.create_endpoint(
                    EndpointName=self.settings.names.endpoint,
                    EndpointConfigName=action.name,
                    Tags=specs.tags(self.settings),
                )
            )
        except ClientError as error:
            self._check_capacity(error)
            raise
        if not made:
            self._check_ours(action.name)
        self._started()

    def _update_endpoint(self, action: Action) -> None:
        try:
            self.clients.sagemaker.update_endpoint(
                EndpointName=self.settings.names.endpoint,
                EndpointConfigName=action.name,
                RetainAllVariantProperties=True,
                ExcludeRetainedVariantProperties=specs.not_retained(self.settings),
                DeploymentConfig=specs.deployment_config(self.goal.rollout, self.watch.armed),
                RetainDeploymentConfig=False,
            )
        except ClientError as error:
            self._check_capacity(error)
            if self._status() == self.seen.status:
                raise
            self._check_ours(action.name)
        self._started()

    def _check_ours(self, config: str) -> None:
        """SageMaker has refused, as the endpoint is changing: is that what was asked for?

        It is where the answer to the first call was lost and the SDK has called again.

        Raises:
            _Overtaken: it is not.
        """
        now = observed.endpoint(self.clients.sagemaker, self.settings)
        if now is None or config not in (now.pending, now.config):
            raise self._overtaken(now.status if now else "gone") from None

    def _check_capacity(self, error: ClientError) -> None:
        """A quota of nothing, or no machine, said at once: the release has failed, as if it had been said later."""
        if self.attempt is None or not is_capacity(str(error)):
            return
        self._close(Action(actions.CLOSE, self.attempt.release_id, str(error), ledger.FAILED))
        raise NoCapacity from error

    def _delete_endpoint(self, action: Action) -> None:
        try:
            self.clients.sagemaker.delete_endpoint(EndpointName=self.settings.names.endpoint)
        except ClientError as error:
            if not aws.is_missing(error) and self._status() == self.seen.status:
                raise

    def _delete_config(self, action: Action) -> None:
        self._check_steady()
        aws.gone(lambda: self.clients.sagemaker.delete_endpoint_config(EndpointConfigName=action.name))

    def _delete_model(self, action: Action) -> None:
        self._check_steady()
        aws.gone(lambda: self.clients.sagemaker.delete_model(ModelName=action.name))

    def _check_steady(self) -> None:
        """Once, before the first is removed: somebody without a lease may have started an update by hand."""
        if self.steady:
            return
        now = observed.endpoint(self.clients.sagemaker, self.settings)
        if now is None or (now.status, now.config) != ("InService", self._candidate.config_name):
            raise _Overtaken(now.status if now else "gone")
        self.steady = True

    def _status(self) -> str:
        now = observed.endpoint(self.clients.sagemaker, self.settings)
        return now.status if now else "gone"
