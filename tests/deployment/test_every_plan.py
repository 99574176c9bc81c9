"""Plans over the product of states: what holds in every one, and that a plan that was done leaves nothing to do."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from contracts.release import ReleaseSettings
from deployment import actions, attempt, ledger, outcome, planner, specs, verdict
from deployment.attempt import Attempt
from deployment.checked import Before
from deployment.checks import Report
from deployment.observed import Endpoint, Observed
from deployment.planner import Plan
from tests.deployment.plane import report
from tests.deployment.plans import FULL, config, kinds, package, seen, wanted

STATUSES = [
    "", "Creating", "InService", "Updating", "SystemUpdating", "RollingBack", "Failed", "Deleting", "OutOfService",
    "UpdateRollbackFailed",
]  # fmt: skip
#: What the endpoint serves: the older package, the desired one, a newer one (rejected meanwhile), one made by hand.
SERVES = ["1", "2", "3", "by-hand"]
#: What the golden requests have given: not asked, busy, wrong, right.
GOLDEN = (None, report("golden", "it is busy", pending=True), report("golden[1]", "got x"), report("golden"))
#: What the checks have found of what is desired.
BEFORE = (
    Before("k", "", report("inference.scan")),
    Before("k", "", report("bundle.hash", "it was replaced"), "r9", False),
    Before("k", "", report("bundle.hash", "it was replaced"), "r9", True),
    Before("k", "", report("inference.scan", "it is IN_PROGRESS", pending=True)),
    None,
)
#: The release that is noted: none, or of a version in a state, with an endpoint that was touched since or not.
ATTEMPTS: list[tuple[int, str, str, str, Report | None] | None] = [
    None,
    *[
        (version, state, modified, reason, golden)
        for version in (1, 2, 3)
        for state in (attempt.PLANNED, attempt.STARTED, attempt.FAILED)
        for modified in ("t0", "t1")
        for reason in ("the ping failed", FULL)
        for golden in (GOLDEN if (state, modified, reason) == (attempt.STARTED, "t1", FULL) else (None,))
    ],
]
DESIRED = [None, 1, 2, 3]


def every_state(settings: ReleaseSettings) -> Any:
    missing = [frozenset[str](), frozenset({config(settings, 2)})]
    goals = {version: wanted(settings, version) for version in DESIRED}
    names = {str(version): config(settings, version) for version in (1, 2, 3)} | {"by-hand": "widgets-dev-by-hand"}
    plain = {(status, serves): seen(settings, status, names[serves]) for status in STATUSES for serves in SERVES}
    for status, serves, noted, version, gone, retry, before in itertools.product(
        STATUSES, SERVES, ATTEMPTS, DESIRED, missing, (False, True), BEFORE
    ):
        if not status and serves != "1":
            continue
        if before is not BEFORE[0] and noted is not None and (gone or noted[3] == FULL or noted[4] is not None):
            continue  # what the checks found and what the attempt holds meet where either may matter
        state = plain[status, serves]
        if noted is not None:
            number, how, modified, reason, golden = noted
            note = Attempt(
                "r", package(number).arn, names[str(number)], "ml.m5.xlarge", how, modified, reason, golden=golden
            )
            state = dataclasses.replace(state, attempt=note)
        yield goals[version], dataclasses.replace(state, configs=state.configs - gone, before=before), retry


@pytest.mark.parametrize("fallback", [(), ("ml.c5.xlarge",)], ids=["one type", "two types"])
def test_what_holds_in_every_state(settings: ReleaseSettings, fallback: tuple[str, ...]) -> None:
    changed = dataclasses.replace(settings, fallback_instance_types=fallback)
    count = 0
    for desired, state, retry in every_state(changed):
        count += 1
        plan = planner.plan(desired, state, retry=retry, recheck=retry)
        about = f"{desired.package and desired.package.version} {state} retry={retry}: {plan}"
        assert plan == planner.plan(desired, state, retry=retry, recheck=retry), "the same twice"
        assert plan.result in outcome.ACTIONS and plan.message, about
        assert all(action.reason for action in plan.actions), about
        done = kinds(plan)
        starts = [kind for kind in done if kind in (actions.CREATE_ENDPOINT, actions.UPDATE_ENDPOINT)]
        deletes = [action.name for action in plan.actions if action.kind == actions.DELETE_CONFIG]
        assert len(starts) <= 1, about
        if state.status in verdict.CHANGING:
            assert not set(done) - {actions.FORGET}, f"nothing is done to an endpoint that is changing: {about}"
        checked = state.before is not None and state.before.report.ok
        if starts or actions.DELETE_ENDPOINT in done:
            assert checked, f"nothing is rolled out unchecked: {about}"
        if plan.result == outcome.REFUSED:
            assert state.before.report.failed and not retry, about
            told = {actions.CLOSE, actions.FORGET, actions.REFUSE, actions.REJECT}
            assert set(done) <= told, f"nothing is changed: {about}"
        closed = [action.value for action in plan.actions if action.kind == actions.CLOSE]
        if closed == [ledger.SUCCEEDED]:
            assert state.attempt.golden is not None and state.attempt.golden.ok, about
        if actions.REJECT in done:
            assert state.attempt.golden.failed, about
            if done == [actions.REJECT]:
                continue  # another is desired then
            assert done.index(actions.REJECT) < done.index(actions.CLOSE) and closed == [ledger.FAILED], about
        if actions.CREATE_ENDPOINT in done:
            assert state.endpoint is None, about
        if actions.UPDATE_ENDPOINT in done:
            assert state.status == "InService", about
        if actions.DELETE_ENDPOINT in done:
            assert state.status == "Failed", about
        if starts:
            assert plan.candidate is not None and desired.package is not None, about
            assert done.index(actions.OPEN) < done.index(starts[0]), "it is noted before it is done"
            made = {action.name for action in plan.actions if action.kind == actions.CREATE_CONFIG}
            assert plan.candidate.config_name in state.configs | made, about
            if actions.UPDATE_ENDPOINT in done:
                assert plan.candidate.config_name != state.endpoint.config, "no update to what is served"
        if deletes:
            assert plan.result == outcome.SERVING and state.endpoint.config not in deletes, about
        if desired.package is None:
            told = {actions.CLOSE, actions.FORGET, actions.ASK, actions.REJECT}
            assert plan.result in (outcome.NONE, outcome.WAITING) and not set(done) - told, about
        if plan.result == outcome.FAILED:
            assert not retry, f"a person's retry is never refused: {about}"
            assert not starts, about
        assert done.count(actions.CLOSE) <= 1, about
    assert count > 10_000


def test_a_plan_that_was_done_leaves_nothing_to_do(settings: ReleaseSettings) -> None:
    """From any steady state, doing the plan and letting the endpoint follow ends in a state with an empty plan."""
    for desired, state, retry in every_state(settings):
        if state.status in verdict.CHANGING:
            continue
        person, rounds = retry, 0
        while True:
            plan = planner.plan(desired, state, retry=person, recheck=person)
            person = False
            if not plan.actions or kinds(plan) == [actions.REJECT]:
                break
            state = after(settings, state, plan)
            rounds += 1
            assert rounds < 9, f"{desired} {state}: {plan}"
        assert plan.result in (outcome.NONE, outcome.SERVING, outcome.FAILED, outcome.REFUSED, outcome.BLOCKED)
        if plan.result == outcome.SERVING:
            assert state.attempt is None
            assert state.configs == {state.endpoint.config}


def after(settings: ReleaseSettings, state: Observed, plan: Plan) -> Observed:
    """The state when the plan is done and the endpoint has followed it."""
    endpoint, note = state.endpoint, state.attempt
    configs, models = set(state.configs), set(state.models)
    for action in plan.actions:
        match action.kind:
            case actions.CHECK:
                state = dataclasses.replace(state, before=BEFORE[0])
            case actions.REFUSE:
                assert state.before is not None
                state = dataclasses.replace(state, before=dataclasses.replace(state.before, told=True))
            case actions.ASK:
                assert note is not None
                note = dataclasses.replace(note, golden=report("golden"))
            case actions.CLOSE if action.value == ledger.FAILED:
                assert note is not None
                note = note.with_state(attempt.FAILED, action.reason)
            case actions.CLOSE | actions.FORGET:
                note = None
            case actions.OPEN:
                assert plan.candidate is not None
                note = Attempt("r2", package(9).arn, action.name, plan.candidate.instance_type, tried=plan.tried)
            case actions.CREATE_ENDPOINT | actions.UPDATE_ENDPOINT:
                assert note is not None
                note = note.with_state(attempt.STARTED)
                endpoint = Endpoint("InService", action.name, modified="t2")
            case actions.DELETE_ENDPOINT:
                endpoint = None
            case actions.CREATE_CONFIG:
                configs.add(action.name)
            case actions.CREATE_MODEL:
                models.add(action.name)
            case actions.DELETE_CONFIG:
                configs.remove(action.name)
            case actions.DELETE_MODEL:
                models.remove(action.name)
    ours = endpoint is None or specs.is_ours(endpoint.config, settings)
    return dataclasses.replace(
        state, endpoint=endpoint, attempt=note, configs=frozenset(configs), models=frozenset(models), ours=ours
    )
