"""What the checks find decides about a release: nothing unchecked is rolled out, nothing wrong stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from contracts.release import ATTEMPT_KEY
from cv_factory.cli import view
from deployment import deploy, lease, ledger, outcome
from deployment.checked import Before
from deployment.ledger import Release
from deployment.reconcile import reconcile
from deployment.report import Finding, Report
from tests.deployment.plane import Killed, report
from tests.deployment.test_reconcile import objects, settled

WRITES = ("Create", "Update", "Delete", "Put")
WRONG = "widgets-dev: expected damaged {damaged: 0.9000}, got sound {damaged: 0.1000}, tolerance 0.002"
REPLACED = report("bundle.hash", "s3://b/packages/x/model.tar.gz was replaced after its registration")


def releases(session: Any, settings: Any) -> list[Release]:
    return list(ledger.releases(session.client("s3"), settings))


@pytest.mark.parametrize("first", [True, False], ids=["creation", "update"])
def test_a_finding_refuses_the_release_and_a_person_tries_again(
    session: Any, settings: Any, plane: Any, calls: Any, first: bool
) -> None:
    if not first:
        plane.register("a" * 64, "Approved")
        settled(session, settings, plane)
    before = (dict(plane.endpoints), dict(plane.models), dict(plane.configs))
    arn = plane.register("b" * 64, "Approved")
    plane.checked[arn] = REPLACED
    result = reconcile(session, settings)
    assert result.action == outcome.REFUSED and not result.ok and not result.closed
    assert "nothing was changed: bundle.hash: s3://b/" in result.message and "cv-factory deploy" in result.message
    assert (plane.endpoints, plane.models, plane.configs) == before
    told = releases(session, settings)[0]
    assert (told.state, told.facts["package_arn"]) == ("refused", arn) and "was replaced" in told.reason
    assert told.facts["checks"]["state"] == "failed" and not told.open

    calls.made.clear()
    plane.looked.clear()
    for _ in range(100):
        assert reconcile(session, settings).action == outcome.REFUSED
    assert not [name for name in calls.names if name.startswith(WRITES)] and not plane.looked

    assert deploy(session, settings).action == outcome.REFUSED
    assert plane.looked == ["before"] and len(releases(session, settings)) == len(plane.packages) + 1
    del plane.checked[arn]
    assert deploy(session, settings).ok
    plane.settle()
    assert settled(session, settings, plane).action == outcome.SERVING
    assert plane.served_package() == arn


def test_a_warning_of_the_checks_is_told_and_stops_nothing(session: Any, settings: Any, plane: Any) -> None:
    arn = plane.register("b" * 64, "Approved")
    plane.checked[arn] = Report((Finding("inference.scan", True, "1 CRITICAL", warning=True),))
    assert reconcile(session, settings).message.endswith("(warning: inference.scan: 1 CRITICAL)")
    (told,) = releases(session, settings)
    assert told.facts["checks"]["findings"][0]["warning"]
    assert view.release(told).endswith("(warning: inference.scan: 1 CRITICAL)")


def test_an_archive_that_changes_after_its_checks_is_checked_again(session: Any, settings: Any, plane: Any) -> None:
    arn, s3 = plane.register("b" * 64, "Approved"), session.client("s3")
    plane.checked[arn] = REPLACED
    reconcile(session, settings)
    reconcile(session, settings)
    assert plane.looked == ["before"]
    del plane.checked[arn]
    s3.put_object(Bucket=settings.names.artifact_bucket, Key=f"packages/{'b' * 64}/model.tar.gz", Body=b"as it was")
    assert reconcile(session, settings).action == outcome.CREATED
    assert plane.looked == ["before"] * 2


def test_a_check_that_waits_is_written_once_and_goes_on(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    arn = plane.register("b" * 64, "Approved")
    plane.checked[arn] = report("inference.scan", "the scan is IN_PROGRESS", pending=True)
    for number in range(3):
        result = reconcile(session, settings)
        assert result.action == outcome.WAITING and result.message.endswith("inference.scan: the scan is IN_PROGRESS")
        assert [call for call in calls.of("PutObject") if call["Key"].endswith("checks.json")] if not number else True
    assert len([call for call in calls.of("PutObject") if call["Key"].endswith("checks.json")]) == 1
    assert not plane.endpoints and not plane.models
    del plane.checked[arn]
    assert reconcile(session, settings).action == outcome.CREATED


def _wrong(session: Any, settings: Any, plane: Any) -> tuple[str, str]:
    first = plane.register("a" * 64, "Approved")
    settled(session, settings, plane)
    second = plane.register("b" * 64, "Approved")
    plane.answers[second] = report("golden[1]", WRONG)
    reconcile(session, settings)
    plane.settle()
    return first, second


def test_wrong_answers_after_the_shift_roll_back(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    first, second = _wrong(session, settings, plane)
    deploy(session, settings, second, "a pin")
    assert objects(session, settings) == {ATTEMPT_KEY}, "the pin on what was rejected is gone"
    assert plane.packages[second]["ModelApprovalStatus"] == "Rejected"
    assert f"golden[1]: {WRONG}" in plane.packages[second]["ApprovalDescription"]
    told = releases(session, settings)
    assert [(each.facts["version"], each.state) for each in told] == [(1, "started"), (2, "failed"), (1, "succeeded")]
    assert told[1].golden["findings"][0]["detail"] == WRONG and WRONG in told[1].reason
    plane.settle()
    assert settled(session, settings, plane).action == outcome.SERVING
    assert plane.served_package() == first and len(plane.models) == len(plane.configs) == 1
    assert objects(session, settings) == set()


def test_what_is_known_to_be_wrong_goes_at_once(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    settings = dataclasses.replace(settings, guards={"errors_5xx": 5})
    first, _ = _wrong(session, settings, plane)
    plane.checked[first] = report("inference.scan", "the scan is IN_PROGRESS", pending=True)
    reconcile(session, settings)
    calls.made.clear()
    del plane.checked[first]
    reconcile(session, settings)
    (back,) = calls.of("UpdateEndpoint")
    assert _shift(back) == "ALL_AT_ONCE" and "AutoRollbackConfiguration" not in back["DeploymentConfig"]
    plane.settle()
    settled(session, settings, plane)
    plane.register("c" * 64, "Approved")
    reconcile(session, settings)
    assert _shift(calls.of("UpdateEndpoint")[1]) == "CANARY"


def test_a_newer_package_than_the_wrong_one_has_its_guards(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    first, second = _wrong(session, settings, plane)
    plane.checked[first] = report("inference.scan", "the scan is IN_PROGRESS", pending=True)
    reconcile(session, settings)
    assert plane.packages[second]["ModelApprovalStatus"] == "Rejected"
    calls.made.clear()
    plane.register("c" * 64, "Approved")
    reconcile(session, settings)
    assert [_shift(each) for each in calls.of("UpdateEndpoint")] == ["CANARY"]


def _shift(update: dict[str, Any]) -> str:
    """How an update moves the traffic."""
    routing: str = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"]
    return routing


def test_the_run_that_rejects_says_so(session: Any, settings: Any, plane: Any) -> None:
    _wrong(session, settings, plane)
    result = reconcile(session, settings)
    assert result.action == outcome.FAILED and not result.ok
    assert result.message.startswith("version 2 is rejected: its answers were wrong: golden[1]")
    assert "Now: the endpoint is being updated to version 1" in result.message
    assert [each["action"] for each in result.actions][:2] == ["ask-golden-requests", "reject-package"]


def test_a_first_package_with_wrong_answers_is_rejected(session: Any, settings: Any, plane: Any) -> None:
    arn = plane.register("a" * 64, "Approved")
    plane.answers[arn] = report("golden[1]", WRONG)
    reconcile(session, settings)
    plane.settle()
    result = reconcile(session, settings)
    assert result.action == outcome.FAILED and "no package is approved" in result.message
    assert [each.state for each in releases(session, settings)] == ["failed"]
    assert reconcile(session, settings).action == outcome.NONE


def test_a_busy_endpoint_keeps_its_release_open(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    arn = plane.register("a" * 64, "Approved")
    plane.answers[arn] = report("golden[1]", "widgets-dev is busy", pending=True)
    reconcile(session, settings)
    plane.settle()
    for _ in range(3):
        result = reconcile(session, settings)
        assert result.action == outcome.WAITING and result.message.endswith("golden[1]: widgets-dev is busy")
        assert releases(session, settings)[0].open
    del plane.answers[arn]
    assert reconcile(session, settings).action == outcome.SERVING
    assert releases(session, settings)[0].golden["state"] == "ok"


def test_a_newer_package_does_not_wait_for_a_busy_endpoint(session: Any, settings: Any, plane: Any) -> None:
    arn = plane.register("a" * 64, "Approved")
    plane.answers[arn] = report("golden[1]", "widgets-dev is busy", pending=True)
    reconcile(session, settings)
    plane.settle()
    reconcile(session, settings)
    newer = plane.register("b" * 64, "Approved")
    assert reconcile(session, settings).action == outcome.UPDATED
    plane.settle()
    settled(session, settings, plane)
    assert plane.served_package() == newer
    assert [each.state for each in releases(session, settings)] == ["succeeded", "superseded"]


def test_a_hundred_events_are_one_deployment(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    plane.register("a" * 64, "Approved")
    for step in range(3):
        for number in range(34):
            if number == 1:
                calls.made.clear()
            reconcile(session, settings)
        assert not [name for name in calls.names if name.startswith(WRITES)], step
        plane.settle()
    assert plane.looked == ["before", "golden"] and len(releases(session, settings)) == 1


@pytest.mark.parametrize("wrong", ["before", "golden"])
def test_killed_after_any_call_a_refusal_and_a_rollback_end_well(
    session: Any, settings: Any, plane: Any, calls: Any, fresh: Callable[[], None], wrong: str
) -> None:
    def ends(number: int) -> tuple[Any, bool]:
        fresh()
        if wrong == "golden":
            _wrong(session, settings, plane)
        else:
            plane.register("a" * 64, "Approved")
            settled(session, settings, plane)
            plane.checked[plane.register("b" * 64, "Approved")] = REPLACED
        calls.made.clear()
        calls.kill_after = number
        killed = False
        try:
            reconcile(session, settings)
        except Killed:
            killed = True
        calls.kill_after = 0
        plane.clock += lease.LASTS.total_seconds()
        for _ in range(4):
            last = reconcile(session, settings)
            plane.settle()
        told = [(each.facts["version"], each.state) for each in releases(session, settings)]
        approvals = [item["ModelApprovalStatus"] for item in plane.packages.values()]
        left = (len(plane.models), len(plane.configs), objects(session, settings))
        return (last.action, plane.served_package(), told, approvals, left), killed

    expected, _ = ends(0)
    assert expected[0] == (outcome.REFUSED if wrong == "before" else outcome.SERVING)
    number, killed = 0, True
    while killed:
        number += 1
        state, killed = ends(number)
        assert state == expected, f"killed after call {number}"
    assert number > 15


@pytest.mark.parametrize("value", [None, [], {"key": "k"}, {"key": "k", "package_arn": "", "report": 3}])
def test_what_is_no_record_means_that_nothing_is_known(value: Any) -> None:
    assert Before.from_json(value) is None
    whole = Before("k", "arn", REPLACED, "r", True)
    assert Before.from_json(whole.to_json()) == whole
    assert Before.from_json({**whole.to_json(), "report": {"findings": [{"id": 1}]}}) is None
