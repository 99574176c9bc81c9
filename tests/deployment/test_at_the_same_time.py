"""Several at once: two runs, somebody without a lease, a hand, a killed run; and what is cleaned up meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts.release import LEDGER_PREFIX
from deployment import deploy, lease, ledger, outcome
from deployment.outcome import Outcome
from deployment.reconcile import reconcile
from tests.deployment.plane import Killed
from tests.deployment.rounds import settled


@pytest.mark.parametrize("during", ["CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint"])
def test_of_two_at_once_one_acts_and_looks_once_more(
    session: Any, settings: Any, plane: Any, calls: Any, during: str
) -> None:
    """While the first acts a newer package is approved, and its event starts a second run."""
    plane.register("a" * 64, "Approved")
    if during == "UpdateEndpoint":
        settled(session, settings, plane)
        plane.register("b" * 64, "Approved")
    second: list[Outcome] = []

    def event() -> None:
        plane.register("c" * 64, "Approved")
        second.append(reconcile(session, settings))

    plane.before[during] = event
    calls.made.clear()
    first = reconcile(session, settings)
    assert first.action in (outcome.CREATED, outcome.UPDATED)
    assert second[0].action == outcome.WAITING and "another run is at work" in second[0].message
    assert len(calls.of("CreateEndpoint") + calls.of("UpdateEndpoint")) == 1
    plane.settle()
    assert settled(session, settings, plane).action == outcome.SERVING
    assert plane.served_package().endswith("/" + str(len(plane.packages)))
    assert len(plane.models) == len(plane.configs) == 1


def test_what_came_while_a_run_acted_is_done_by_that_run(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    """The second run finds the lease held and leaves; the first does its work, too: here, another try of a person."""
    plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    arn = plane.register("b" * 64, "Approved")
    reconcile(session, settings)
    plane.settle(ok=False)
    waited: list[Outcome] = []
    s3 = session.client("s3")

    def person(**_: Any) -> None:
        if not waited:
            waited.append(Outcome(outcome.NONE, "", ""))
            waited[0] = deploy(session, settings)

    s3.meta.events.register("before-call.s3.PutObject", handler := lambda params, **_: _on_ledger(params, person))
    try:
        reconcile(session, settings)  # closes the failed release
    finally:
        s3.meta.events.unregister("before-call.s3.PutObject", handler)
    assert waited[0].action == outcome.WAITING
    assert len(calls.of("UpdateEndpoint")) == 2, "the person's retry was done by the run that held the lease"
    plane.settle()
    settled(session, settings, plane)
    assert plane.served_package() == arn


def _on_ledger(params: dict[str, Any], act: Callable[[], None]) -> None:
    if LEDGER_PREFIX in params["url_path"]:
        act()


def test_somebody_without_a_lease_was_faster(session: Any, settings: Any, plane: Any) -> None:
    """An update by hand, in the moment before ours: the release that was opened is closed, and the next run goes on."""
    plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    arn = plane.register("b" * 64, "Approved")

    def by_hand() -> None:
        config = next(iter(plane.configs))
        plane._update_endpoint({"EndpointName": settings.names.endpoint, "EndpointConfigName": config})

    plane.before["UpdateEndpoint"] = by_hand
    result = reconcile(session, settings)
    assert result.action == outcome.WAITING and "another change was faster" in result.message
    plane.settle()
    assert settled(session, settings, plane).action == outcome.SERVING
    assert plane.served_package() == arn


@pytest.mark.parametrize("operation", ["CreateEndpoint", "UpdateEndpoint"])
def test_an_answer_is_lost_and_the_sdk_calls_again(session: Any, settings: Any, plane: Any, operation: str) -> None:
    """The second call is refused, as the first was done: the release has begun, and ends as it does."""
    if operation == "UpdateEndpoint":
        plane.register("a" * 64, "Approved")
        settled(session, settings, plane)
    arn = plane.register("b" * 64, "Approved")

    def first_call() -> None:
        method = plane._create_endpoint if operation == "CreateEndpoint" else plane._update_endpoint
        method({"EndpointName": settings.names.endpoint, "EndpointConfigName": list(plane.configs)[-1]})

    plane.before[operation] = first_call
    assert reconcile(session, settings).action in (outcome.CREATED, outcome.UPDATED)
    plane.settle()
    asked = plane.looked.count("golden")
    assert settled(session, settings, plane).action == outcome.SERVING
    assert plane.served_package() == arn
    assert plane.looked.count("golden") == asked + 1
    told = next(ledger.releases(session.client("s3"), settings))
    assert (told.facts["package_arn"], told.state) == (arn, ledger.SUCCEEDED)


def test_a_killed_run_holds_the_others_up_for_the_length_of_its_lease(
    session: Any, settings: Any, plane: Any, calls: Any
) -> None:
    plane.register("a" * 64, "Approved")
    calls.kill_after = 14
    with pytest.raises(Killed):
        reconcile(session, settings)
    calls.kill_after = 0
    assert reconcile(session, settings).action == outcome.WAITING
    plane.clock += lease.LASTS.total_seconds()
    assert reconcile(session, settings).action == outcome.CREATED


def test_cleaning_up_never_takes_what_a_new_roll_out_uses(session: Any, settings: Any, plane: Any) -> None:
    plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    plane.register("b" * 64, "Approved")
    reconcile(session, settings)
    plane.settle()

    def newer() -> None:
        plane.register("c" * 64, "Approved")
        reconcile(session, settings)

    plane.before["ListModels"] = newer  # the configurations are listed, then a newer roll-out starts
    reconcile(session, settings)
    assert plane.endpoint["EndpointStatus"] == "Updating"
    plane.settle()
    assert settled(session, settings, plane).action == outcome.SERVING
    assert len(plane.models) == len(plane.configs) == 1


def test_cleaning_up_stops_when_somebody_changes_the_endpoint_by_hand(session: Any, settings: Any, plane: Any) -> None:
    """Who has no lease starts an update to the old configuration, between the list under the lease and the removal."""
    plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    old = plane.endpoint["EndpointConfigName"]
    plane.register("b" * 64, "Approved")
    reconcile(session, settings)
    plane.settle()

    def by_hand() -> None:
        plane._update_endpoint({"EndpointName": settings.names.endpoint, "EndpointConfigName": old})

    plane.before["ListModels"] = lambda: plane.before.update(ListModels=by_hand)
    result = reconcile(session, settings)
    assert result.action == outcome.WAITING and result.removed == ()
    assert old in plane.configs
    plane.settle()
    # The release was open: an endpoint that serves the former configuration looks like one that was rolled back.
    assert settled(session, settings, plane).action == outcome.FAILED
    deploy(session, settings)
    assert settled(session, settings, plane).action == outcome.SERVING
    assert plane.served_package().endswith("/2")


def test_only_what_is_ours_is_cleaned_up(session: Any, settings: Any, plane: Any) -> None:
    plane.register("a" * 64, "Approved")
    for name in ("widgets-dev-by-hand", "widgets-dev2-" + "0" * 20, "x-widgets-dev-" + "0" * 20):
        plane.models[name] = {"ModelName": name, "ModelArn": "arn:x", "CreationTime": plane.now()}
    settled(session, settings, plane)
    plane.register("b" * 64, "Approved")
    settled(session, settings, plane)
    assert len(plane.models) == 4
