"""What was served before is not refused for what a scan of the same image finds later."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import release
from deployment import clock, ledger
from deployment.checks import Report
from deployment.packages import Package
from tests.deployment.checks.factory import Factory, look, scan_again


def served_before(factory: Factory, package: Package, **more: Any) -> None:
    """The ledger of a release of the package that succeeded."""
    facts = {
        "endpoint": factory.names.endpoint,
        "package_arn": package.arn,
        "image_digests": {"inference": package.inference_digest, "training": package.training_digest},
        "checks": look(factory, package).to_json(),
        **more,
    }
    s3, name = factory.client("s3"), ledger.new_id(clock.now(), "w-" + "0" * 12)
    ledger.append(s3, factory.release, name, ledger.OPENED, facts)
    ledger.append(s3, factory.release, name, ledger.SUCCEEDED, {"outcome": "served"})


@pytest.mark.parametrize(
    ("status", "severities"),
    [("COMPLETE", ["CRITICAL"]), ("SCAN_ELIGIBILITY_EXPIRED", []), ("IN_PROGRESS", [])],
)
def test_what_was_served_before_is_not_refused_for_a_later_scan(
    factory: Factory, status: str, severities: list[str]
) -> None:
    package = factory.package()
    served_before(factory, package)
    scan_again(factory, package, status, *severities)
    report = look(factory, package)
    assert report.ok and "Not refused: the scan held when it was served before" in report.message
    assert [finding.id for finding in report.findings if finding.warning] == ["inference.scan"]
    assert Report.from_json(report.to_json()) == report
    served_before(factory, package)  # by a release with that warning
    assert look(factory, package).ok


@pytest.mark.parametrize(
    "other",
    [
        {"endpoint": "another"},
        {"package_arn": "arn:aws:sagemaker:eu-west-1:111122223333:model-package/w/99"},
        {"image_digests": {"inference": "sha256:" + "0" * 64}},
        {"checks": None},
        {"checks": Report(()).to_json()},
    ],
    ids=["endpoint", "package", "digest", "not checked", "not scanned"],
)
def test_a_release_of_something_else_vouches_for_nothing(factory: Factory, other: dict[str, Any]) -> None:
    package = factory.package()
    served_before(factory, package, **other)
    scan_again(factory, package, "COMPLETE", "CRITICAL")
    assert look(factory, package).failed


def test_a_release_that_did_not_succeed_vouches_for_nothing(factory: Factory) -> None:
    package = factory.package()
    name = ledger.new_id(clock.now(), "w-" + "0" * 12)
    facts = {
        "endpoint": factory.names.endpoint,
        "package_arn": package.arn,
        "image_digests": {"inference": package.inference_digest},
        "checks": look(factory, package).to_json(),
    }
    ledger.append(factory.client("s3"), factory.release, name, ledger.OPENED, facts)
    ledger.append(factory.client("s3"), factory.release, name, ledger.FAILED, {"outcome": "alarm"})
    scan_again(factory, package, "COMPLETE", "CRITICAL")
    assert look(factory, package).failed


def test_all_else_refuses_what_was_served_before(factory: Factory) -> None:
    package = factory.package()
    served_before(factory, package)
    scan_again(factory, package, "COMPLETE", "CRITICAL")
    key = release.signature_key(package.inference_digest)
    factory.client("s3").delete_object(Bucket=factory.names.artifact_bucket, Key=key)
    report = look(factory, package)
    assert report.failed and [finding.id for finding in report.findings if finding.failed] == ["inference.signature"]
