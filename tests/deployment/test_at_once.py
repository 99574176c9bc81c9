"""What a person wants at once is rolled out at once, whoever finishes it, and nothing else is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from contracts.release import AT_ONCE_KEY
from deployment import at_once, aws, lease, ledger, reject, rollback
from deployment.reconcile import reconcile
from tests.deployment.plane import Calls, Killed, report
from tests.deployment.rounds import settled

A, B, C = "a" * 64, "b" * 64, "c" * 64
PENDING = report("staging", "widgets-dev-staging is being created", pending=True)


def strategies(calls: Calls) -> list[str]:
    """How each update so far moves the traffic."""
    return [
        update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"]
        for update in calls.of("UpdateEndpoint")
    ]


def serving_the_second(session: Any, settings: Any, plane: Any, calls: Calls) -> str:
    """Version 2 is served, version 1 is approved, and its checks take their time; the ARN of version 1."""
    first = plane.register(A, "Approved")
    plane.register(B, "Approved")
    settled(session, settings, plane)
    plane.checked[first] = PENDING
    calls.made.clear()
    return str(first)


def nothing_is_wanted(session: Any, settings: Any) -> bool:
    return at_once.read(session.client("s3"), settings) is None


def test_it_waits_for_the_checks_and_is_then_at_once(session: Any, settings: Any, plane: Any, calls: Calls) -> None:
    first = serving_the_second(session, settings, plane, calls)
    assert "is being created" in rollback(session, settings, why="x", now=True).outcome.message
    reconcile(session, settings)
    assert not strategies(calls)
    del plane.checked[first]
    reconcile(session, settings)
    assert strategies(calls) == ["ALL_AT_ONCE"]
    settled(session, settings, plane)
    assert plane.served_package() == first and nothing_is_wanted(session, settings)
    (newest, *_) = ledger.releases(session.client("s3"), settings)
    assert (newest.state, newest.facts["strategy"]) == ("succeeded", "all-at-once")
    plane.register(C, "Approved")
    reconcile(session, settings)
    assert strategies(calls) == ["ALL_AT_ONCE", "CANARY"]


def test_another_package_is_rolled_out_with_its_guards_and_the_wish_is_gone(
    session: Any, settings: Any, plane: Any, calls: Calls
) -> None:
    first = serving_the_second(session, settings, plane, calls)
    rollback(session, settings, why="x", now=True)
    third = plane.register(C, "Approved")
    plane.checked[third] = report("bundle.hash", "was replaced")
    reconcile(session, settings)
    assert nothing_is_wanted(session, settings) and not strategies(calls)
    del plane.checked[first]
    reject(session, settings, third, why="refused")
    reconcile(session, settings)
    assert strategies(calls) == ["CANARY"], "the wish was for the roll-back of then"


def test_it_outlives_an_update_that_is_under_way(session: Any, settings: Any, plane: Any, calls: Calls) -> None:
    first = plane.register(A, "Approved")
    settled(session, settings, plane)
    plane.register(B, "Approved")
    reconcile(session, settings)
    calls.made.clear()
    assert rollback(session, settings, why="x", now=True).outcome.action == "waiting"
    plane.settle()
    reconcile(session, settings)
    assert strategies(calls) == ["ALL_AT_ONCE"]
    settled(session, settings, plane)
    assert plane.served_package() == first and nothing_is_wanted(session, settings)


def test_it_is_for_whoever_holds_the_lease(session: Any, settings: Any, plane: Any, calls: Calls) -> None:
    first = serving_the_second(session, settings, plane, calls)
    del plane.checked[first]
    held = lease.take(session.client("s3"), settings)
    assert held is not None
    assert "another run is at work" in rollback(session, settings, why="x", now=True).outcome.message
    held.give_back(anyway=True)
    reconcile(session, settings)
    assert strategies(calls) == ["ALL_AT_ONCE"]


def test_another_instance_type_is_at_once_too(session: Any, settings: Any, plane: Any, calls: Calls) -> None:
    more = dataclasses.replace(settings, fallback_instance_types=("ml.c5.large",))
    first = serving_the_second(session, more, plane, calls)
    del plane.checked[first]
    rollback(session, more, why="x", now=True)
    plane.endpoint["FailureReason"] = "InsufficientInstanceCapacity"
    plane.settle(ok=False)
    reconcile(session, more)
    assert strategies(calls) == ["ALL_AT_ONCE", "ALL_AT_ONCE"]
    del plane.endpoint["FailureReason"]
    settled(session, more, plane)
    assert plane.served_package() == first and nothing_is_wanted(session, more)


def test_one_that_failed_is_tried_again_with_guards(session: Any, settings: Any, plane: Any, calls: Calls) -> None:
    first = serving_the_second(session, settings, plane, calls)
    del plane.checked[first]
    rollback(session, settings, why="x", now=True)
    plane.settle(ok=False)
    reconcile(session, settings)
    reconcile(session, settings, retry=True)
    assert strategies(calls) == ["ALL_AT_ONCE", "CANARY"] and nothing_is_wanted(session, settings)


def test_what_is_served_is_not_wanted(session: Any, settings: Any, plane: Any) -> None:
    plane.register(A, "Approved")
    settled(session, settings, plane)
    reconcile(session, settings, retry=True, at_once=True)
    assert aws.read_json(session.client("s3"), settings.names.artifacts(AT_ONCE_KEY)) is None


@pytest.mark.parametrize("pending", [True, False], ids=["checks that wait", "checks that hold"])
def test_killed_after_any_call_it_is_still_at_once(
    session: Any, settings: Any, plane: Any, calls: Calls, fresh: Callable[[], None], monkeypatch: Any, pending: bool
) -> None:
    """Once it is written down; before that the person has no answer, and asks again."""
    number, finished, killed = 0, 0, True
    while killed:
        number += 1
        fresh()
        first = serving_the_second(session, settings, plane, calls)
        reject(session, settings, "2", why="x")
        if not pending:
            del plane.checked[first]
        calls.made.clear()
        calls.kill_after, killed = number, False
        try:
            reconcile(session, settings, retry=True, at_once=True)
        except Killed:
            killed = True
        finally:
            calls.kill_after = 0
        if nothing_is_wanted(session, settings):
            continue
        finished += 1
        plane.checked.pop(first, None)
        plane.clock += 2 * lease.LASTS.total_seconds()
        settled(session, settings, plane)
        assert strategies(calls) == ["ALL_AT_ONCE"], number
        assert plane.served_package() == first and nothing_is_wanted(session, settings), number
    assert finished > 8
