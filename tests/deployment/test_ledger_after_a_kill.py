"""A run that was killed between two of its records: the next one makes the ledger whole, and never tells it twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deployment import lease, ledger, outcome, reject
from deployment.ledger import Release
from deployment.reconcile import reconcile
from tests.deployment.plane import Killed, report
from tests.deployment.rounds import settled

Begin = Callable[[], str]
Kill = Callable[[Begin, str], str]


@pytest.fixture
def kill(session: Any, settings: Any, plane: Any, calls: Any, fresh: Callable[[], None]) -> Kill:
    """Run until right after the object whose key ends so is written; what ``begin`` answered."""

    def kill(begin: Begin, suffix: str) -> str:
        begin()
        calls.made.clear()
        reconcile(session, settings)
        number = next(at for at, (name, asked) in enumerate(calls.made, 1)
                      if name == "PutObject" and asked["Key"].endswith(suffix))  # fmt: skip
        fresh()
        arn = begin()
        calls.made.clear()
        calls.kill_after = number
        with pytest.raises(Killed):
            reconcile(session, settings)
        calls.kill_after = 0
        plane.clock += lease.LASTS.total_seconds()
        return arn

    return kill


@pytest.fixture
def second(session: Any, settings: Any, plane: Any) -> Begin:
    """A package is served, and another one is approved."""

    def second() -> str:
        plane.register("a" * 64, "Approved")
        settled(session, settings, plane)
        arn: str = plane.register("b" * 64, "Approved")
        return arn

    return second


def told(session: Any, settings: Any) -> list[Release]:
    return list(ledger.releases(session.client("s3"), settings))


def changed_by_hand(plane: Any) -> None:
    """The endpoint serves the first package's model by a configuration of somebody's own."""
    served = plane.configs[plane.endpoint["EndpointConfigName"]]
    plane.configs["by-hand"] = {**served, "EndpointConfigName": "by-hand"}
    plane.endpoint.update(EndpointConfigName="by-hand", LastModifiedTime=plane.now())


def test_a_release_ends_once_although_the_endpoint_was_changed_by_hand(
    session: Any, settings: Any, plane: Any, second: Begin, kill: Kill
) -> None:
    def begin() -> str:
        arn = second()
        reconcile(session, settings)
        plane.settle()
        return arn

    kill(begin, "-succeeded.json")
    changed_by_hand(plane)
    assert reconcile(session, settings).action == outcome.UPDATED, "what succeeded does not hold up the way back"
    again, first, *_ = told(session, settings)
    assert (first.state, set(first.states)) == ("succeeded", {"opened", "started", "succeeded"})
    assert again.open and again.facts["version"] == 2


def test_a_release_that_was_never_told_of_has_no_end(
    session: Any, settings: Any, plane: Any, second: Begin, kill: Kill
) -> None:
    kill(second, "/attempt.json")
    plane.register("c" * 64, "Approved")
    settled(session, settings, plane)
    assert [(each.state, each.facts["version"]) for each in told(session, settings)] == [
        ("succeeded", 3), ("succeeded", 1),
    ]  # fmt: skip


def test_a_roll_out_that_never_began_has_not_failed(
    session: Any, settings: Any, plane: Any, second: Begin, kill: Kill
) -> None:
    kill(second, "/attempt.json")
    changed_by_hand(plane)
    assert reconcile(session, settings).action == outcome.UPDATED
    assert [each.state for each in told(session, settings)] == ["started", "succeeded"]


def test_a_refusal_is_told_at_once_or_not_at_all(
    session: Any, settings: Any, plane: Any, second: Begin, kill: Kill
) -> None:
    def begin() -> str:
        arn = second()
        plane.checked[arn] = report("bundle.hash", "replaced")
        return arn

    arn = kill(begin, "-refused.json")
    reject(session, settings, arn, "bad")
    plane.register("c" * 64, "Approved")
    settled(session, settings, plane)
    newest, refused, _ = told(session, settings)
    assert newest.state == "succeeded" and not refused.open
    assert (refused.state, refused.facts["package_arn"]) == ("refused", arn) and "replaced" in refused.reason
    assert "outcome" not in refused.facts
