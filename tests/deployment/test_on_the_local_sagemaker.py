"""The deployer's Lambda, called by events only, on a server that executes: approvals become answers."""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from contracts.names import Names
from contracts.s3uri import S3Uri
from contracts.settings import Settings, load
from cv_factory import session as sessions
from cv_factory.operations import local_base
from deployment import guards, ledger, outcome, packages, reject
from deployment.aws import read_settings
from deployment.outcome import Outcome
from deployment.reconcile import reconcile
from local_sagemaker import control
from tests.deployment.checks.factory import IMAGES, SERVER, Calls, Factory, golden, table
from tests.waiting import eventually

#: Model -> what it answers to the first image. ``broken`` does not start.
SHARES = {"first": 0.91, "second": 0.92, "fourth": 0.94, "fifth": 0.95, "sixth": 0.96, "seventh": 0.97, "many": 0.93}

Made = tuple[Settings, Any, Factory]


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("factory")
    (folder / "factory.yaml").write_text(
        'name: widgets\naws: {region: eu-west-1, account_id: "123456789012"}\n'
        "data: {source: ./photos}\nrelease: {strategy: all-at-once, bake_minutes: 0}\n"
        "serving: {max_instances: 3}\n"
    )
    settings = load(folder / "factory.yaml", "local")
    server = control.start(folder / "state", settings.aws.account_id, settings.aws.region)
    try:
        session = sessions.local_session(server.endpoint_url, server.region)
        local_base.ensure(settings, session, f"{server.endpoint_url}/_local")
        (folder / "server.py").write_text(SERVER)
        body = {
            "pattern": f"{settings.names.registry}/{settings.names.inference_repository}@*",
            "entrypoint": [sys.executable, str(folder / "server.py")],
            "environment": {},
            "working_dir": str(folder),
        }
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("PUT", "/_local/images", json.dumps(body))
        assert connection.getresponse().status == 200
        connection.close()
        release = read_settings(session, settings.names.artifacts("release/settings.json"))
        yield settings, session, Factory(settings, session, release, folder, server.port, Calls(session))
    finally:
        control.stop(folder / "state")


def register(made: Factory, who: str, **more: Any) -> str:
    """A package that passes its checks but for what ``more`` says; it waits for its approval."""
    share = SHARES.get(who, 0.9)
    model = {"float32": table(share, 0.2)} if who in SHARES else {}
    expected = {"float32": golden(damaged=(share, 0.2))}
    return made.package(**{"model": model, "expected": expected, "approval": "PendingManualApproval", **more}).arn


def test_approvals_become_answers(factory: Made) -> None:
    settings, session, made = factory
    names: Names = settings.names
    sagemaker, runtime = session.client("sagemaker"), session.client("sagemaker-runtime")

    def answers(who: str) -> bool:
        body = json.dumps({"image": IMAGES[0]}).encode()
        try:
            answer = runtime.invoke_endpoint(EndpointName=names.endpoint, Body=body, ContentType="application/json")
        except runtime.exceptions.ClientError:
            return False
        return bool(json.loads(answer["Body"].read())["probabilities"]["damaged"] == SHARES[who])

    def approve(arn: str) -> None:
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")

    def models() -> int:
        return len(sagemaker.list_models()["Models"])

    def log() -> str:
        events = session.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{names.deployer}")["events"]
        return "\n".join(event["message"] for event in events)

    approve(register(made, "first"))
    eventually(lambda: answers("first"))
    eventually(lambda: not next(ledger.releases(session.client("s3"), made.release)).open)  # its answers were right
    second = register(made, "second")
    approve(second)
    eventually(lambda: answers("second"))
    eventually(lambda: models() == 1)  # the endpoint's event closed the release

    broken = register(made, "broken")
    approve(broken)
    eventually(lambda: '"action": "failed"' in log())
    assert answers("second")
    release = read_settings(session, names.artifacts("release/settings.json"))
    reject(session, release, broken, why="does not start")
    eventually(lambda: models() == 1)
    assert answers("second")

    reject(session, release, second, why="the first was better")
    eventually(lambda: answers("first"))
    told = list(ledger.releases(session.client("s3"), release))
    assert [(each.facts["version"], each.state) for each in told][1:] == [
        (3, "failed"), (2, "succeeded"), (1, "succeeded"),
    ]  # fmt: skip
    assert told[0].facts["version"] == 1


def test_the_number_of_instances_survives_a_roll_out(factory: Made) -> None:
    """The fleet was scaled to two; the update of the deployer's Lambda keeps that, and all else of the variant."""
    settings, session, made = factory
    names, sagemaker = settings.names, session.client("sagemaker")

    def steady() -> bool:
        done = sagemaker.describe_endpoint(EndpointName=names.endpoint)["EndpointStatus"] == "InService"
        return bool(done and len(sagemaker.list_endpoint_configs()["EndpointConfigs"]) == 1)

    def variant() -> dict[str, Any]:
        (found,) = sagemaker.describe_endpoint(EndpointName=names.endpoint)["ProductionVariants"]
        return {key: value for key, value in found.items() if key not in ("DeployedImages", "VariantStatus")}

    def scaled() -> Any:
        client = session.client("application-autoscaling")
        targets = client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        return targets, client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]

    approve = {"ModelApprovalStatus": "Approved"}
    sagemaker.update_model_package(ModelPackageArn=register(made, "fourth"), **approve)
    eventually(lambda: scaled()[1] and steady())
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=names.endpoint,
        DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredInstanceCount": 2}],
    )
    eventually(steady)
    before, registered = variant(), scaled()
    assert before["CurrentInstanceCount"] == 2
    serves = sagemaker.describe_endpoint(EndpointName=names.endpoint)["EndpointConfigName"]
    sagemaker.update_model_package(ModelPackageArn=register(made, "fifth"), **approve)
    eventually(
        lambda: steady() and sagemaker.describe_endpoint(EndpointName=names.endpoint)["EndpointConfigName"] != serves
    )
    assert variant() == before, "field by field"
    assert scaled() == registered


def test_of_many_at_once_one_acts(factory: Made) -> None:
    """The registry's event and four people at the same time: one release, and it ends well."""
    settings, session, made = factory
    names, sagemaker = settings.names, session.client("sagemaker")
    release = read_settings(session, names.artifacts("release/settings.json"))
    arn = register(made, "many")
    people = [sessions.local_session(session.client("s3").meta.endpoint_url, session.region_name) for _ in range(4)]
    ready = threading.Barrier(len(people) + 1)

    def act(person: Any) -> Outcome:
        ready.wait()
        return reconcile(person, release)

    with ThreadPoolExecutor(len(people)) as pool:
        acts = [pool.submit(act, person) for person in people]
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
        ready.wait()
        found = {each.result().action for each in acts}
    assert found <= {outcome.UPDATED, outcome.WAITING, outcome.SERVING}

    def told() -> list[str]:
        mine = [each for each in ledger.releases(session.client("s3"), release) if each.facts["package_arn"] == arn]
        return [each.state for each in mine]

    eventually(lambda: ledger.SUCCEEDED in told())
    assert told() == [ledger.SUCCEEDED]


def test_an_alarm_rolls_an_update_back(factory: Made) -> None:
    """An alarm of the deployer's own, in ALARM while the update moves its traffic."""
    settings, session, made = factory
    names, sagemaker = settings.names, session.client("sagemaker")
    release = read_settings(session, names.artifacts("release/settings.json"))
    alarm = guards.alarm_name(release, "errors_5xx")
    cloudwatch = session.client("cloudwatch")
    eventually(lambda: cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"])
    serves = sagemaker.describe_endpoint(EndpointName=names.endpoint)["EndpointConfigName"]
    arn = register(made, "sixth")
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="9 answers with 5xx")
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")

    def failed() -> bool:
        told = next(ledger.releases(session.client("s3"), release))
        return told.state == "failed" and told.facts["package_arn"] == arn

    eventually(failed)
    told = next(ledger.releases(session.client("s3"), release))
    assert alarm in told.reason
    assert sagemaker.describe_endpoint(EndpointName=names.endpoint)["EndpointConfigName"] == serves
    assert alarm in {each["name"] for each in told.alarms}
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="no answers with 5xx")
    reject(session, release, arn, why="answers with 5xx")


@pytest.mark.parametrize("what", ["a replaced bundle", "an unsigned image"])
def test_what_nobody_vouches_for_is_refused(factory: Made, what: str) -> None:
    settings, session, made = factory
    sagemaker, s3 = session.client("sagemaker"), session.client("s3")
    before = sagemaker.describe_endpoint(EndpointName=settings.names.endpoint)
    if what == "an unsigned image":
        unsigned = made.push("inference", made.source_hash(), signed=False)
        arn, finding = register(made, "seventh", inference=unsigned), "inference.signature: there is no s3://"
    else:
        arn, finding = register(made, "seventh"), "bundle.hash: "
        found = packages.describe(sagemaker, arn)
        assert found is not None
        _, other = made.archive(found.dataset_hash, found.source_hash)
        place = S3Uri.parse(found.model_uri)
        made.put(place.bucket, place.key, other)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")

    def told() -> ledger.Release | None:
        ended = (each for each in ledger.releases(s3, made.release) if not each.open)
        return next((each for each in ended if each.facts["package_arn"] == arn), None)

    refused = eventually(told)
    assert refused.state == "refused" and finding in refused.reason
    after = sagemaker.describe_endpoint(EndpointName=settings.names.endpoint)
    changing = ("EndpointConfigName", "EndpointStatus", "LastModifiedTime")
    assert [after[each] for each in changing] == [before[each] for each in changing]
    reject(session, made.release, arn, why=what)


def test_wrong_answers_are_rolled_back(factory: Made) -> None:
    """The model that is served does not answer as the one that was exported did."""
    settings, session, made = factory
    names, sagemaker, s3 = settings.names, session.client("sagemaker"), session.client("s3")
    serves = eventually(lambda: _steady(sagemaker, names))
    arn = register(made, "seventh", expected={"float32": golden(damaged=(0.5 + 0.2, 0.2))})
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")

    def rejected() -> packages.Package | None:
        found = packages.describe(sagemaker, arn)
        return found if found is not None and found.approval == "Rejected" else None

    reason = eventually(rejected).reason
    assert reason.startswith("its answers were wrong: golden[1]: ")
    assert "expected damaged {damaged: 0.7000, sound: 0.3000}, got damaged {damaged: 0.9700" in reason
    assert "tolerance 0.002" in reason
    eventually(lambda: _steady(sagemaker, names) == serves)
    eventually(lambda: not next(ledger.releases(s3, made.release)).open)
    back, failed = list(ledger.releases(s3, made.release, 2))
    assert (failed.facts["package_arn"], failed.state, failed.golden["state"]) == (arn, "failed", "failed")
    assert back.facts["package_arn"] != arn and (back.state, back.golden["state"]) == ("succeeded", "ok")


def _steady(sagemaker: Any, names: Names) -> str:
    """The configuration that is served; empty while the endpoint is changing."""
    now = sagemaker.describe_endpoint(EndpointName=names.endpoint)
    return str(now["EndpointConfigName"]) if now["EndpointStatus"] == "InService" else ""
