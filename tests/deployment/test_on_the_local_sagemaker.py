"""The deployer's Lambda, called by events only, on a server that executes: approvals become answers."""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contracts import archives
from contracts.names import Names
from contracts.settings import Settings, load
from cv_factory import session as sessions
from cv_factory.operations import local_base
from deployment import guards, ledger, outcome, reject
from deployment.aws import read_settings
from deployment.outcome import Outcome
from deployment.reconcile import reconcile
from local_sagemaker import control

SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
who = (base / "model" / "who.txt").read_text()
assert who != "broken"

class Handler(BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.dumps({"who": who, "pixels": os.environ["CVF_MAX_PIXELS"]}).encode())
    def log_message(self, *_):
        pass

HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Any, Path]]:
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
        yield settings, session, folder
    finally:
        control.stop(folder / "state")


def register(settings: Settings, session: Any, folder: Path, who: str) -> str:
    names = settings.names
    (folder / "who.txt").write_text(who)
    archive = folder / "model.tar.gz"
    with archive.open("wb") as file:
        archives.pack(file, {"who.txt": folder / "who.txt"})
    bundle = (who * 64)[:64].encode().hex()[:64]
    key = f"packages/{bundle}/model.tar.gz"
    session.client("s3").upload_file(str(archive), names.artifact_bucket, key)
    image = names.image(names.inference_repository, digest="sha256:" + "1" * 64)
    answer = session.client("sagemaker").create_model_package(
        ModelPackageGroupName=names.package_group,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [{"Image": image, "ModelDataUrl": f"s3://{names.artifact_bucket}/{key}"}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        CustomerMetadataProperties={"bundle_hash": bundle},
    )
    return str(answer["ModelPackageArn"])


def eventually(found: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true answer of ``found``; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.1)
    return value


def test_approvals_become_answers(factory: tuple[Settings, Any, Path]) -> None:
    settings, session, folder = factory
    names: Names = settings.names
    sagemaker, runtime = session.client("sagemaker"), session.client("sagemaker-runtime")

    def answers(who: str) -> bool:
        try:
            answer = runtime.invoke_endpoint(EndpointName=names.endpoint, Body=b"{}", ContentType="application/json")
        except runtime.exceptions.ClientError:
            return False
        return bool(json.loads(answer["Body"].read()) == {"who": who, "pixels": str(settings.serving.max_pixels)})

    def approve(arn: str) -> None:
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")

    def models() -> int:
        return len(sagemaker.list_models()["Models"])

    def log() -> str:
        events = session.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{names.deployer}")["events"]
        return "\n".join(event["message"] for event in events)

    approve(register(settings, session, folder, "first"))
    eventually(lambda: answers("first"))
    second = register(settings, session, folder, "second")
    approve(second)
    eventually(lambda: answers("second"))
    eventually(lambda: models() == 1)  # the endpoint's event closed the release

    broken = register(settings, session, folder, "broken")
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


def test_the_number_of_instances_survives_a_roll_out(factory: tuple[Settings, Any, Path]) -> None:
    """The fleet was scaled to two; the update of the deployer's Lambda keeps that, and all else of the variant."""
    settings, session, folder = factory
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
    sagemaker.update_model_package(ModelPackageArn=register(settings, session, folder, "fourth"), **approve)
    eventually(lambda: scaled()[1] and steady())
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=names.endpoint,
        DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredInstanceCount": 2}],
    )
    eventually(steady)
    before, registered = variant(), scaled()
    assert before["CurrentInstanceCount"] == 2
    serves = sagemaker.describe_endpoint(EndpointName=names.endpoint)["EndpointConfigName"]
    sagemaker.update_model_package(ModelPackageArn=register(settings, session, folder, "fifth"), **approve)
    eventually(
        lambda: steady() and sagemaker.describe_endpoint(EndpointName=names.endpoint)["EndpointConfigName"] != serves
    )
    assert variant() == before, "field by field"
    assert scaled() == registered


def test_of_many_at_once_one_acts(factory: tuple[Settings, Any, Path]) -> None:
    """The registry's event and four people at the same time: one release, and it ends well."""
    settings, session, folder = factory
    names, sagemaker = settings.names, session.client("sagemaker")
    release = read_settings(session, names.artifacts("release/settings.json"))
    arn = register(settings, session, folder, "many")
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


def test_an_alarm_rolls_an_update_back(factory: tuple[Settings, Any, Path]) -> None:
    """An alarm of the deployer's own, in ALARM while the update moves its traffic."""
    settings, session, folder = factory
    names, sagemaker = settings.names, session.client("sagemaker")
    release = read_settings(session, names.artifacts("release/settings.json"))
    alarm = guards.alarm_name(release, "errors_5xx")
    cloudwatch = session.client("cloudwatch")
    eventually(lambda: cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"])
    serves = sagemaker.describe_endpoint(EndpointName=names.endpoint)["EndpointConfigName"]
    arn = register(settings, session, folder, "sixth")
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
