"""The steps Champion, Keep and Publish."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from contracts.errors import ContractError
from deployment import keep, packages
from tests.deployment.plane import Killed

BUNDLE = "b" * 64
EVALUATION = {
    "bundle_hash": BUNDLE,
    "dataset_hash": "d" * 64,
    "source_hash": "s" * 64,
    "protocol": "group",
    "serving": {"precision": "float32"},
}
KEPT = {
    "model.tar.gz", "evaluation.json", "report.html", "predictions.parquet", "model_card.json", "dataset_manifest.json",
    "kept.json",
}  # fmt: skip


@pytest.fixture
def run(session: Any, settings: Any) -> Callable[[str], dict[str, str]]:
    """The outputs of an execution's steps; returns what the step Keep is called with."""

    def make(execution: str = "exec1") -> dict[str, str]:
        s3, bucket = session.client("s3"), settings.names.artifact_bucket
        base = f"runs/{execution}"
        for name, body in {
            "train/output/model.tar.gz": f"archive of {execution}",
            "evaluate/evaluation.json": json.dumps(EVALUATION),
            "evaluate/report.html": f"report of {execution}",
            "evaluate/predictions.parquet": "rows",
            "evaluate/model_card.json": "{}",
            "preprocess/manifest.json": "{}",
        }.items():
            s3.put_object(Bucket=bucket, Key=f"{base}/{name}", Body=body.encode())
        return {
            "execution_id": execution,
            "model_uri": f"s3://{bucket}/{base}/train/output/model.tar.gz",
            "evaluation_uri": f"s3://{bucket}/{base}/evaluate",
            "dataset_uri": f"s3://{bucket}/{base}/preprocess/",
        }

    return make


def kept(session: Any, settings: Any) -> dict[str, str]:
    s3, bucket = session.client("s3"), settings.names.artifact_bucket
    prefix = f"packages/{BUNDLE}/"
    return {
        item["Key"].removeprefix(prefix): s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read().decode()
        for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    }


def test_what_a_package_names_is_copied(session: Any, settings: Any, run: Any) -> None:
    answer = keep.keep(session, settings, **run())
    prefix = f"s3://{settings.names.artifact_bucket}/packages/{BUNDLE}/"
    assert answer == {
        "package_uri": prefix,
        "model_uri": prefix + "model.tar.gz",
        "evaluation_file_uri": prefix + "evaluation.json",
        "report_uri": prefix + "report.html",
        "model_card_uri": prefix + "model_card.json",
        "bundle_hash": BUNDLE,
        "dataset_hash": "d" * 64,
        "source_hash": "s" * 64,
        "protocol": "group",
        "precision": "float32",
        "known": "",
        "known_status": "",
        "evaluation_sha256": hashlib.sha256(json.dumps(EVALUATION).encode()).hexdigest(),
        "report_sha256": hashlib.sha256(b"report of exec1").hexdigest(),
        "champion_bundle_hash": "none",
    }
    assert set(kept(session, settings)) == KEPT
    assert kept(session, settings)["model.tar.gz"] == "archive of exec1"


@pytest.mark.parametrize("status", ["Approved", "Rejected", "PendingManualApproval"])
def test_a_bundle_that_any_package_has_is_known(session: Any, settings: Any, run: Any, plane: Any, status: str) -> None:
    plane.page_size = 2
    for number in range(3):
        plane.register(str(number) * 64)
    arn = plane.register(BUNDLE, status)
    for number in range(3, 6):
        plane.register(str(number) * 64)
    answer = keep.keep(session, settings, **run())
    assert (answer["known"], answer["known_status"]) == (arn, status)


def test_a_package_without_our_metadata_is_known_by_its_model(
    session: Any, settings: Any, run: Any, plane: Any
) -> None:
    arn = plane.register(BUNDLE, CustomerMetadataProperties={})
    assert keep.keep(session, settings, **run())["known"] == arn


def test_what_an_approved_package_names_is_never_replaced(
    session: Any, settings: Any, run: Any, calls: Any, plane: Any
) -> None:
    keep.keep(session, settings, **run("exec1"))
    plane.register(BUNDLE, "Approved")
    calls.made.clear()
    keep.keep(session, settings, **run("exec2"))
    assert not calls.of("CopyObject")
    assert kept(session, settings)["report.html"] == "report of exec1"


@pytest.mark.parametrize("status", ["Rejected", "PendingManualApproval"])
def test_a_package_that_is_not_approved_gets_the_newest_evaluation(
    session: Any, settings: Any, run: Any, plane: Any, calls: Any, status: str
) -> None:
    first = keep.keep(session, settings, **run("exec1"), started_by="ann")
    arn = plane.register(BUNDLE, status, CustomerMetadataProperties={"bundle_hash": BUNDLE, "commit": "c"})
    again = run("exec2")
    value = {**EVALUATION, "champion": {"bundle_hash": "c" * 64}}
    session.client("s3").put_object(
        Bucket=settings.names.artifact_bucket, Key="runs/exec2/evaluate/evaluation.json", Body=json.dumps(value)
    )
    answer = keep.keep(session, settings, **again, started_by="bob")
    assert (answer["known"], answer["champion_bundle_hash"]) == (arn, "c" * 64)
    assert answer["evaluation_sha256"] != first["evaluation_sha256"]
    assert plane.packages[arn]["CustomerMetadataProperties"] == {
        "bundle_hash": BUNDLE, "commit": "c", "execution_id": "exec2", "started_by": "bob",
        **{name: answer[name] for name in ("evaluation_sha256", "report_sha256", "champion_bundle_hash")},
    }  # fmt: skip
    assert plane.packages[arn]["ModelApprovalStatus"] == status
    found = kept(session, settings)
    assert set(found) == KEPT and found["report.html"] == "report of exec2"
    assert json.loads(found["kept.json"])["execution_id"] == "exec2"
    calls.made.clear()
    keep.keep(session, settings, **again, started_by="bob")
    assert not calls.of("UpdateModelPackage") and not calls.of("CopyObject")


def test_an_object_that_was_lost_comes_back(session: Any, settings: Any, run: Any, plane: Any) -> None:
    keep.keep(session, settings, **run("exec1"))
    plane.register(BUNDLE, "Approved")
    session.client("s3").delete_object(Bucket=settings.names.artifact_bucket, Key=f"packages/{BUNDLE}/report.html")
    keep.keep(session, settings, **run("exec2"))
    assert kept(session, settings)["report.html"] == "report of exec2"
    assert kept(session, settings)["model.tar.gz"] == "archive of exec1"


def test_killed_after_any_call_another_execution_keeps_one_consistent_set(
    session: Any, settings: Any, run: Any, calls: Any, fresh: Callable[[], None]
) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        fresh()
        first, second = run("exec1"), run("exec2")
        calls.made.clear()
        calls.kill_after, killed = number, False
        try:
            keep.keep(session, settings, **first)
        except Killed:
            killed = True
        calls.kill_after = 0
        keep.keep(session, settings, **second)
        found = kept(session, settings)
        assert set(found) == KEPT
        origin = json.loads(found["kept.json"])["execution_id"]
        assert found["report.html"] == f"report of {origin}" and found["model.tar.gz"] == f"archive of {origin}"
    assert number > 14


@pytest.mark.parametrize(
    "name",
    ["evaluate/evaluation.json", "train/output/model.tar.gz", "evaluate/report.html", "preprocess/manifest.json"],
)
def test_a_missing_source_is_named(session: Any, settings: Any, run: Any, name: str) -> None:
    fields = run()
    session.client("s3").delete_object(Bucket=settings.names.artifact_bucket, Key=f"runs/exec1/{name}")
    with pytest.raises(ContractError, match=rf"runs/exec1/{name} is missing"):
        keep.keep(session, settings, **fields)
    assert "kept.json" not in kept(session, settings)


@pytest.mark.parametrize("broken", [{}, {**EVALUATION, "bundle_hash": None}, {**EVALUATION, "serving": "float32"}, []])
def test_an_evaluation_that_is_not_as_agreed(session: Any, settings: Any, run: Any, broken: Any) -> None:
    fields = run()
    session.client("s3").put_object(
        Bucket=settings.names.artifact_bucket,
        Key="runs/exec1/evaluate/evaluation.json",
        Body=json.dumps(broken).encode(),
    )
    with pytest.raises(ContractError, match=r"evaluation\.json"):
        keep.keep(session, settings, **fields)


def test_more_than_one_copy_can_take_is_refused(
    session: Any, settings: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = run()
    monkeypatch.setattr(keep, "MAX_COPY_BYTES", 10)
    with pytest.raises(ContractError, match="at most 10 can be kept"):
        keep.keep(session, settings, **fields)


def test_the_champion_is_what_the_release_desires(session: Any, settings: Any, plane: Any) -> None:
    bucket = settings.names.artifact_bucket
    assert keep.champion(session, settings) == {
        "champion_uri": f"s3://{bucket}/release/no-champion/",
        "package_arn": "",
        "bundle_hash": "",
    }
    arn = plane.register(BUNDLE, "Approved")
    plane.register("c" * 64, "Rejected")
    assert keep.champion(session, settings) == {
        "champion_uri": f"s3://{bucket}/packages/{BUNDLE}/",
        "package_arn": arn,
        "bundle_hash": BUNDLE,
    }


def test_publishing_attaches_the_card(session: Any, settings: Any, plane: Any) -> None:
    arn = plane.register()
    uri = f"s3://{settings.names.artifact_bucket}/packages/{BUNDLE}/model_card.json"
    with pytest.raises(ContractError, match=r"model_card\.json is missing"):
        keep.publish(session, package_arn=arn, model_card_uri=uri)
    card = {"model_overview": {"model_name": "Zelle ü"}}
    key = uri.partition(settings.names.artifact_bucket + "/")[2]
    s3 = session.client("s3")
    s3.put_object(Bucket=settings.names.artifact_bucket, Key=key, Body=json.dumps(card).encode())
    assert keep.publish(session, package_arn=arn, model_card_uri=uri) == {"package_arn": arn}
    stored = plane.packages[arn]["ModelCard"]
    assert json.loads(stored["ModelCardContent"]) == card and stored["ModelCardStatus"] == "Draft"
    s3.put_object(Bucket=settings.names.artifact_bucket, Key=key, Body=json.dumps({"x": "y" * 100_000}).encode())
    with pytest.raises(ContractError, match="at most 100000 are allowed"):
        keep.publish(session, package_arn=arn, model_card_uri=uri)


def test_the_newest_package_of_a_bundle_is_the_known_one(session: Any, settings: Any, plane: Any) -> None:
    plane.register(BUNDLE, "Rejected")
    newest = plane.register(BUNDLE)
    found = packages.with_bundle(session.client("sagemaker"), settings.names.package_group, BUNDLE)
    assert found is not None and found.arn == newest


def test_another_precision_of_a_bundle_is_another_package(
    run: Callable[[str], dict[str, str]], session: Any, settings: Any, plane: Any
) -> None:
    plane.register(BUNDLE)
    event = run("exec1")
    assert keep.keep(session, settings, **event)["known"] != ""
    value = json.dumps({**EVALUATION, "serving": {"precision": "int8"}}).encode()
    session.client("s3").put_object(
        Bucket=settings.names.artifact_bucket, Key="runs/exec1/evaluate/evaluation.json", Body=value
    )
    found = keep.keep(session, settings, **event)
    assert (found["known"], found["precision"]) == ("", "int8")
    assert found["model_uri"].endswith(f"/packages/{BUNDLE}-int8/model.tar.gz")
