"""Each rule refuses alone, and a package as a run leaves it is approved with both people on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from contracts import release
from contracts.errors import RefusedError
from contracts.s3uri import S3Uri
from cv_factory.operations import approving
from deployment.checked import Before
from deployment.report import Finding, Report
from tests.cv_factory.approving.conftest import Place
from tests.cv_factory.planting import ANN, Planted, plant


def metadata(place: Place, arn: str) -> dict[str, str]:
    about = place.target.client("sagemaker").describe_model_package(ModelPackageName=arn)
    return dict(about["CustomerMetadataProperties"])


def status(place: Place, arn: str) -> str:
    return str(place.target.client("sagemaker").describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"])


def test_a_package_as_a_run_leaves_it_is_approved(place: Place) -> None:
    planted = plant(place.target, "first")
    review = approving.find(place.target, None)
    assert (review.package.arn, review.refusals) == (planted.arn, ())
    assert review.gate["outcome"] == "register" and review.images == 120 and review.champion is None
    assert review.deploys.image_digest.startswith("sha256:") and review.deploys.bundle_hash == planted.bundle_hash
    decision = approving.approve(place.target, review, "better")
    assert decision.after == "Approved" and status(place, planted.arn) == "Approved"
    kept = metadata(place, planted.arn)
    assert kept[release.META_STARTED_BY] == ANN and kept[release.META_BUNDLE_HASH] == planted.bundle_hash
    own = place.target.client("sts").get_caller_identity()["Arn"]
    assert kept[release.META_APPROVED_BY] == release.recorded_identity(own)
    again = approving.find(place.target, str(planted.version))
    assert not approving.approve(place.target, again, "").changed


def put(place: Place, key: str, body: bytes) -> None:
    place.target.client("s3").put_object(Bucket=place.target.settings.names.artifact_bucket, Key=key, Body=body)


def drop(place: Place, uri: S3Uri) -> None:
    place.target.client("s3").delete_object(Bucket=uri.bucket, Key=uri.key)


@dataclass(frozen=True)
class Fault:
    """What is planted, and what happens to it before somebody approves."""

    rule: str
    says: str
    planted: dict[str, Any]
    then: Callable[[Place, Planted], None] = lambda place, planted: None


def another_champion(place: Place, planted: Planted) -> None:
    plant(place.target, "other", approval="Approved")


def other_manifest(place: Place, planted: Planted) -> None:
    names = place.target.settings.names
    key = f"datasets/{planted.dataset.short_hash}/manifest.json"
    value = {**planted.dataset.to_json(), "seed": 7}
    place.target.client("s3").put_object(Bucket=names.data_bucket, Key=key, Body=json.dumps(value).encode())


def no_manifest(place: Place, planted: Planted) -> None:
    drop(place, place.target.settings.names.data(f"datasets/{planted.dataset.short_hash}/manifest.json"))


def artifact(name: str, body: bytes | None) -> Callable[[Place, Planted], None]:
    def change(place: Place, planted: Planted) -> None:
        if body is None:
            drop(place, place.target.settings.names.artifacts(planted.prefix + name))
        else:
            put(place, planted.prefix + name, body)

    return change


def edited(**values: Any) -> Callable[[Place, Planted], None]:
    """Somebody edits ``evaluation.json`` and puts its new hash into the package."""

    def change(place: Place, planted: Planted) -> None:
        body = json.dumps({**planted.evaluation, **values}).encode()
        put(place, planted.prefix + "evaluation.json", body)

    return change


REFUSED = {
    "another champion": Fault(
        "champion", "compared with no champion, and now version {next} (bundle", {}, another_champion
    ),
    "no champion any more": Fault(
        "champion", "compared with bundle cccccccccccc, and now none is", {"champion": "c" * 64}
    ),
    "another champion than the package says": Fault(
        "champion", "says it was compared with dddddddddddd", {"metadata": {release.META_CHAMPION: "d" * 64}}
    ),
    "no evaluation": Fault("evaluation", "has no evaluation.json", {}, artifact("evaluation.json", None)),
    "no json": Fault("evaluation", "has no evaluation.json", {}, artifact("evaluation.json", b"{")),
    "edited evaluation": Fault("evaluation", "is not the one that was registered", {}, edited(metrics={})),
    "of another bundle": Fault("evaluation", "is of bundle eeeeeeeeeeee", {"evaluated": {"bundle_hash": "e" * 64}}),
    "of another precision": Fault(
        "evaluation", "is of precision int8", {"evaluated": {"serving": {"precision": "int8"}}}
    ),
    "unknown evaluation": Fault(
        "evaluation", "does not say which evaluation.json", {"metadata": {release.META_EVALUATION: None}}
    ),
    "unknown report": Fault("report", "does not say which report.html", {"metadata": {release.META_REPORT: None}}),
    "no report": Fault("report", "report.html of version {version} is missing", {}, artifact("report.html", None)),
    "another report": Fault("report", "is not the one that was registered", {}, artifact("report.html", b"fine")),
    "gate": Fault("gate", "outcome for version {version} is 'refuse': too bad", {
        "evaluated": {"gate": {"outcome": "refuse", "message": "too bad", "reasons": []}},
    }),
    "kept data": Fault(
        "data", "is kept with it is ffff", {}, artifact("dataset_manifest.json", b'{"dataset_hash": "ffff"}')
    ),
    "imported data changed": Fault("data", "the dataset that it names has changed", {}, other_manifest),
    "imported data are gone": Fault("data", "is not in the data bucket any more", {}, no_manifest),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_each_rule_refuses_alone(place: Place, name: str) -> None:
    fault = REFUSED[name]
    planted = plant(place.target, "one", **fault.planted)
    fault.then(place, planted)
    review = approving.find(place.target, str(planted.version))
    assert {each.rule for each in review.refusals} == {fault.rule}, review.refusals
    with pytest.raises(RefusedError) as caught:
        approving.approve(place.target, review, "looks fine")
    says = fault.says.format(version=planted.version, next=planted.version + 1)
    assert says in caught.value.headline and caught.value.hint and caught.value.exit_code == 3
    assert status(place, planted.arn) == "PendingManualApproval"
    assert release.META_APPROVED_BY not in metadata(place, planted.arn)


def test_what_changes_between_the_look_and_the_yes_is_refused(place: Place) -> None:
    planted = plant(place.target, "one")
    review = approving.find(place.target, None)
    sagemaker = place.target.client("sagemaker")
    sagemaker.update_model_package(ModelPackageArn=planted.arn, CustomerMetadataProperties={"note": "changed"})
    with pytest.raises(RefusedError, match="changed while you read"):
        approving.approve(place.target, review, "")
    assert status(place, planted.arn) == "PendingManualApproval"


def test_a_rejected_package_says_why_it_was_rejected(place: Place) -> None:
    planted = plant(place.target, "one")
    place.target.client("sagemaker").update_model_package(
        ModelPackageArn=planted.arn, ModelApprovalStatus="Rejected", ApprovalDescription="misses cracks"
    )
    review = approving.find(place.target, str(planted.version))
    assert "it was rejected: misses cracks" in review.notes
    assert approving.approve(place.target, review, "").before == "Rejected"


def test_what_the_checks_warned_of_is_told(place: Place) -> None:
    planted = plant(place.target, "one")
    found = Report((Finding("inference.scan", True, "1 CRITICAL", warning=True),))
    put(place, release.CHECKS_KEY, json.dumps(Before("k", planted.arn, found).to_json()).encode())
    (note,) = approving.find(place.target, str(planted.version)).notes
    assert note.endswith("(warning: inference.scan: 1 CRITICAL)")
