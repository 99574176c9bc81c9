"""A run of the reconciler that is killed after any of its calls: the next one ends well."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from contracts.release import ATTEMPT_KEY
from deployment import approve, deploy, lease, ledger, monitor, outcome, reject, scaling
from deployment.reconcile import reconcile
from tests.deployment.plane import Killed
from tests.deployment.rounds import objects, settled


def _created(session: Any, settings: Any, plane: Any) -> Callable[[], Any]:
    plane.register("a" * 64, "Approved")
    return lambda: reconcile(session, settings)


def _updated(session: Any, settings: Any, plane: Any) -> Callable[[], Any]:
    _created(session, settings, plane)
    settled(session, settings, plane)
    plane.register("b" * 64, "Approved")
    return lambda: reconcile(session, settings)


def _closing(session: Any, settings: Any, plane: Any) -> Callable[[], Any]:
    _updated(session, settings, plane)()
    plane.settle()
    return lambda: reconcile(session, settings)


def _replaced_after_failure(session: Any, settings: Any, plane: Any) -> Callable[[], Any]:
    _created(session, settings, plane)()
    plane.settle(ok=False)
    plane.register("b" * 64, "Approved")
    return lambda: reconcile(session, settings)


def _approved(session: Any, settings: Any, plane: Any) -> Callable[[], Any]:
    _created(session, settings, plane)
    settled(session, settings, plane)
    arn = plane.register("b" * 64)
    return lambda: approve(session, settings, arn, "good")


def _pinned(session: Any, settings: Any, plane: Any) -> Callable[[], Any]:
    arn = plane.register("a" * 64, "Approved")
    plane.register("b" * 64, "Approved")
    settled(session, settings, plane)
    return lambda: deploy(session, settings, arn)


def _rejected_while_pinned(session: Any, settings: Any, plane: Any) -> Callable[[], Any]:
    _pinned(session, settings, plane)()
    plane.settle()
    settled(session, settings, plane)
    arn = next(iter(plane.packages))
    return lambda: reject(session, settings, arn, why="wrong")


def _fallen_back(session: Any, settings: Any, plane: Any) -> Callable[[], Any]:
    """The endpoint could not be created for want of a machine; the failed one was removed, and the next type is due."""
    _created(session, settings, plane)()
    plane.settle(ok=False)
    plane.endpoint["FailureReason"] = "InsufficientInstanceCapacity"
    reconcile(session, settings)
    plane.settle()
    return lambda: reconcile(session, settings)


SCENARIOS = [_created, _updated, _closing, _replaced_after_failure, _approved, _pinned, _rejected_while_pinned]


#: The same with guards, autoscaling and a second instance type: more calls, each of which may be the last.
GUARDED = [_updated, _closing, _fallen_back]
MORE = {
    "guards": {"errors_5xx": 5, "label_shift": 0.3},
    "max_instances": 3,
    "fallback_instance_types": ("ml.c5.large",),
}


def _state(session: Any, settings: Any, plane: Any) -> dict[str, Any]:
    """What must be the same however often a run was killed."""
    return {
        "objects": {
            name: session.client("s3").get_object(Bucket=settings.names.artifact_bucket, Key=name)["Body"].read()
            for name in objects(session, settings)
        },
        "models": sorted(plane.models),
        "configs": sorted(plane.configs),
        "endpoints": {name: item["EndpointConfigName"] for name, item in plane.endpoints.items()},
        "approvals": {arn: item["ModelApprovalStatus"] for arn, item in plane.packages.items()},
        "serves": plane.served_package(),
        "alarms": sorted(monitor.alarms(session.client("cloudwatch"), settings)),
        "scaling": scaling.look(session.client("application-autoscaling"), settings),
        "ledger": [
            (each.facts["version"], each.facts["instance_type"], each.state)
            for each in ledger.releases(session.client("s3"), settings)
        ],
    }


@pytest.mark.parametrize(
    ("scenario", "more"),
    [
        *[pytest.param(each, {}, id=each.__name__.strip("_")) for each in SCENARIOS],
        *[pytest.param(each, MORE, id=f"{each.__name__.strip('_')}-guarded") for each in GUARDED],
    ],
)
def test_killed_after_any_call_the_next_run_ends_well(
    session: Any,
    settings: Any,
    plane: Any,
    calls: Any,
    fresh: Callable[[], None],
    scenario: Callable[..., Any],
    more: dict[str, Any],
) -> None:
    settings = dataclasses.replace(settings, **more)

    made: list[str] = []

    def state_when_killed_after(number: int) -> dict[str, Any]:
        fresh()
        act = scenario(session, settings, plane)
        calls.made.clear()
        calls.kill_after = number
        try:
            act()
        except Killed:
            assert len(calls.made) == number
        else:
            assert number == 0
        calls.kill_after = 0
        made[:] = calls.names if number == 0 else made
        plane.clock += lease.LASTS.total_seconds()
        if number:
            act()  # the event comes again, or the person types the command again
        assert settled(session, settings, plane).action == outcome.SERVING
        return _state(session, settings, plane)

    expected = state_when_killed_after(0)
    assert len(expected["models"]) == len(expected["configs"]) == len(expected["endpoints"]) == 1
    assert ATTEMPT_KEY not in expected["objects"]
    assert {each[2] for each in expected["ledger"]} <= {ledger.SUCCEEDED, ledger.FAILED, ledger.SUPERSEDED}
    # A read changes nothing: to be killed after it is to be killed after the write before it.
    writes = [number for number, name in enumerate(made, 1) if not name.startswith(("Describe", "List", "Get"))]
    for number in (1, *writes):
        assert state_when_killed_after(number) == expected, f"killed after call {number}, {made[number - 1]}"
    assert len(writes) >= 1
