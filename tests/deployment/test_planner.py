"""The planner, over the product of states. Pure: no client, no control plane."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from deployment import actions, attempt, goal, ledger, outcome, planner, verdict
from deployment.attempt import Attempt
from deployment.observed import Endpoint
from deployment.packages import Desired
from tests.deployment.plane import report
from tests.deployment.plans import FULL, answered, config, kinds, package, seen, wanted


def test_no_endpoint(settings: Any) -> None:
    empty = seen(settings, "", "", configs=frozenset(), models=frozenset())
    assert kinds(planner.plan(wanted(settings, 2), empty)) == [
        actions.OPEN, actions.CREATE_MODEL, actions.CREATE_CONFIG, actions.CREATE_ENDPOINT,
    ]  # fmt: skip
    assert planner.plan(wanted(settings, None), empty).actions == ()


@pytest.mark.parametrize("status", verdict.CHANGING)
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
    assert verdict.is_capacity(reason) is expected
