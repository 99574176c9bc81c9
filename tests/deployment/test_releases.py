"""What a person decides: approve, reject, deploy."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import RefusedError, UsageError
from contracts.names import PIN_KEY
from deployment import approve, deploy, reject
from deployment.releases import approve_for_pipeline


def test_without_a_name_the_newest_that_waits_is_approved(session: Any, settings: Any, plane: Any) -> None:
    plane.register("a" * 64)
    newest = plane.register("b" * 64)
    decision = approve(session, settings, reason="looks\n good")
    assert (decision.package_arn, decision.after, decision.changed) == (newest, "Approved", True)
    assert plane.packages[newest]["ApprovalDescription"] == "looks good"  # the API allows no line break


def test_approving_twice_says_so(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    arn = plane.register(approval="Approved", ApprovalDescription="by the pipeline")
    decision = approve(session, settings, arn)
    assert not decision.changed and decision.message == "version 1 is approved already (by the pipeline)"
    assert not calls.of("UpdateModelPackage")


def test_approving_an_older_version_says_which_one_is_served(session: Any, settings: Any, plane: Any) -> None:
    plane.register("a" * 64)
    plane.register("b" * 64, "Approved")
    assert "Version 2 is approved and newer" in approve(session, settings, "1").message


def test_approving_what_was_rejected_repeats_why(session: Any, settings: Any, plane: Any) -> None:
    arn = plane.register(approval="Rejected", ApprovalDescription="misses cracks")
    assert "it was rejected (misses cracks)" in approve(session, settings, arn).message


def test_an_incomplete_package_is_not_approved(session: Any, settings: Any, plane: Any) -> None:
    arn = plane.register(ModelPackageStatus="Failed")
    with pytest.raises(RefusedError, match="version 1 is Failed"):
        approve(session, settings, arn)


def test_nothing_waits(session: Any, settings: Any, plane: Any) -> None:
    plane.register(approval="Rejected")
    with pytest.raises(UsageError, match="no package of widgets-dev waits for approval"):
        approve(session, settings)


@pytest.mark.parametrize("name", ["v3", "", "arn:aws:sagemaker:eu-west-1:111122223333:model-package/others/1", "-1"])
def test_a_name_that_is_none_of_ours(session: Any, settings: Any, plane: Any, name: str) -> None:
    with pytest.raises(UsageError, match="is no package of the group widgets-dev"):
        approve(session, settings, name)


def test_a_version_that_is_not_there_lists_those_that_are(session: Any, settings: Any, plane: Any) -> None:
    plane.register()
    plane.register()
    with pytest.raises(UsageError, match=r"there is no package .*/7\nVersions of widgets-dev: 2, 1\."):
        reject(session, settings, "7", why="x")


def test_a_rejection_needs_its_reason(session: Any, settings: Any, plane: Any) -> None:
    arn = plane.register()
    with pytest.raises(UsageError, match="a rejection needs its reason"):
        reject(session, settings, arn, why="  ")
    reject(session, settings, arn, why="misses cracks")
    again = reject(session, settings, arn, why="still")
    assert not again.changed and again.message == "version 1 is rejected already (misses cracks)"


def test_rejecting_says_what_is_served_next(session: Any, settings: Any, plane: Any) -> None:
    plane.register("a" * 64, "Approved")
    plane.register("b" * 64, "Approved")
    assert reject(session, settings, "2", why="x").message == "version 2 is rejected; version 1 is served next"
    assert "the endpoint stays as it is" in reject(session, settings, "1", why="x").message


def test_rejecting_the_pinned_package_removes_the_pin(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    arn = plane.register("a" * 64, "Approved")
    deploy(session, settings, arn)
    reject(session, settings, arn, why="x")
    assert calls.of("DeleteObject") == [{"Bucket": settings.names.artifact_bucket, "Key": PIN_KEY}]


def test_only_an_approved_package_is_deployed(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    plane.register()
    with pytest.raises(RefusedError, match="version 1 is PendingManualApproval") as caught:
        deploy(session, settings, "1")
    assert "cv-factory approve 1" in caught.value.hint
    assert not calls.of("PutObject")


def test_the_pipeline_never_overrules_a_person(session: Any, settings: Any, plane: Any) -> None:
    arn = plane.register(approval="Rejected", ApprovalDescription="no")
    with pytest.raises(RefusedError, match=r"has been rejected \(no\)"):
        approve_for_pipeline(session, settings, arn, "automatic")
