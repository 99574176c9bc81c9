"""``cv-factory approve``: what it shows, when it asks, what it answers."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from contracts import release
from cv_factory import cli
from tests.cv_factory.approving.conftest import Place
from tests.cv_factory.planting import plant


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def call(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command line for the test's environment; ``typed`` is what the person types."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": place.factory.server.endpoint_url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(place.factory.folder)

    def run(*arguments: str, typed: str = "") -> Answer:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = cli.call(["--env", place.env, *arguments])
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return run


def status(place: Place, arn: str) -> str:
    return str(place.target.client("sagemaker").describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"])


def test_it_shows_the_model_the_champion_and_what_it_deploys_and_then_asks(place: Place, call: Call) -> None:
    champion = plant(place.target, "first", approval="Approved")
    planted = plant(place.target, "second", champion=champion.bundle_hash)
    answer = call("approve", typed="n\n")
    number = planted.version
    assert answer.code == 1 and f"version {number} is not approved: you said no" in answer.err
    assert status(place, planted.arn) == "PendingManualApproval"
    for words in (
        f"version {number} of {place.target.settings.names.package_group}: PendingManualApproval",
        "Gate: register. All 2 rules hold.",
        "Test split, protocol group, 120 images",
        "0.900",
        "0.850 to 0.940",
        "+0.021",
        "-0.004",
        f"Champion: {champion.label}, bundle {champion.bundle_hash[:12]}; both on the same 120 images, in pairs",
        f"bundle {planted.bundle_hash[:12]} (float32) on ml.m5.xlarge x 1, all-at-once",
        "Image: sha256:",
        f"Report: s3://{place.target.settings.names.artifact_bucket}/{planted.prefix}report.html",
        "Started by arn:aws:sts::123456789012:assumed-role/engineer/ann; you are ",
        f"Approve version {number}? [y/N]",
    ):
        assert words in answer.out, words
    assert answer.out.index("Gate: register") < answer.out.index(f"Approve version {number}?")

    answer = call("approve", str(number), "--why", "fewer misses", typed="y\n")
    assert answer.code == 0 and f"\nversion {number} is approved\n" in answer.out
    assert status(place, planted.arn) == "Approved"


def test_yes_does_not_ask_and_without_anybody_to_ask_nothing_is_approved(place: Place, call: Call) -> None:
    planted = plant(place.target, "first")
    nobody = call("approve", str(planted.version))
    assert nobody.code == 2 and "nobody can be asked" in nobody.err and "--yes" in nobody.err
    asked = call("approve", str(planted.version), "--json")
    assert asked.code == 2 and status(place, planted.arn) == "PendingManualApproval"
    answer = call("approve", str(planted.version), "--yes")
    assert answer.code == 0 and "Approve version" not in answer.out
    assert status(place, planted.arn) == "Approved"
    again = call("approve", str(planted.version))
    assert again.code == 0 and "approved already" in again.out


def test_json_is_one_document_with_the_review(place: Place, call: Call) -> None:
    champion = plant(place.target, "first", approval="Approved")
    planted = plant(place.target, "second", champion=champion.bundle_hash)
    answer = call("approve", "--yes", "--json", "--why", "better")
    assert answer.code == 0
    document: dict[str, Any] = json.loads(answer.out)
    assert (document["model_package_arn"], document["before"], document["after"]) == (
        planted.arn, "PendingManualApproval", "Approved",
    )  # fmt: skip
    review = document["review"]
    assert review["champion"]["model_package_arn"] == champion.arn
    assert review["champion"]["difference"]["balanced_accuracy"] == {"value": 0.021, "lower_95": -0.004}
    assert review["deploys"]["bundle_hash"] == planted.bundle_hash and review["deploys"]["strategy"] == "all-at-once"
    assert review["gate"]["outcome"] == "register" and review["refusals"] == []


def test_a_refusal_says_every_reason_and_is_exit_code_3(place: Place, call: Call) -> None:
    planted = plant(place.target, "one", champion="c" * 64, metadata={release.META_REPORT: None})
    answer = call("approve", "--yes")
    assert answer.code == 3
    label = planted.label
    assert f"{label} is not approved: {label} does not say which report.html" in answer.err
    assert "Also: it was compared with bundle cccccccccccc" in answer.err and "cv-factory run" in answer.err
    assert "Gate: register" in answer.out, "what there is to know is shown all the same"
