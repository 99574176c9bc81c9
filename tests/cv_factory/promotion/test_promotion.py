"""A package of one environment becomes one of another, on the local SageMaker: what comes along, what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts import release
from contracts.errors import FactoryError, RefusedError, UsageError
from cv_factory import cli
from cv_factory import session as sessions
from cv_factory.operations import promotion
from cv_factory.operations.promotion.soak import Soak
from cv_factory.session import Target
from tests.cv_factory import planting
from tests.cv_factory.planting import ANN, BOB, Factory, Planted, image, plant


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    with planting.factory(tmp_path_factory.mktemp("promotion")) as made:
        yield made


@dataclass(frozen=True)
class Pair:
    """Where a package comes from and where it goes: environments of a test's own."""

    source: Target
    target: Target


@pytest.fixture(scope="session")
def pair(factory: Factory) -> Pair:
    made = Pair(factory.target("dev"), factory.target("stage"))
    for each in (made.source, made.target):  # no deployer in between
        names = each.settings.names
        for rule in (names.registry_rule, names.endpoint_rule, names.sweep_rule):
            each.client("events").disable_rule(Name=rule)
    return made


def promote(pair: Pair, arn: str, target: Target | None = None) -> Any:
    target = target or pair.target
    return promotion.promote(target, promotion.find(target, arn), "as good there as here", "cv-factory approve")


def made_of(pair: Pair, planted: Planted) -> list[dict[str, Any]]:
    """The packages at the target of a planted one's bundle."""
    sagemaker, group = pair.target.client("sagemaker"), pair.target.settings.names.package_group
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    found = [
        sagemaker.describe_model_package(ModelPackageName=each["ModelPackageArn"])
        for page in pages
        for each in page["ModelPackageSummaryList"]
    ]
    return [
        each for each in found if each["CustomerMetadataProperties"][release.META_BUNDLE_HASH] == planted.bundle_hash
    ]


def test_the_bundle_its_evaluation_and_the_image_come_along_and_the_package_says_from_where(pair: Pair) -> None:
    digest = image(pair.source, "served")
    planted = plant(pair.source, "good", approval="Approved", digest=digest)
    decision = promote(pair, planted.arn)
    names = pair.target.settings.names
    assert decision.after == "Approved" and f"/{names.package_group}/" in decision.package_arn
    (made,) = made_of(pair, planted)
    container = made["InferenceSpecification"]["Containers"][0]
    assert container["Image"] == names.image(names.inference_repository, digest=digest)
    assert container["ModelDataUrl"] == f"s3://{names.artifact_bucket}/{planted.prefix}model.tar.gz"
    metadata = made["CustomerMetadataProperties"]
    assert metadata[release.META_ORIGIN] == planted.arn and metadata[release.META_SOAK] == "not asked for"
    assert metadata[release.META_BUNDLE_HASH] == planted.bundle_hash and metadata[release.META_STARTED_BY] == ANN
    assert made["ApprovalDescription"] == "as good there as here" and made["ModelApprovalStatus"] == "Approved"
    s3, there, here = pair.source.client("s3"), pair.source.settings.names.artifact_bucket, names.artifact_bucket
    for name in ("model.tar.gz", "evaluation.json", "report.html", "predictions.parquet", "model_card.json"):
        key = planted.prefix + name
        assert s3.get_object(Bucket=here, Key=key)["Body"].read() == s3.get_object(Bucket=there, Key=key)["Body"].read()
    signature = json.loads(s3.get_object(Bucket=here, Key=release.signature_key(digest))["Body"].read())
    assert f"{names.registry}/{names.inference_repository}" in signature["payload"], "signed anew, for its new place"

    again = promote(pair, planted.arn)
    assert not again.changed and len(made_of(pair, planted)) == 1, "promoting twice is promoting once"


def test_killed_after_any_call_the_same_command_finishes_it(factory: Factory, pair: Pair) -> None:
    class Killed(BaseException):
        pass

    state = {"calls": 0, "kill": 0}

    def happened(model: Any, **_: Any) -> None:
        if not model.name.startswith(("Describe", "List", "Get", "Head", "BatchGet", "Verify", "Sign")):
            state["calls"] += 1
            if state["kill"] and state["calls"] >= state["kill"]:
                raise Killed

    session = sessions.local_session(pair.target.endpoint, pair.target.settings.aws.region)
    session.events.register("after-call", happened)
    made = pair.target
    dying = Target(made.settings, made.file, made.endpoint, session)
    number, killed = 0, True
    while killed:
        number += 1
        planted = plant(pair.source, f"word {number}", approval="Approved", digest=image(pair.source, str(number)))
        state.update(calls=0, kill=number)
        killed = False
        try:
            promote(pair, planted.arn, dying)
        except Killed:
            killed = True
        state["kill"] = 0
        assert promote(pair, planted.arn).after == "Approved"
        (found,) = made_of(pair, planted)
        assert found["ModelApprovalStatus"] == "Approved"
        kept = made.client("s3").list_objects_v2(Bucket=made.settings.names.artifact_bucket, Prefix=planted.prefix)
        assert kept["KeyCount"] == 7
    assert number > 10


def test_what_is_not_approved_where_it_is_is_not_promoted(pair: Pair) -> None:
    planted = plant(pair.source, "waits")
    with pytest.raises(RefusedError, match="only what is approved there is promoted") as caught:
        promote(pair, planted.arn)
    assert f"cv-factory --env {pair.source.settings.env} approve {planted.version}" in caught.value.hint
    assert made_of(pair, planted) == []


@pytest.mark.parametrize("name", ["archive", "evaluation", "signature", "another signature", "image"])
def test_what_was_tampered_with_is_refused(pair: Pair, name: str) -> None:
    digest = image(pair.source, f"tampered {name}")
    planted = plant(pair.source, name, approval="Approved", digest=digest)
    s3, bucket = pair.source.client("s3"), pair.source.settings.names.artifact_bucket
    match name:
        case "archive":
            body, _ = planting.archive("evil", planted.dataset.hash)
            s3.put_object(Bucket=bucket, Key=f"{planted.prefix}model.tar.gz", Body=body)
            says = "and the package names"
        case "evaluation":
            s3.put_object(Bucket=bucket, Key=f"{planted.prefix}evaluation.json", Body=json.dumps(planted.evaluation | {
                "metrics": {}
            }).encode())  # fmt: skip
            says = "is not the one that was registered"
        case "signature":
            s3.delete_object(Bucket=bucket, Key=release.signature_key(digest))
            says = "is not signed"
        case "another signature":
            other = image(pair.source, "another image")
            body = s3.get_object(Bucket=bucket, Key=release.signature_key(other))["Body"].read()
            s3.put_object(Bucket=bucket, Key=release.signature_key(digest), Body=body)
            says = "signs another image"
        case _:
            pair.source.client("ecr").batch_delete_image(
                repositoryName=pair.source.settings.names.inference_repository, imageIds=[{"imageDigest": digest}]
            )
            says = "has no image"
    with pytest.raises(RefusedError, match=says):
        promote(pair, planted.arn)
    assert made_of(pair, planted) == []


def test_a_forged_signature_does_not_hold(pair: Pair) -> None:
    digest = image(pair.source, "forged")
    planted = plant(pair.source, "forged", approval="Approved", digest=digest)
    s3, bucket = pair.source.client("s3"), pair.source.settings.names.artifact_bucket
    key = release.signature_key(digest)
    value = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    other = json.loads(s3.get_object(Bucket=bucket, Key=release.signature_key(image(pair.source, "x")))["Body"].read())
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps({**value, "signature": other["signature"]}).encode())
    with pytest.raises(RefusedError, match="does not hold"):
        promote(pair, planted.arn)


def test_who_started_it_there_does_not_approve_it_here(factory: Factory, pair: Pair) -> None:
    planted = plant(pair.source, "started by ann", approval="Approved", started_by=ANN)
    made = factory.with_settings(pair.target.settings.env, four_eyes="always")
    ann = Target(made.settings, made.file, made.endpoint, factory.somebody("ann"))
    bob = Target(made.settings, made.file, made.endpoint, factory.somebody("bob"))
    with pytest.raises(RefusedError, match="ann started the execution of this model"):
        promote(pair, planted.arn, ann)
    assert promote(pair, planted.arn, bob).after == "Approved"
    (here,) = made_of(pair, planted)
    assert here["CustomerMetadataProperties"][release.META_APPROVED_BY] == BOB


def test_another_champion_here_is_said_and_refuses_nothing(pair: Pair) -> None:
    served = plant(pair.target, "served here", approval="Approved")
    planted = plant(pair.source, "new", approval="Approved")
    notes = promotion.find(pair.target, planted.arn).review.notes
    assert any("the two were not compared" in note and served.bundle_hash[:12] in note for note in notes)
    assert promote(pair, planted.arn).after == "Approved"


# --- the soak ---------------------------------------------------------------------------------------------------------

SOAKS = {
    "not served": (Soak(24), "not what its own environment serves"),
    "too short": (Soak(24, True, 23.5, 10), "it has served for 23.5 hours there, and release.soak_hours is 24"),
    "nobody asked": (Soak(24, True, 30, 0), "nobody asked it anything"),
    "an alarm": (Soak(24, True, 30, 10, 3, ("widgets-dev-5xx",)), "alarms of its endpoint ring there: widgets-dev-5xx"),
}


@pytest.mark.parametrize("name", SOAKS)
def test_each_want_of_a_soak_refuses_alone(name: str) -> None:
    found, says = SOAKS[name]
    (refusal,) = found.refusals()
    assert says in refusal.says and refusal.right
    assert release.recorded_identity(str(found)) == str(found)
    assert Soak(24, True, 24, 1).refusals() == [] and Soak(0).refusals() == []


def test_a_soak_is_measured_at_the_endpoint_that_serves_it(factory: Factory, pair: Pair) -> None:
    from cv_factory.operations.promotion import soak
    from deployment import packages

    planted = plant(pair.source, "soaks", approval="Approved")
    names, sagemaker = pair.source.settings.names, pair.source.client("sagemaker")
    target = factory.with_settings(pair.target.settings.env, soak_hours=2)
    with pytest.raises(RefusedError, match="not what its own environment serves"):
        promote(pair, planted.arn, target)
    sagemaker.create_model(
        ModelName="soaking", ExecutionRoleArn=names.role_arn("endpoint"),
        PrimaryContainer={"ModelPackageName": planted.arn},
    )  # fmt: skip
    variant = {"VariantName": "main", "ModelName": "soaking", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="soaking", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=names.endpoint, EndpointConfigName="soaking")
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=names.endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    pair.source.client("cloudwatch").put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {
                "MetricName": "Invocations", "Value": 5, "Timestamp": datetime.now(UTC) + timedelta(minutes=5),
                "Dimensions": [
                    {"Name": "EndpointName", "Value": names.endpoint}, {"Name": "VariantName", "Value": "main"},
                ],
            }
        ],
    )  # fmt: skip
    package = packages.describe(sagemaker, planted.arn)
    assert package is not None
    found = soak.measure(pair.source, package, 2, datetime.now(UTC) + timedelta(hours=3))
    assert found.served and found.hours == pytest.approx(3, abs=0.1) and found.requests == 5 and not found.refusals()
    (early,) = soak.measure(pair.source, package, 2, datetime.now(UTC) + timedelta(hours=1)).refusals()
    assert "it has served for 1.0 hours" in early.says
    cloudwatch, alarm = pair.source.client("cloudwatch"), f"{names.endpoint}-5xx"
    cloudwatch.put_metric_alarm(
        AlarmName=alarm, Namespace="AWS/SageMaker", MetricName="Invocation5XXErrors", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="test")
    (rings,) = soak.measure(pair.source, package, 2, datetime.now(UTC) + timedelta(hours=3)).refusals()
    assert alarm in rings.says
    sagemaker.delete_endpoint(EndpointName=names.endpoint)


# --- where from -------------------------------------------------------------------------------------------------------


def test_a_registry_without_the_layers_refuses_with_the_commands_that_copy_them(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = image(pair.source, "layers")
    planted = plant(pair.source, "layers", approval="Approved", digest=digest)
    ecr = pair.target.client("ecr")

    def no_layers(**_: Any) -> None:
        """As ECR answers; the local registry takes any manifest."""
        raise ecr.exceptions.LayersNotFoundException(
            {"Error": {"Code": "LayersNotFoundException", "Message": "Layers do not exist in the repository"}},
            "PutImage",
        )

    monkeypatch.setattr(ecr, "put_image", no_layers)
    with pytest.raises(RefusedError, match="has no layers of") as caught:
        promote(pair, planted.arn)
    theirs, ours = pair.source.settings.names, pair.target.settings.names
    there = theirs.image(theirs.inference_repository, digest=digest)
    assert f"crane copy {there} {ours.registry}/{ours.inference_repository}:" in caught.value.hint
    assert "docker buildx imagetools create" in caught.value.hint and made_of(pair, planted) == []


def test_packages_that_no_environment_has_and_those_of_a_laptop(factory: Factory, pair: Pair) -> None:
    arn = "arn:aws:sagemaker:eu-west-1:999988887777:model-package/others-dev/1"
    assert promotion.is_elsewhere(pair.target, arn) and not promotion.is_elsewhere(pair.target, "3")
    with pytest.raises(UsageError, match=r"no environment of factory\.yaml has the group others-dev"):
        promotion.find(pair.target, arn)
    local = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/widgets-local/1"
    with pytest.raises(RefusedError, match="environment local is not promoted"):
        promotion.find(pair.target, local)
    own = f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{pair.target.settings.names.package_group}/1"
    assert not promotion.is_elsewhere(pair.target, own)
    with pytest.raises(FactoryError, match="nobody"):
        promotion.find(pair.target, plant(pair.source, "x", approval="Approved").arn, "nobody")


def test_the_command_promotes_an_arn_of_another_environment(
    factory: Factory, pair: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = plant(pair.source, "typed", approval="Approved")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": factory.server.endpoint_url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(factory.folder)
    call: Callable[[list[str]], int] = cli.call
    assert call(["--env", pair.target.settings.env, "approve", planted.arn, "--yes", "--why", "soaked"]) == 0
    out = capsys.readouterr().out
    assert f"Note: from environment {pair.source.settings.env}, account 123456789012; soak: not asked for" in out
    assert f"is approved; promoted from {planted.arn}" in out
