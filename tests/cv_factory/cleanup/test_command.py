"""``cv-factory cleanup``: the plan, the question, one document, and ``--verify``."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cv_factory import cli
from cv_factory.operations.cleanup import planning
from tests.cv_factory.planting import Factory

Call = Callable[..., tuple[int, str, str]]
MODEL = f"widgets-dev-{'0' * 20}"


@pytest.fixture
def call(factory: Factory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": factory.server.endpoint_url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(factory.folder)
    decide = planning.plan
    # A hundred days later: what these tests make would be too young to go.
    monkeypatch.setattr(planning, "plan", lambda found, rules, now: decide(found, rules, LATER))

    def run(*arguments: str, typed: str = "") -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = cli.call(["--env", "dev", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


LATER = datetime.now(UTC) + timedelta(days=100)


def models(factory: Factory) -> list[str]:
    return [each["ModelName"] for each in factory.target("dev").client("sagemaker").list_models()["Models"]]


@pytest.fixture
def unused(factory: Factory) -> Any:
    """A model that nothing uses."""
    target = factory.target("dev")
    names, sagemaker = target.settings.names, target.client("sagemaker")
    image = names.image(names.inference_repository, digest="sha256:" + "1" * 64)
    sagemaker.create_model(
        ModelName=MODEL, ExecutionRoleArn=names.role_arn("endpoint"), PrimaryContainer={"Image": image}
    )
    yield
    if MODEL in models(factory):
        sagemaker.delete_model(ModelName=MODEL)


def test_it_plans_asks_and_removes(factory: Factory, call: Call, unused: None) -> None:
    code, out, err = call("cleanup", typed="n\n")
    assert code == 1 and "nothing was removed: you said no" in err and MODEL in models(factory)
    assert f"remove  model {MODEL}: nothing uses it" in out and "1 to remove" in out and "Remove this? [y/N]" in out
    code, out, err = call("cleanup")
    assert code == 2 and "nobody can be asked" in err and MODEL in models(factory)
    code, out, _ = call("cleanup", typed="y\n")
    assert code == 0 and f"removed: model {MODEL}" in out and MODEL not in models(factory)
    code, out, _ = call("cleanup")
    assert code == 0 and "Nothing to remove" in out


def test_json_is_the_plan_and_with_yes_what_was_done(factory: Factory, call: Call, unused: None) -> None:
    code, out, _ = call("cleanup", "--json")
    document = json.loads(out)
    assert code == 0 and document["removed"] == [] and MODEL in models(factory)
    (one,) = document["plan"]["removals"]
    assert (one["kind"], one["name"], one["why"]) == ("model", MODEL, "nothing uses it")
    code, out, _ = call("cleanup", "--json", "--yes")
    assert code == 0 and [each["name"] for each in json.loads(out)["removed"]] == [MODEL]


def test_verify_lists_every_service_and_fails_where_something_is_left(factory: Factory, call: Call) -> None:
    code, out, err = call("cleanup", "--verify")
    assert code == 0 and "Nothing billable is left that cv-factory made" in out
    for words in ("endpoints", "training jobs", "Application Auto Scaling", "CloudWatch", "S3", "ECR"):
        assert words in out
    cloudwatch, name = factory.target("dev").client("cloudwatch"), "widgets-dev-p99"
    cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="AWS/SageMaker", MetricName="ModelLatency", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Average",
    )  # fmt: skip
    code, out, err = call("cleanup", "--verify")
    assert code == 1 and "something billable is left: 1 alarms of the endpoint" in err
    assert "cv-factory --env dev cleanup --all" in err and "LEFT" in out
    code, out, _ = call("cleanup", "--all", typed="y\n")
    assert code == 0 and f"removed: alarm {name}" in out and "cleanup --verify" in out
    code, out, _ = call("cleanup", "--verify", "--json")
    assert code == 0 and json.loads(out)["nothing_billable"] is True
