"""``cleanup`` on the local SageMaker: what it takes away and leaves, killed after any call, and a whole endpoint."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.errors import FactoryError
from contracts.names import DOWN_KEY
from cv_factory import session as sessions
from cv_factory.operations import cleanup
from cv_factory.session import Target
from deployment import aws
from tests.cv_factory.planting import Factory, image, plant
from tests.waiting import eventually

#: Long after everything in these tests was made.
LATER = datetime.now(UTC) + timedelta(days=100)
_NUMBERS = itertools.count()


class Killed(BaseException):
    """The process ended right after a call."""


@pytest.fixture
def target(factory: Factory) -> Target:
    env = f"c{next(_NUMBERS)}"
    file = factory.folder / "factory.yaml"
    file.write_text(file.read_text(encoding="utf-8") + f"  {env}: {{release: {{keep: 1}}}}\n", encoding="utf-8")
    made = factory.target(env)
    # A laptop's deployer would bring back what these tests take away by hand.
    for rule in (made.settings.names.registry_rule, made.settings.names.endpoint_rule, made.settings.names.sweep_rule):
        made.client("events").disable_rule(Name=rule)
    return made


def litter(target: Target) -> set[str]:
    """Things that nothing uses; their names."""
    names, sagemaker, s3 = target.settings.names, target.client("sagemaker"), target.client("s3")
    model = f"{names.prefix}-{'0' * 20}"
    where = names.image(names.inference_repository, digest="sha256:" + "1" * 64)
    sagemaker.create_model(
        ModelName=model, ExecutionRoleArn=names.role_arn("endpoint"), PrimaryContainer={"Image": where}
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName=model,
        ProductionVariants=[
            {"VariantName": "main", "ModelName": model, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
        ],
    )
    for key in ("runs/exec/train/model.tar.gz", "runs/exec/evaluate/report.html", f"packages/{'a' * 64}/model.tar.gz"):
        s3.put_object(Bucket=names.artifact_bucket, Key=key, Body=b"x" * 1000)
    digest = image(target, "old")
    target.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{names.endpoint}-5xx", Namespace="AWS/SageMaker", MetricName="Invocation5XXErrors", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
        Dimensions=[{"Name": "EndpointName", "Value": names.endpoint}],
    )  # fmt: skip
    return {
        f"{names.endpoint}-5xx", model, "runs/exec/", f"packages/{'a' * 64}/", f"{names.inference_repository}@{digest}",
    }  # fmt: skip


def planned(target: Target, **options: Any) -> set[str]:
    return {each.thing.name for each in cleanup.plan(target, now=LATER, **options).removals}


def test_what_nothing_uses_goes_and_what_is_named_stays(target: Target) -> None:
    names, s3 = target.settings.names, target.client("s3")
    approved = plant(target, "approved", approval="Approved", digest=image(target, "approved"))
    waits = plant(target, "waits", digest=image(target, "waits"))
    rejected = plant(target, "rejected", approval="Rejected", digest=image(target, "rejected"))
    was_good = plant(target, "was-good", approval="Rejected", digest=image(target, "was-good"))
    aws.write_json(s3, names.artifacts("release/ledger/1/0-opened.json"), {"package_arn": was_good.arn})
    aws.write_json(s3, names.artifacts("release/ledger/1/2-succeeded.json"), {"state": "succeeded"})
    target.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{names.deployer}-errors", Namespace="AWS/Lambda", MetricName="Errors", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
    )  # fmt: skip
    gone = litter(target)
    time.sleep(1.1)  # the registry counts whole seconds
    image(target, "newest")  # so that the litter's image is not the newest
    plan = cleanup.plan(target, now=LATER)
    rejected_image = f"{names.inference_repository}@{digest_of(target, rejected.arn)}"
    gone |= {rejected.prefix, rejected_image}
    base_images = {each.thing.name for each in plan.removals if each.thing.kind == "image"} - gone
    assert {each.thing.name for each in plan.removals} == gone | base_images
    stays = {each.thing.name for each in plan.stays}
    assert {approved.prefix, waits.prefix, was_good.prefix} <= stays
    for arn in (approved.arn, waits.arn, was_good.arn):
        assert f"{names.inference_repository}@{digest_of(target, arn)}" in stays
    assert plan.size > 0 and plan.usd_month >= 0.1

    said: list[str] = []
    done = cleanup.clean(target, plan, said.append, now=LATER)
    assert {each.thing.name for each in done.removed} == {each.thing.name for each in plan.removals}
    assert not done.failed and not done.spared and len(said) == len(done.removed)
    assert planned(target) == set()
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=names.artifact_bucket)["Contents"]]
    assert f"{approved.prefix}model.tar.gz" in keys and not [key for key in keys if key.startswith("runs/")]
    alarms = target.client("cloudwatch").describe_alarms(AlarmNamePrefix=names.prefix)["MetricAlarms"]
    assert [each["AlarmName"] for each in alarms] == [f"{names.deployer}-errors"], "Terraform's alarms stay"
    image(target, "again")
    assert cleanup.clean(target, plan, said.append, now=LATER).removed == (), "a second call finds nothing"


def digest_of(target: Target, arn: str) -> str:
    about = target.client("sagemaker").describe_model_package(ModelPackageName=arn)
    return str(about["InferenceSpecification"]["Containers"][0]["Image"].rpartition("@")[2])


def test_an_approval_between_the_plan_and_the_yes_spares_its_artefacts(target: Target) -> None:
    planted = plant(target, "one", approval="Rejected")
    plan = cleanup.plan(target, now=LATER)
    assert planted.prefix in {each.thing.name for each in plan.removals}
    target.client("sagemaker").update_model_package(ModelPackageArn=planted.arn, ModelApprovalStatus="Approved")
    done = cleanup.clean(target, plan, lambda _: None, now=LATER)
    assert planted.prefix in {each.thing.name for each in done.spared}
    assert target.client("s3").list_objects_v2(
        Bucket=target.settings.names.artifact_bucket, Prefix=planted.prefix
    )["KeyCount"] == 7  # fmt: skip


def mortal(target: Target) -> tuple[Target, Callable[[int], None], Callable[[], int]]:
    """The same target with a session that ends the process after its n-th call that changes something; their count.

    A process that ends after a call that only looks leaves what the call before it left.
    """
    session = sessions.local_session(target.endpoint, target.settings.aws.region)
    state = {"calls": 0, "kill": 0}

    def happened(model: Any, **_: Any) -> None:
        if model.name.startswith(("Describe", "List", "Get", "Head")):
            return
        state["calls"] += 1
        if state["kill"] and state["calls"] >= state["kill"]:
            raise Killed

    session.events.register("after-call", happened)

    def kill_after(number: int) -> None:
        state.update(calls=0, kill=number)

    return Target(target.settings, target.file, target.endpoint, session), kill_after, lambda: state["calls"]


def test_killed_after_any_call_the_same_command_finishes_it(target: Target) -> None:
    dying, kill_after, _ = mortal(target)
    keep = plant(target, "keep", approval="Approved")
    number, killed = 0, True
    while killed:
        number += 1
        names = litter(target)
        image(target, f"newest {number}")
        plan = cleanup.plan(target, now=LATER)
        pushed = {name for name in names if "@" in name}  # in one second with the newest, which stays
        assert names - pushed <= {each.thing.name for each in plan.removals}
        kill_after(number)
        killed = False
        try:
            cleanup.clean(dying, plan, lambda _: None, now=LATER)
        except Killed:
            killed = True
        again = cleanup.plan(target, now=LATER)
        assert not cleanup.clean(target, again, lambda _: None, now=LATER).failed
        assert planned(target) == set()
    assert number >= 7, "alarm, configuration, model, two prefixes, an image at least; and one without an end"
    kept = target.client("s3").list_objects_v2(Bucket=target.settings.names.artifact_bucket, Prefix=keep.prefix)
    assert kept["KeyCount"] == 7


def up(target: Target, **tags: str) -> None:
    """An endpoint as the deployer makes it, in service."""
    names, sagemaker = target.settings.names, target.client("sagemaker")
    name = f"{names.prefix}-{'b' * 20}"
    planted = plant(target, "served", approval="Approved")
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=names.role_arn("endpoint"),
        PrimaryContainer={"ModelPackageName": planted.arn},
    )  # fmt: skip
    variant = {"VariantName": "main", "ModelName": name, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(
        EndpointName=names.endpoint, EndpointConfigName=name,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )  # fmt: skip
    eventually(lambda: status(target) == "InService")


def status(target: Target) -> str:
    sagemaker = target.client("sagemaker")
    try:
        return str(sagemaker.describe_endpoint(EndpointName=target.settings.names.endpoint)["EndpointStatus"])
    except sagemaker.exceptions.ClientError:
        return ""


def test_all_takes_the_endpoint_down_for_good_and_verify_proves_it(target: Target) -> None:
    up(target)
    found = cleanup.verify(target)
    assert [each.what for each in found.left] == ["endpoints"]
    assert found.left[0].usd_month == pytest.approx(0.23 * 730)
    assert {each.service for each in found.asked} >= {
        "SageMaker", "Application Auto Scaling", "CloudWatch", "S3", "ECR",
    }  # fmt: skip
    assert target.settings.names.endpoint not in planned(target)
    plan = cleanup.plan(target, everything=True, now=LATER)
    done = cleanup.clean(target, plan, lambda _: None, everything=True, now=LATER)
    assert not done.failed and status(target) == ""
    down = aws.read_json(target.client("s3"), target.settings.names.artifacts(DOWN_KEY))
    assert down["why"] == "cleanup: --all" and down["package_arn"].endswith("/1")
    assert cleanup.verify(target).left == ()
    events = target.client("events")
    events.enable_rule(Name=target.settings.names.registry_rule)
    answer = target.client("lambda").invoke(
        FunctionName=target.settings.names.deployer, Payload=b'{"action": "sweep"}'
    )["Payload"].read()  # fmt: skip
    assert b"was taken down (cleanup: --all" in answer and status(target) == ""


def test_all_killed_after_any_call_is_finished_by_calling_it_again(target: Target) -> None:
    dying, kill_after, _ = mortal(target)
    number, killed = 0, True
    while killed:
        number += 1
        up(target)
        plan = cleanup.plan(target, everything=True, now=LATER)
        kill_after(number)
        killed = False
        try:
            cleanup.clean(dying, plan, lambda _: None, everything=True, now=LATER)
        except Killed:
            killed = True
        again = cleanup.plan(target, everything=True, now=LATER)
        assert not cleanup.clean(target, again, lambda _: None, everything=True, now=LATER).failed
        assert cleanup.verify(target).left == () and status(target) == ""
        assert not cleanup.plan(target, everything=True, now=LATER).removals
    assert number == 5, "four calls: the mark, the endpoint, its configuration, its model; and one without an end"


def test_an_endpoint_that_expired_goes_and_one_without_the_tag_stays(target: Target) -> None:
    up(target, ExpireHours="8")
    names = target.settings.names
    soon = datetime.now(UTC) + timedelta(hours=7)
    assert names.endpoint not in {each.thing.name for each in cleanup.plan(target, now=soon).removals}
    late = datetime.now(UTC) + timedelta(hours=9)
    plan = cleanup.plan(target, now=late)
    assert [each.thing.kind for each in plan.removals] == ["endpoint", "endpoint config", "model"]
    cleanup.clean(target, plan, lambda _: None, now=late)
    assert status(target) == "" and cleanup.verify(target).left == ()


def test_one_failure_does_not_stop_the_rest_and_spares_what_it_uses(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = litter(target)
    plan = cleanup.plan(target, now=LATER)
    from cv_factory.operations.cleanup import removal, things

    def refuse(*_: Any) -> None:
        raise FactoryError("these credentials may not")

    monkeypatch.setitem(removal._REMOVERS, things.CONFIG, refuse)
    done = cleanup.clean(target, plan, lambda _: None, now=LATER)
    ((failed, why),) = done.failed
    assert failed.thing.kind == "endpoint config" and why == "these credentials may not"
    assert [each.thing.kind for each in done.spared] == ["model"], "a configuration that stays needs its model"
    removed = {each.thing.name for each in done.removed}
    assert removed >= {name for name in names if "@" not in name} - {failed.thing.name}


def test_without_a_base_there_is_nothing_and_verify_says_so(factory: Factory) -> None:
    made = factory.target("dev")
    settings = made.settings.model_copy(update={"env": "nowhere"})
    nowhere = Target(settings, made.file, made.endpoint, made.session)
    plan = cleanup.plan(nowhere, everything=True, now=LATER)
    assert plan.removals == () and plan.stays == ()
    assert cleanup.verify(nowhere).left == ()
