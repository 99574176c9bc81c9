"""Back to an earlier package, and no way for the newer ones to return by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts.errors import RefusedError, UsageError
from contracts.names import PIN_KEY
from deployment import aws, lease, packages, reject, rollback
from deployment.reconcile import reconcile
from tests.deployment.plane import Killed

A, B, C = "a" * 64, "b" * 64, "c" * 64


def settle(session: Any, settings: Any, plane: Any) -> None:
    """Reconcile until the endpoint serves what is desired."""
    for _ in range(4):
        reconcile(session, settings)
        plane.settle()


def approvals(plane: Any) -> list[str]:
    return [package["ModelApprovalStatus"] for package in plane.packages.values()]


def test_the_package_before_is_served_and_the_newer_ones_are_rejected(session: Any, settings: Any, plane: Any) -> None:
    for bundle in (A, B, C):
        plane.register(bundle, "Approved")
    settle(session, settings, plane)
    assert plane.served_package().endswith("/3")
    found = rollback(session, settings, why="misses  cracks")
    assert (found.package.version, found.rejected) == (2, (3,))
    settle(session, settings, plane)
    assert plane.served_package().endswith("/2")
    assert approvals(plane) == ["Approved", "Approved", "Rejected"]
    assert [*plane.packages.values()][2]["ApprovalDescription"] == "misses cracks"
    # A late event of the rejected package, and a sweep, change nothing.
    settle(session, settings, plane)
    assert plane.served_package().endswith("/2")
    assert aws.read_json(session.client("s3"), settings.names.artifacts(PIN_KEY)) is None


def test_every_newer_package_than_the_named_one_is_rejected(session: Any, settings: Any, plane: Any) -> None:
    for bundle in (A, B, C):
        plane.register(bundle, "Approved")
    waiting = plane.register("d" * 64)
    found = rollback(session, settings, "1", "wrong camera")
    assert (found.package.version, found.rejected) == (1, (2, 3))
    assert plane.packages[waiting]["ModelApprovalStatus"] == "PendingManualApproval", "nobody approved it: it may wait"
    desired = packages.desired(session.client("sagemaker"), session.client("s3"), settings.names)
    assert desired.package is not None and (desired.package.version, desired.pinned) == (1, False)


def test_now_is_all_at_once_and_without_bake_time(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    for bundle in (A, B):
        plane.register(bundle, "Approved")
    settle(session, settings, plane)
    rollback(session, settings, why="x", now=True)
    (update,) = calls.of("UpdateEndpoint")
    policy = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (policy["Type"], policy["WaitIntervalInSeconds"]) == ("ALL_AT_ONCE", 0)


def test_killed_after_any_call_and_called_again(
    session: Any, settings: Any, plane: Any, calls: Any, fresh: Callable[[], None]
) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        fresh()
        for bundle in (A, B, C):
            plane.register(bundle, "Approved")
        settle(session, settings, plane)
        calls.made.clear()
        calls.kill_after, killed = number, False
        try:
            rollback(session, settings, "1", "x")
        except Killed:
            killed = True
        calls.kill_after = 0
        plane.clock += lease.LASTS.total_seconds()
        settle(session, settings, plane)  # whatever event comes in between
        assert plane.served_package()[-2:] in ("/3", "/1"), "never the one between, which is to go as well"
        rollback(session, settings, "1", "x")
        settle(session, settings, plane)
        assert plane.served_package().endswith("/1"), f"killed after call {number}"
        assert approvals(plane) == ["Approved", "Rejected", "Rejected"]
    assert number > 8


def test_what_cannot_be_gone_back_to(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    with pytest.raises(UsageError, match="needs its reason"):
        rollback(session, settings, why=" ")
    with pytest.raises(UsageError, match="nothing to go back to: no package is approved"):
        rollback(session, settings, why="x")
    plane.register(A, "Approved")
    with pytest.raises(UsageError, match="nothing to go back to: version 1 is desired"):
        rollback(session, settings, why="x")
    plane.register(B, "Approved")
    reject(session, settings, "1", why="x")
    with pytest.raises(RefusedError, match="version 1 is Rejected"):
        rollback(session, settings, "1", "x")
    assert not calls.of("PutObject") and not calls.of("UpdateEndpoint")
