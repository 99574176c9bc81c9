"""What is due now: (goal, observed) -> actions, each with its reason. Pure: no call of AWS, no clock, no chance.

A plan never waits and never looks ahead: while the endpoint is changing there is nothing to do, and its next event
makes the next plan.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from contracts.release import ReleaseSettings
from deployment import outcome, watching
from deployment.actions import (
    ASK,
    CHECK,
    CLOSE,
    CREATE_CONFIG,
    CREATE_ENDPOINT,
    CREATE_MODEL,
    DELETE_CONFIG,
    DELETE_ENDPOINT,
    DELETE_MODEL,
    FORGET,
    FORGET_WISH,
    OPEN,
    REFUSE,
    REJECT,
    TIDY_TRIAL,
    UPDATE_ENDPOINT,
    Action,
)  # fmt: skip
from deployment.goal import Candidate, Goal
from deployment.observed import Endpoint, Observed
from deployment.outcome import Outcome
from deployment.packages import version_of
from deployment.states import FAILED, SUPERSEDED
from deployment.verdict import CHANGING, Verdict, is_capacity, verdict


@dataclass(frozen=True, slots=True)
class Plan:
    """What is due.

    Attributes:
        result: what the run will answer when all actions are done, one of :data:`deployment.outcome.ACTIONS`.
        message: the same as a sentence.
        actions: in the order in which they are to be done.
        candidate: what the actions lead to; None: nothing is to be served.
        status: the endpoint's, once they are done.
        tried: instance types of this roll-out that had no capacity.
    """

    result: str
    message: str
    actions: tuple[Action, ...] = ()
    candidate: Candidate | None = None
    status: str = ""
    tried: tuple[str, ...] = field(default=())

    def answer(self, settings: ReleaseSettings, goal: Goal, status: str) -> Outcome:
        """What a run says when nothing but this is done."""
        return Outcome(
            action=self.result,
            message=self.message,
            endpoint=settings.names.endpoint,
            endpoint_status=status,
            package_arn=goal.package.arn if goal.package else "",
            pinned=goal.pinned,
            endpoint_config=self.candidate.config_name if self.candidate else "",
            instance_type=self.candidate.instance_type if self.candidate else "",
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "result": self.result,
            "message": self.message,
            "actions": [action.to_json() for action in self.actions],
            "endpoint_config": self.candidate.config_name if self.candidate else "",
            "instance_type": self.candidate.instance_type if self.candidate else "",
        }


def plan(goal: Goal, seen: Observed, *, retry: bool = False, recheck: bool = False) -> Plan:
    """The actions that bring the endpoint one step nearer to the goal.

    Args:
        retry: a person asks for it: what failed is tried again, and a fallback instance type is left.
        recheck: what the checks have refused is checked again.
    """
    ended = verdict(goal, seen)
    closing: list[Action] = []
    if ended is not None and seen.attempt is not None:
        golden = seen.attempt.golden
        if ended.state == FAILED and golden is not None and golden.failed:
            closing.append(Action(REJECT, seen.attempt.package_arn, f"its answers were wrong: {golden.message}"))
        closing.append(Action(CLOSE, seen.attempt.release_id, ended.reason, ended.state))
    planner = _Planner(goal, seen, ended, retry=retry, recheck=recheck)
    found = planner.after_the_shift() or planner.plan(closing)
    if seen.wish is not None and goal.serving(seen.wish.endpoint_config) is None:
        stale = Action(FORGET_WISH, seen.wish.endpoint_config, "what was wanted at once is not desired any more")
        found = replace(found, actions=(stale, *found.actions))
    if not seen.trial or seen.status in CHANGING or any(action.kind == CHECK for action in found.actions):
        return found
    return replace(found, actions=(*found.actions, Action(TIDY_TRIAL, "", "no package is being tried")))


class _Planner:
    def __init__(self, goal: Goal, seen: Observed, ended: Verdict | None, *, retry: bool, recheck: bool) -> None:
        self.goal = goal
        self.seen = seen
        self.ended = ended
        self.retry = retry
        self.recheck = recheck
        self.open = seen.attempt if ended is None and seen.attempt and not seen.attempt.failed else None
        failed = seen.attempt is not None and (seen.attempt.failed or (ended is not None and ended.state == FAILED))
        self.failed = seen.attempt if failed else None
        self.failure = ended.reason if ended is not None else seen.attempt.reason if seen.attempt else ""

    def plan(self, closing: list[Action]) -> Plan:
        goal, now = self.goal, self.seen.endpoint
        if not goal.candidates:
            left = f"; the endpoint stays as it is ({now.status})" if now else ""
            return Plan(
                outcome.NONE,
                f"no package is approved{left}{self._note()}",
                (*closing, *self._forgotten_for_good(), *self._unbegun(None), *watching.when_gone(self.seen)),
                status=self.seen.status,
            )
        found = self._toward(now)
        return Plan(
            found.result,
            found.message + self._note(),
            (*closing, *self._forgotten(found), *found.actions),
            found.candidate,
            found.status,
            found.tried,
        )

    def after_the_shift(self) -> Plan | None:
        """What is due of a release that is served: its golden requests; None: nothing."""
        open_, now = self.seen.attempt, self.seen.endpoint
        if open_ is None or open_.failed or now is None or now.status != "InService":
            return None
        if now.config != open_.endpoint_config:
            return None
        served = self.goal.serving(now.config)
        if self.ended is None:
            waits = f": {open_.golden.message}" if open_.golden else ""
            label = f"version {version_of(open_.package_arn)}"
            message = f"the endpoint serves {label}, and its golden requests are not answered yet{waits}"
            asking = Action(ASK, open_.release_id, "the traffic has moved")
            return Plan(outcome.WAITING, message, (asking,), served, now.status)
        if self.ended.state == FAILED and served is not None and self.goal.package is not None:
            # The release is closed once another package is desired: killed in between, this is done again.
            rejecting = Action(REJECT, self.goal.package.arn, self.ended.reason)
            message = f"{self._label} is rejected: {self.ended.reason}"
            return Plan(outcome.FAILED, message, (rejecting,), served, now.status)
        return None

    def _toward(self, now: Endpoint | None) -> Plan:
        if now is None:
            return self._begin(CREATE_ENDPOINT, "there is no endpoint")
        if now.status in CHANGING:
            return self._nothing(outcome.WAITING, f"the endpoint is {now.status}", self._first)
        if now.status == "Failed":
            return self._after_failed_creation(now)
        if now.status != "InService":
            why = now.failure or "no reason given"
            return self._nothing(
                outcome.BLOCKED, f"the endpoint is {now.status}: {why}. A person has to decide", self._first
            )
        served = self.goal.serving(now.config)
        if served is not None and not (self.retry and served is not self._first):
            return self._serving(served)
        if served is not None:
            return self._begin(UPDATE_ENDPOINT, f"a person asks for {self._first.instance_type} again")
        if self._is_blocked():
            return self._nothing(
                outcome.FAILED,
                f"the roll-out of {self._label} failed and was rolled back: {self.failure or 'no reason given'}."
                " Reject it, or try again with cv-factory deploy",
                self._first,
            )
        by_hand = "" if self.seen.ours else ", which the deployer did not make"
        return self._begin(UPDATE_ENDPOINT, f"the endpoint serves the configuration {now.config}{by_hand}")

    # --- the cases ----------------------------------------------------------------------------------------------------

    def _begin(self, kind: str, why: str) -> Plan:
        """Create or update the endpoint, with what that needs."""
        chosen, tried = self._choice()
        if chosen is None:
            types = ", ".join(tried)
            return self._nothing(
                outcome.FAILED,
                f"there is no capacity for {self._label} on {types}: {self.failure}. Try again with cv-factory deploy",
                self._first,
            )
        unchecked = self._unchecked()
        if unchecked is not None:
            return unchecked
        label = self._label
        actions = [*self._unbegun(chosen)]
        resumed = self.open.release_id if self.open and self.open.endpoint_config == chosen.config_name else ""
        actions.append(Action(OPEN, chosen.config_name, f"{label} is desired, and {why}", resumed))
        if chosen.model_name not in self.seen.models:
            actions.append(Action(CREATE_MODEL, chosen.model_name, f"the bundle and image of {label}"))
        if chosen.config_name not in self.seen.configs:
            actions.append(Action(CREATE_CONFIG, chosen.config_name, f"serves {label} on {chosen.instance_type}"))
        if kind == UPDATE_ENDPOINT:
            actions += watching.before_update(self.goal, self.seen)
        actions.append(Action(kind, chosen.config_name, why))
        fallback = f" on {chosen.instance_type}, as {', '.join(tried)} had no capacity" if tried else ""
        warned = self.seen.before.report.warnings if self.seen.before else ""
        if kind == CREATE_ENDPOINT:
            message = f"the endpoint is being created with {label}{fallback}{warned}"
            return Plan(outcome.CREATED, message, tuple(actions), chosen, "Creating", tried)
        message = f"the endpoint is being updated to {label} ({self.goal.strategy}){fallback}{warned}"
        return Plan(outcome.UPDATED, message, tuple(actions), chosen, "Updating", tried)

    def _unchecked(self) -> Plan | None:
        """What is due instead of a roll-out, while the checks do not hold; None: they do."""
        before, package, label = self.seen.before, self.goal.package, self._label
        if before is None or before.report.pending or (before.report.failed and self.recheck):
            waits = f": {before.report.message}" if before and before.report.pending else ""
            checking = Action(CHECK, package.arn if package else "", "nothing is rolled out unchecked")
            return Plan(outcome.WAITING, f"{label} is being checked{waits}", (checking,), self._first, self.seen.status)
        if before.report.ok:
            return None
        telling = () if before.told else (Action(REFUSE, before.release_id, before.report.message),)
        return Plan(
            outcome.REFUSED,
            f"{label} is refused, and nothing was changed: {before.report.message}. Reject it (cv-factory reject), or,"
            " once that is mended, have it checked again: cv-factory deploy",
            (*self._unbegun(None), *telling),
            self._first,
            self.seen.status,
        )

    def _after_failed_creation(self, now: Endpoint) -> Plan:
        """A Failed endpoint serves nothing and can only be deleted (API reference, DescribeEndpoint)."""
        served = self.goal.serving(now.config)
        chosen, tried = self._choice()
        another = self._mine() and is_capacity(self.failure) and chosen is not None
        if served is not None and not self.retry and not another:
            return self._nothing(
                outcome.FAILED,
                f"the endpoint could not be created with {self._label}: {now.failure or 'no reason given'}."
                " cv-factory deploy tries again",
                served,
            )
        unchecked = self._unchecked()
        if unchecked is not None:
            return unchecked
        why = "it has failed, serves nothing, and can only be removed"
        return Plan(
            outcome.REMOVED,
            "the failed endpoint is being removed; then it is created again",
            (Action(DELETE_ENDPOINT, "", why),),
            chosen or self._first,
            "Deleting",
            tried,
        )

    def _serving(self, served: Candidate) -> Plan:
        """Repair what was removed by hand, and remove what nothing uses any more."""
        actions: list[Action] = [*self._unbegun(None)]
        if served.model_name not in self.seen.models:
            actions.append(Action(CREATE_MODEL, served.model_name, "the endpoint uses it, and it is gone"))
        if served.config_name not in self.seen.configs:
            actions.append(Action(CREATE_CONFIG, served.config_name, "the endpoint uses it, and it is gone"))
        actions += watching.while_serving(self.goal, self.seen)
        why = f"nothing uses it since {self._label} is served"
        actions += [Action(DELETE_CONFIG, each, why) for each in sorted(self.seen.configs - {served.config_name})]
        actions += [Action(DELETE_MODEL, each, why) for each in sorted(self.seen.models - {served.model_name})]
        fallback = "" if served is self._first else f" on {served.instance_type}, not on {self._first.instance_type}"
        return Plan(
            outcome.SERVING, f"the endpoint serves {self._label}{fallback}", tuple(actions), served, "InService"
        )

    def _nothing(self, result: str, message: str, candidate: Candidate) -> Plan:
        return Plan(result, message, (), candidate, self.seen.status)

    # --- small things -------------------------------------------------------------------------------------------------

    @property
    def _first(self) -> Candidate:
        return self.goal.candidates[0]

    @property
    def _label(self) -> str:
        return self.goal.package.label if self.goal.package else "nothing"

    def _note(self) -> str:
        return f" ({self.goal.note})" if self.goal.note else ""

    def _mine(self) -> bool:
        """Was the failed roll-out one of this goal?"""
        return self.failed is not None and self.goal.serving(self.failed.endpoint_config) is not None

    def _is_blocked(self) -> bool:
        """The goal failed, nobody asks for another try, and no other instance type may help."""
        if not self._mine() or self.retry:
            return False
        return not is_capacity(self.failure) or self._choice()[0] is None

    def _choice(self) -> tuple[Candidate | None, tuple[str, ...]]:
        """The candidate to roll out and the types before it that had no capacity; None: all of them had none."""
        if self.open is not None and self.goal.serving(self.open.endpoint_config) is not None:
            return self.goal.serving(self.open.endpoint_config), self.open.tried
        if self.failed is None or not self._mine() or self.retry or not is_capacity(self.failure):
            return self._first, ()
        tried = (*self.failed.tried, self.failed.instance_type)
        left = (each for each in self.goal.candidates if each.instance_type not in tried)
        return next(left, None), tried

    def _has_shifted(self) -> bool:
        """Does the endpoint serve what the open release has rolled out?"""
        now = self.seen.endpoint
        return bool(now and self.open and now.config == self.open.endpoint_config)

    def _unbegun(self, chosen: Candidate | None) -> list[Action]:
        """Close a release that was opened and never begun, unless it is the one to go on with."""
        if self.open is None or self.seen.status in CHANGING or self._has_shifted():
            return []
        if chosen is not None and chosen.config_name == self.open.endpoint_config:
            return []
        return [Action(CLOSE, self.open.release_id, "another package is desired before it began", SUPERSEDED)]

    def _forgotten_for_good(self) -> list[Action]:
        if self.failed is None:
            return []
        return [Action(FORGET, self.failed.release_id, "nothing is desired any more")]

    def _forgotten(self, found: Plan) -> list[Action]:
        """A failure is forgotten when a person asks again, when another package is desired, and when all is well."""
        if self.failed is None:
            return []
        if self._mine() and not self.retry and found.result != outcome.SERVING:
            return []
        why = "another package is desired"
        if self._mine():
            why = "a person asks for it again" if self.retry else "the endpoint serves what is desired"
        return [Action(FORGET, self.failed.release_id, why)]
