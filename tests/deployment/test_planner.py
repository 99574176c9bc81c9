"""The planner, over the product of states. Pure: no client, no control plane."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from contracts.release import ReleaseSettings
from deployment import actions, attempt, goal, ledger, outcome, planner, specs
from deployment.attempt import Attempt
from deployment.checked import Before
from deployment.checks import Report
from deployment.goal import Goal
from deployment.monitor import Monitor
from deployment.observed import Endpoint, Observed
from deployment.packages import Desired, Package
from deployment.planner import Plan
from tests.deployment.plane import report

GROUP = "arn:aws:sagemaker:eu-west-1:111122223333:model-package/widgets-dev"
FULL = "InsufficientInstanceCapacity: there is no ml.m5.xlarge"


def package(version: int) -> Package:
    return Package(
        arn=f"{GROUP}/{version}",
        version=version,
        approval="Approved",
        status="Completed",
        reason="",
        image="111122223333.dkr.ecr.eu-west-1.amazonaws.com/widgets-dev/inference@sha256:" + "1" * 64,
        model_uri=f"s3://widgets-dev-artifacts-111122223333/packages/{version}/model.tar.gz",
        bundle_hash=f"{version:064x}",
    )


def wanted(settings: ReleaseSettings, version: int | None) -> Goal:
    return goal.of(Desired(package(version) if version else None), settings)


def config(settings: ReleaseSettings, version: int) -> str:
    return wanted(settings, version).candidates[0].config_name


def seen(settings: ReleaseSettings, status: str, serves: str, **change: Any) -> Observed:
    """An endpoint, and every model and configuration of versions 1 to 3."""
    goals = [wanted(settings, version) for version in (1, 2, 3)]
    there = Observed(
        endpoint=Endpoint(status, serves, modified="t1") if status else None,
        attempt=None,
        configs=frozenset(each.config_name for one in goals for each in one.candidates),
        models=frozenset(one.candidates[0].model_name for one in goals),
        ours=not status or specs.is_ours(serves, settings),
        monitor=Monitor(log_days=settings.log_days),
        before=Before("k", "", report("inference.scan")),
    )
    return dataclasses.replace(there, **change)


def answered(*fields: Any) -> Attempt:
    """A release whose golden requests were answered as they have to be."""
    return dataclasses.replace(Attempt(*fields), golden=report("golden"))


def kinds(plan: Plan) -> list[str]:
    return [action.kind for action in plan.actions]


# --- the product of states --------------------------------------------------------------------------------------------

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
        if state.status in planner.CHANGING:
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
        if state.status in planner.CHANGING:
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


# --- the named states -------------------------------------------------------------------------------------------------


def test_no_endpoint(settings: Any) -> None:
    empty = seen(settings, "", "", configs=frozenset(), models=frozenset())
    assert kinds(planner.plan(wanted(settings, 2), empty)) == [
        actions.OPEN, actions.CREATE_MODEL, actions.CREATE_CONFIG, actions.CREATE_ENDPOINT,
    ]  # fmt: skip
    assert planner.plan(wanted(settings, None), empty).actions == ()


@pytest.mark.parametrize("status", planner.CHANGING)
def test_a_changing_endpoint_is_left_alone(settings: Any, status: str) -> None:
    """A newer package was rejected meanwhile, or a second one approved: both wait for the end."""
    note = Attempt("r", package(3).arn, config(settings, 3), "ml.m5.xlarge", attempt.STARTED, "t0")
    found = planner.plan(wanted(settings, 2), seen(settings, status, config(settings, 1), attempt=note))
    assert (found.result, found.actions) == (outcome.WAITING, ())


def test_a_newer_package_was_rejected_while_it_was_rolled_out(settings: Any) -> None:
    note = Attempt("r", package(3).arn, config(settings, 3), "ml.m5.xlarge", attempt.STARTED, "t0")
    here = seen(settings, "InService", config(settings, 3), attempt=note)
    assert kinds(planner.plan(wanted(settings, 2), here)) == [actions.ASK], "whether it was good is known first"
    at_once = goal.of(Desired(package(2)), settings, at_once=True)
    busy = dataclasses.replace(note, golden=report("golden", "widgets-dev is busy", pending=True))
    for wants, attempted in ((at_once, note), (wanted(settings, 2), busy)):
        found = planner.plan(wants, dataclasses.replace(here, attempt=attempted))
        assert kinds(found) == [actions.CLOSE, actions.OPEN, actions.UPDATE_ENDPOINT]
        assert found.actions[0].value == ledger.SUPERSEDED and "answered" in found.actions[0].reason
    wrong = dataclasses.replace(note, golden=report("golden", "wrong"))
    found = planner.plan(wanted(settings, 2), dataclasses.replace(here, attempt=wrong))
    assert kinds(found)[:2] == [actions.REJECT, actions.CLOSE] and found.actions[1].value == ledger.FAILED
    served = dataclasses.replace(note, golden=report("golden"))
    found = planner.plan(wanted(settings, 2), seen(settings, "InService", config(settings, 3), attempt=served))
    assert found.actions[0].value == ledger.SUCCEEDED, "it was served, then replaced: two releases"


def test_nothing_is_desired_before_its_golden_requests_are_answered(settings: Any) -> None:
    note = Attempt("r", package(3).arn, config(settings, 3), "ml.m5.xlarge", attempt.STARTED, "t0")
    found = planner.plan(wanted(settings, None), seen(settings, "InService", config(settings, 3), attempt=note))
    assert kinds(found) == [actions.ASK]
    found = planner.plan(wanted(settings, 3), seen(settings, "InService", config(settings, 3), attempt=note))
    assert kinds(found) == [actions.ASK]


def test_two_approvals_in_a_row(settings: Any) -> None:
    """The first was noted and never begun: it is closed, and only the second is rolled out."""
    note = Attempt("r", package(2).arn, config(settings, 2), "ml.m5.xlarge", attempt.PLANNED, "t1")
    found = planner.plan(wanted(settings, 3), seen(settings, "InService", config(settings, 1), attempt=note))
    assert kinds(found) == [actions.CLOSE, actions.OPEN, actions.UPDATE_ENDPOINT]
    assert found.actions[0].value == ledger.SUPERSEDED and found.actions[1].value == ""


def test_a_release_that_was_noted_and_never_begun_goes_on_under_its_name(settings: Any) -> None:
    note = Attempt("r", package(2).arn, config(settings, 2), "ml.m5.xlarge", attempt.PLANNED, "t1")
    found = planner.plan(wanted(settings, 2), seen(settings, "InService", config(settings, 1), attempt=note))
    assert [(action.kind, action.value) for action in found.actions] == [
        (actions.OPEN, "r"), (actions.UPDATE_ENDPOINT, ""),
    ]  # fmt: skip


def test_an_update_that_was_asked_for_and_not_noted_has_failed(settings: Any) -> None:
    """The run was killed between the call and its note; the endpoint's own time tells that it was asked."""
    note = Attempt("r", package(2).arn, config(settings, 2), "ml.m5.xlarge", attempt.PLANNED, "t0")
    found = planner.plan(wanted(settings, 2), seen(settings, "InService", config(settings, 1), attempt=note))
    assert kinds(found) == [actions.CLOSE] and found.result == outcome.FAILED


def test_an_open_release_is_closed_when_it_serves(settings: Any) -> None:
    note = answered("r", package(2).arn, config(settings, 2), "ml.m5.xlarge", attempt.STARTED, "t0")
    found = planner.plan(wanted(settings, 2), seen(settings, "InService", config(settings, 2), attempt=note))
    assert kinds(found) == [actions.CLOSE, *[actions.DELETE_CONFIG] * 2, *[actions.DELETE_MODEL] * 2]


def test_the_configuration_of_the_endpoint_was_deleted(settings: Any) -> None:
    """Its name is the hash of its content, so it is made again as it was."""
    name = config(settings, 2)
    state = seen(settings, "InService", name, configs=frozenset(), models=frozenset())
    found = planner.plan(wanted(settings, 2), state)
    assert [(action.kind, action.name) for action in found.actions] == [
        (actions.CREATE_MODEL, wanted(settings, 2).candidates[0].model_name), (actions.CREATE_CONFIG, name),
    ]  # fmt: skip


def test_an_endpoint_that_was_changed_by_hand_is_brought_back(settings: Any) -> None:
    found = planner.plan(wanted(settings, 2), seen(settings, "InService", "widgets-dev-by-hand"))
    assert kinds(found) == [actions.OPEN, actions.UPDATE_ENDPOINT]
    assert "which the deployer did not make" in found.actions[-1].reason


def test_the_served_package_was_deleted(settings: Any) -> None:
    """The registry desires the one before it, or nothing: then the endpoint stays."""
    state = seen(settings, "InService", config(settings, 3))
    assert actions.UPDATE_ENDPOINT in kinds(planner.plan(wanted(settings, 2), state))
    nothing = planner.plan(wanted(settings, None), state)
    assert nothing.actions == () and "stays as it is (InService)" in nothing.message


# --- capacity ---------------------------------------------------------------------------------------------------------


def test_without_capacity_the_next_type_is_tried_once_each(settings: Any) -> None:
    changed = dataclasses.replace(settings, fallback_instance_types=("ml.c5.xlarge", "ml.m6i.xlarge"))
    desired = wanted(changed, 2)
    order: list[str] = []
    state = seen(changed, "InService", config(changed, 1))
    for _ in range(3):
        found = planner.plan(desired, state)
        assert found.candidate is not None
        order.append(found.candidate.instance_type)
        note = Attempt(
            "r", package(2).arn, found.candidate.config_name, found.candidate.instance_type, attempt.STARTED, "t0",
            tried=found.tried,
        )  # fmt: skip
        failed = Endpoint("InService", config(changed, 1), FULL, "t1")
        state = dataclasses.replace(state, attempt=note, endpoint=failed)
    assert order == ["ml.m5.xlarge", "ml.c5.xlarge", "ml.m6i.xlarge"]
    assert "as ml.m5.xlarge, ml.c5.xlarge had no capacity" in found.message
    last = planner.plan(desired, state)
    assert last.result == outcome.FAILED and kinds(last) == [actions.CLOSE]
    assert planner.plan(desired, state, retry=True).candidate == desired.candidates[0], "a person begins again"


def test_a_fallback_type_is_kept_until_a_person_asks(settings: Any) -> None:
    changed = dataclasses.replace(settings, fallback_instance_types=("ml.c5.xlarge",))
    desired = wanted(changed, 2)
    state = seen(changed, "InService", desired.candidates[1].config_name)
    found = planner.plan(desired, state)
    assert found.result == outcome.SERVING and found.message.endswith("on ml.c5.xlarge, not on ml.m5.xlarge")
    again = planner.plan(desired, state, retry=True)
    assert again.candidate == desired.candidates[0] and actions.UPDATE_ENDPOINT in kinds(again)


def test_a_creation_without_capacity_makes_room_for_the_next_type(settings: Any) -> None:
    changed = dataclasses.replace(settings, fallback_instance_types=("ml.c5.xlarge",))
    desired = wanted(changed, 2)
    name = desired.candidates[0].config_name
    note = Attempt("r", package(2).arn, name, "ml.m5.xlarge", attempt.STARTED)
    state = seen(changed, "Failed", name, attempt=note)
    state = dataclasses.replace(state, endpoint=Endpoint("Failed", name, FULL))
    first = planner.plan(desired, state)
    assert kinds(first) == [actions.CLOSE, actions.DELETE_ENDPOINT]
    gone = dataclasses.replace(state, endpoint=None, attempt=note.with_state(attempt.FAILED, FULL))
    assert planner.plan(desired, gone).candidate == desired.candidates[1]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error.", True),
        ("Insufficient capacity. Please retry using a different ML instance type.", True),
        ("The account-level service limit 'ml.g5.xlarge for endpoint usage' is 0 Instances", True),
        ("The primary container for production variant main did not pass the ping health check.", False),
        ("The deployment was rolled back because of its alarms: widgets-dev-guard-5xx", False),
        ("", False),
    ],
)
def test_what_a_lack_of_capacity_is(reason: str, expected: bool) -> None:
    assert planner.is_capacity(reason) is expected
