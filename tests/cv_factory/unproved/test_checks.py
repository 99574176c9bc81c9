"""Every check that the local SageMaker can answer runs there and holds; a wrong answer makes it fail."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts import release
from cv_factory.operations import unproved
from cv_factory.operations.pipeline import image_digest
from cv_factory.operations.unproved import events
from tests.cv_factory.unproved.conftest import Account

#: What env local has not, by check.
NOT_HERE = {
    "jobs.mlflow": "tracking.mlflow is none",
    "account.plan": "env local has a base that boto3 makes",
    "account.gpu": "env local has no ml.g5.xlarge",
    **({"endpoint.not-root": "runs as root here"} if os.getuid() == 0 else {}),
}


@pytest.fixture(scope="module")
def found(account: Account, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result file of a run of all checks."""
    out = tmp_path_factory.mktemp("found") / "results.json"
    done = account.run("--max-usd", "10", "--json", "--out", str(out))
    document: dict[str, Any] = json.loads(out.read_text())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == document
    assert "account 123456789012, region eu-west-1, endpoint http://127.0.0.1" in done.stderr.splitlines()[0]
    return document


@pytest.mark.parametrize("check", [check.id for check in unproved.checks()])
def test_it_holds_on_the_local_sagemaker(found: dict[str, Any], check: str) -> None:
    result = next(one for one in found["checks"] if one["id"] == check)
    if check in NOT_HERE:
        assert result["status"] == "skipped" and NOT_HERE[check] in result["detail"]
    else:
        assert result["status"] == "holds", result["detail"]


def test_the_result_file_says_where_and_what(found: dict[str, Any], account: Account) -> None:
    assert (found["account"], found["region"]) == ("123456789012", "eu-west-1")
    assert found["environment"] == "local" and found["endpoint"] == account.target.endpoint
    assert found["date"].endswith("Z") and len(found["git_sha"]) >= 40
    assert {one["id"] for one in found["checks"]} == {check.id for check in unproved.checks()}
    assert found["usd_at_most"] == pytest.approx(sum(one["usd_at_most"] for one in found["checks"]), abs=0.01)


def test_nothing_is_left(found: dict[str, Any], account: Account) -> None:
    assert found["left_behind"] == []
    assert account.left() == []


# --- wrong answers ----------------------------------------------------------------------------------------------------


@pytest.fixture
def bind(account: Account) -> Iterator[Callable[..., None]]:
    """Binds an image with more variables, until the end of the test."""
    yield account.bind
    for image in ("training", "inference"):
        account.bind(image)


def failed(account: Account, tmp_path: Path, check: str) -> str:
    """What a check says that fails."""
    out = tmp_path / "results.json"
    done = account.run("--max-usd", "10", "--only", check, "--out", str(out))
    assert done.returncode == 1, done.stdout + done.stderr
    (result,) = json.loads(out.read_text())["checks"]
    assert result["status"] == "fails"
    assert account.left() == []
    return str(result["detail"])


def test_a_container_with_a_toolkit_fails(account: Account, bind: Callable[..., None], tmp_path: Path) -> None:
    bind("training", SM_HOSTS="algo-1")
    assert "set by a toolkit: SM_HOSTS" in failed(account, tmp_path, "jobs.layout")


def test_a_container_that_sees_other_variables_fails(
    account: Account, bind: Callable[..., None], tmp_path: Path
) -> None:
    bind("inference", UNPROVED_MODEL="the image's own", UNPROVED_MORE="1")
    assert "'UNPROVED_MORE': '1'" in failed(account, tmp_path, "endpoint.package")


def test_an_image_that_nobody_signed_fails(account: Account, tmp_path: Path) -> None:
    s3, bucket = account.client("s3"), account.target.settings.names.artifact_bucket
    key = release.signature_key(image_digest(account.target, "training"))
    signature = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.delete_object(Bucket=bucket, Key=key)
    try:
        assert "is not signed" in failed(account, tmp_path, "account.images")
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=signature)


def test_a_missing_image_is_no_failure(account: Account, tmp_path: Path) -> None:
    names = account.target.settings.names
    ecr = account.client("ecr")
    kept = ecr.batch_get_image(
        repositoryName=names.inference_repository,
        imageIds=[{"imageDigest": image_digest(account.target, "inference")}],
    )["images"][0]
    ecr.batch_delete_image(repositoryName=names.inference_repository, imageIds=[kept["imageId"]])
    try:
        done = account.run("--max-usd", "1", "--only", "registry.model-card", "--json")
        (result,) = json.loads(done.stdout)["checks"]
        assert done.returncode == 0 and result["status"] == "skipped"
        assert "make images ENV=local" in result["detail"]
    finally:
        tag = {"imageTag": kept["imageId"]["imageTag"]} if "imageTag" in kept["imageId"] else {}
        ecr.put_image(
            repositoryName=names.inference_repository, imageManifest=kept["imageManifest"],
            imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
            **tag,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["registry", "endpoint", "deployment"])
def test_a_recorded_event_is_itself(name: str) -> None:
    assert list(events.differences(events.recorded(name), events.recorded(name))) == []


def test_differences_of_events_are_named() -> None:
    seen = events.recorded("registry")
    del seen["detail"]["ModelPackageVersion"]
    seen["detail"]["CreationTime"] = 1795194936000
    seen["detail"]["More"] = "is no difference"
    seen["detail"]["InferenceSpecification"]["Containers"][0] = {"Image": "x"}
    seen["resources"] = "one"
    assert list(events.differences(events.recorded("registry"), seen)) == [
        "resources is a text, recorded as a list",
        "detail.ModelPackageVersion is missing",
        "detail.CreationTime is a number, recorded as a text",
        "detail.InferenceSpecification.Containers[0].ModelDataUrl is missing",
    ]
