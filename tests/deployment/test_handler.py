"""The Lambda's handler: steps and events, told apart; and the zip that it runs from."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from contracts import release
from contracts.errors import ContractError, UsageError
from contracts.names import SETTINGS_KEY
from deployment import deploy, handler, package, read_settings
from deployment.aws import write_json
from tests.deployment.plane import count_predictions

EVENTS = Path(__file__).with_name("events")
CONTEXT = SimpleNamespace(aws_request_id="request-1")


@pytest.fixture
def base(session: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings object and the variable that names it."""
    uri = settings.names.artifacts(SETTINGS_KEY)
    write_json(session.client("s3"), uri, settings.to_json())
    monkeypatch.setenv(release.SETTINGS_VARIABLE, str(uri))
    monkeypatch.setattr(handler, "_session", lambda: session)
    return uri


def act(event: dict[str, Any]) -> dict[str, Any]:
    answer = handler.handler(event, CONTEXT)
    assert json.loads(json.dumps(answer)) == answer
    return answer


@pytest.mark.parametrize("name", ["registry", "endpoint", "deployment"])
def test_an_event_is_only_a_reason_to_look(base: Any, plane: Any, name: str) -> None:
    event = json.loads((EVENTS / f"{name}.json").read_text())
    plane.register()  # the event says Approved; the registry does not
    assert act(event)["action"] == "none"
    plane.set(next(iter(plane.packages)), "Approved")
    assert act(event)["action"] == "created"
    assert act(event)["action"] == "waiting"


def test_the_sweep_closes_a_release(base: Any, plane: Any) -> None:
    plane.register(approval="Approved")
    assert act({"action": "sweep"})["action"] == "created"
    plane.settle()
    assert act({"action": "sweep"})["action"] == "serving"


def test_the_step_deploy_approves_and_starts(base: Any, plane: Any) -> None:
    arn = plane.register()
    event = {"action": "deploy", "package_arn": arn, "reason": "the gate says so", "execution_id": "e1"}
    answer = act(event)
    assert (answer["action"], answer["approval"]) == ("created", "Approved")
    assert plane.packages[arn]["ApprovalDescription"] == "the gate says so"
    assert act(event)["action"] == "waiting"  # a retried step


def test_the_steps_champion_and_publish(base: Any, session: Any, settings: Any, plane: Any) -> None:
    assert act({"action": "champion"})["package_arn"] == ""
    arn = plane.register()
    write_json(session.client("s3"), settings.names.artifacts("card.json"), {})
    uri = str(settings.names.artifacts("card.json"))
    assert act({"action": "publish", "package_arn": arn, "model_card_uri": uri}) == {"package_arn": arn}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"action": "destroy"}, "'destroy' is no action of the deployer"),
        ({"detail-type": "Scheduled Event"}, "detail-type is 'Scheduled Event'"),
        ({}, "the event has no action"),
        ({"action": "publish", "package_arn": "a"}, "needs the text 'model_card_uri', not None"),
        ({"action": "keep", "execution_id": 3}, "needs the text 'execution_id', not 3"),
    ],
)
def test_an_event_that_is_none_of_ours_is_refused_and_logged(
    base: Any, event: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=message):
        handler.handler(event, CONTEXT)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["level"], last["request_id"]) == ("failed", "ERROR", "request-1")
    assert (last["action"], last["detail_type"]) == (event.get("action", ""), event.get("detail-type", ""))
    assert message in last["error"]


def test_every_line_of_the_log_is_json_and_names_the_request(
    base: Any, plane: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    plane.register(approval="Approved")
    act({"action": "sweep"})
    with pytest.raises(UsageError):
        handler.handler({"action": "keep"}, CONTEXT)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["request_id"] for line in lines} == {"request-1"}
    assert [line["event"] for line in lines] == ["received", *["acted"] * 5, "reconciled", "received", "failed"]
    assert lines[-1]["level"] == "ERROR" and "UsageError: the action keep" in lines[-1]["error"]


def test_without_its_base_it_says_what_to_apply(base: Any, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session.client("s3").delete_object(Bucket=base.bucket, Key=base.key)
    with pytest.raises(ContractError, match=r"settings\.json is missing\nThe base has not been applied"):
        act({"action": "sweep"})
    monkeypatch.delenv(release.SETTINGS_VARIABLE)
    with pytest.raises(ContractError, match="CVF_SETTINGS_URI is not set"):
        act({"action": "sweep"})


def test_settings_of_another_version_are_refused(base: Any, session: Any, settings: Any) -> None:
    write_json(session.client("s3"), base, {**settings.to_json(), "colour": "red"})
    with pytest.raises(ContractError, match="differ in: colour"):
        read_settings(session, base)


def test_every_call_is_valid_and_there_are_few(base: Any, plane: Any, calls: Any) -> None:
    plane.register("a" * 64, "Approved")
    act({"action": "sweep"})
    plane.settle()
    act({"action": "sweep"})
    plane.register("b" * 64, "Approved")
    act({"action": "sweep"})
    plane.settle()
    act({"action": "sweep"})
    found = botocore.session.get_session()
    services = {name: found.get_service_model(name) for name in set(calls.services.values())}
    for name, request in calls.made:
        service = services[calls.services[name]]
        report = ParamValidator().validate(request, service.operation_model(name).input_shape)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"
    calls.made.clear()
    act({"action": "sweep"})
    assert calls.names == [
        "GetObject",  # settings
        "GetObject",  # whether it was taken down
        "GetObject",  # pin
        "ListModelPackages",
        "DescribeModelPackage",
        "DescribeEndpoint",
        "GetObject",  # the open release
        "ListEndpointConfigs",
        "ListModels",
        "DescribeLogGroups",
        "DescribeMetricFilters",
        "DescribeAlarms",
        "DescribeScalableTargets",
        "ListModelPackages",  # who waits
    ]


#: What a call needs beside the action of its own name.
NEEDS = {
    "HeadObject": {"s3:GetObject"},
    "CopyObject": {"s3:GetObject", "s3:PutObject"},
    "ListObjectsV2": {"s3:ListBucket"},
    "CreateModel": {"sagemaker:CreateModel", "sagemaker:AddTags", "iam:PassRole"},
    "CreateEndpointConfig": {"sagemaker:CreateEndpointConfig", "sagemaker:AddTags"},
    "Publish": {"sns:Publish"},
    "CreateEndpoint": {"sagemaker:CreateEndpoint", "sagemaker:AddTags"},
    "CreateLogGroup": {"logs:CreateLogGroup", "logs:TagResource"},
    "PutMetricAlarm": {"cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"},
    # Application Auto Scaling User Guide, "Permissions validation for API calls on target resources".
    "RegisterScalableTarget": {
        "application-autoscaling:RegisterScalableTarget", "application-autoscaling:TagResource",
        "iam:CreateServiceLinkedRole", "sagemaker:DescribeEndpointConfig",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
    },
    "PutMetricData": set(),  # this test, in the place of the server's lines
}  # fmt: skip
#: What AWS does on the function's behalf, and what its checks of signatures will need.
WITHOUT_A_CALL = {"kms", "sqs"}
#: The function's own lines.
OWN_LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}
#: What only the checks need; tests/deployment/checks/test_permissions.py takes each away.
OF_THE_CHECKS = {
    "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:DescribeImageScanFindings", "sagemaker:InvokeEndpoint",
}  # fmt: skip


def test_the_role_allows_what_is_called_and_nothing_else(
    base: Any, session: Any, settings: Any, plane: Any, calls: Any
) -> None:
    """Every path once: approve, create, fail, remove, update, clean up, keep, publish, champion; guards and scaling."""
    guarded = dataclasses.replace(settings, guards={"errors_5xx": 5, "label_shift": 0.3}, max_instances=4)
    write_json(session.client("s3"), base, guarded.to_json())
    bucket, s3 = settings.names.artifact_bucket, session.client("s3")
    facts = {"bundle_hash": "b" * 64, "dataset_hash": "d", "source_hash": "s", "protocol": "p"}
    body = json.dumps({**facts, "serving": {"precision": "float32"}}).encode()
    for name in ("evaluation.json", "report.html", "predictions.parquet", "model_card.json", "model", "manifest.json"):
        s3.put_object(Bucket=bucket, Key=f"runs/e/{name}", Body=body)
    first = plane.register("a" * 64)
    count_predictions(session, settings, {"whole": 1})
    calls.made.clear()
    act({"action": "deploy", "package_arn": first, "reason": "r", "execution_id": "e"})
    plane.settle(ok=False)
    plane.register("c" * 64, "Approved")
    act({"action": "sweep"})
    plane.settle()
    act({"action": "sweep"})
    plane.settle()
    plane.register("d" * 64, "Approved")
    act({"action": "sweep"})
    plane.settle()
    act({"action": "sweep"})
    write_json(session.client("s3"), base, settings.to_json())  # guards and scaling are turned off
    act({"action": "sweep"})
    deploy(session, settings, "3", "a pin")
    deploy(session, settings)
    uri = f"s3://{bucket}/runs/e"
    uris = {"model_uri": f"{uri}/model", "evaluation_uri": uri, "dataset_uri": uri, "started_by": "ann"}
    plane.register("e" * 64)
    act({"action": "sweep"})
    card = act({"action": "keep", "execution_id": "e", **uris})["model_card_uri"]
    act({"action": "publish", "package_arn": first, "model_card_uri": card})
    act({"action": "champion"})

    needed: set[str] = set()
    for name in calls.names:
        service = calls.services[name]
        needed |= NEEDS.get(name, {f"{service}:{name}"})
    policy = json.loads((Path(package.__file__).parent.parent / "terraform/policies/deployer.json").read_text())
    allowed: set[str] = set()
    for statement in policy["Statement"]:
        allowed |= {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])
    assert needed <= allowed
    unused = {action for action in allowed - needed - OF_THE_CHECKS if action.partition(":")[0] not in WITHOUT_A_CALL}
    assert unused == OWN_LOG


# --- the zip ----------------------------------------------------------------------------------------------------------


def test_the_zip_is_small_and_always_the_same() -> None:
    data = package.build_zip()
    assert data == package.build_zip() and len(data) < 1_000_000
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert names == sorted(names)
    assert {"deployment/handler.py", "contracts/release.py", "contracts/__init__.py"} <= set(names)
    late = {"deployment/acting.py", "deployment/keep.py", "deployment/checks/staging.py"}  # imported when they are due
    assert late <= set(names)
    assert not {name for name in names if "settings" in name or name.endswith((".yaml", ".pyc"))}


def test_the_zip_does_not_depend_on_file_times(tmp_path: Path) -> None:
    root = Path(package.__file__).parent.parent
    for room in ("deployment", "contracts"):
        (tmp_path / room).mkdir()
        for file in sorted((root / room).rglob("*.py"), reverse=True):
            target = tmp_path / file.relative_to(root)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(file.read_bytes())
    assert package.build_zip(tmp_path) == package.build_zip()


def test_the_handler_runs_from_the_zip_alone(tmp_path: Path) -> None:
    target = tmp_path / "deployer.zip"
    assert package.main([str(target)]) == 0
    before = target.stat().st_mtime_ns
    assert package.main([str(target)]) == 0
    assert target.stat().st_mtime_ns == before  # nothing changed, nothing written
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r}); import boto3; import deployment.handler as h\n"
        f"assert h.__file__.startswith({str(target)!r}), h.__file__\n"
        "found = {'pydantic', 'yaml', 'contracts.settings', 'torch', 'numpy'} & set(sys.modules)\n"
        "assert not found, found\n"
        "late = {'deployment.checks', 'deployment.executor', 'deployment.keep', 'tarfile'} & set(sys.modules)\n"
        "assert not late, f'a sweep that only looks loads {late}'\n"
        "one, other = (h._session().client('s3') for _ in range(2))\n"
        "assert one is other\n"
        "try: h.handler({'action': 'nothing'}, None)\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.splitlines()[-1] == "UsageError"
