"""Lambda, RegisterModel and Model steps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local_sagemaker.pipelines.harness import (
    BUCKET,
    IMAGE,
    ROLE,
    PipelineSageMaker,
    condition_step,
    equals,
    fail_step,
    get,
    join,
    lambda_step,
)

ANSWERS = """
def handler(event, context):
    if event["want"] == "fail":
        raise ValueError("no such thing")
    return {"text": "hello " + event["name"], "count": 3, "share": 0.5, "ok": True, "list": [1], "long": "x" * 2000}
"""


def test_a_lambda_gets_its_arguments_and_gives_typed_outputs(sagemaker: PipelineSageMaker) -> None:
    arn = sagemaker.function("answers", ANSWERS)
    outputs = {"text": "String", "count": "Integer", "share": "Float", "ok": "Boolean"}
    conditions = [
        equals(get("Steps.Ask.OutputParameters['text']"), "hello you"),
        equals(get("Steps.Ask.OutputParameters['ok']"), True),
        {"Type": "GreaterThan", "LeftValue": get("Steps.Ask.OutputParameters['count']"), "RightValue": 2},
    ]
    steps = [
        lambda_step("Ask", arn, {"want": "", "name": get("Parameters.Name")}, outputs),
        condition_step("If", conditions, [], [fail_step("No", "no")]),
    ]
    sagemaker.create("Asks", steps, [{"Name": "Name", "Type": "String"}])
    execution, described = sagemaker.run("Asks", {"Name": "you"})
    assert described["PipelineExecutionStatus"] == "Succeeded", sagemaker.steps(execution)
    metadata = sagemaker.steps(execution)["Ask"]["Metadata"]["Lambda"]
    assert metadata["Arn"] == arn
    assert metadata["OutputParameters"] == [
        {"Name": "text", "Value": "hello you"}, {"Name": "count", "Value": "3"}, {"Name": "share", "Value": "0.5"},
        {"Name": "ok", "Value": "true"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "outputs", "reason"),
    [
        ({"want": "fail"}, {}, "ClientError: The Lambda function failed. ValueError: no such thing"),
        ({"want": "", "name": ""}, {"other": "String"}, "answer lacks the output parameter other"),
        (
            {"want": "", "name": ""},
            {"text": "Integer"},
            "The output parameter text of the Lambda function is no Integer",
        ),
        ({"want": "", "name": ""}, {"list": "String"}, "is no String: [1]"),
        ({"want": "", "name": ""}, {"long": "String"}, "longer than 1024 characters"),
    ],
)
def test_a_lambda_that_fails(sagemaker: PipelineSageMaker, arguments: Any, outputs: Any, reason: str) -> None:
    arn = sagemaker.function("answers", ANSWERS)
    sagemaker.create("Asks", [lambda_step("Ask", arn, arguments, outputs)])
    execution, described = sagemaker.run("Asks")
    assert described["PipelineExecutionStatus"] == "Failed"
    assert reason in sagemaker.steps(execution)["Ask"]["FailureReason"]


def test_a_lambda_that_is_not_there(sagemaker: PipelineSageMaker) -> None:
    arn = "arn:aws:lambda:ap-southeast-1:123456789012:function:gone"
    sagemaker.create("Asks", [lambda_step("Ask", arn, {}, {})])
    execution, _ = sagemaker.run("Asks")
    assert sagemaker.steps(execution)["Ask"]["FailureReason"] == (
        f"ClientError: Failed to invoke lambda:Invoke. Error Details: Function not found: {arn}"
    )


def test_stop_waits_for_a_running_lambda(sagemaker: PipelineSageMaker, tmp_path: Any) -> None:
    source = f"""
import pathlib, time
def handler(event, context):
    pathlib.Path({str(tmp_path / "on")!r}).touch()
    while not pathlib.Path({str(tmp_path / "go")!r}).exists():
        time.sleep(0.02)
    return {{}}
"""
    sagemaker.create("Waits", [lambda_step("Ask", sagemaker.function("waits", source), {}, {})])
    arn = sagemaker.begin("Waits")
    sagemaker.wait_for_file(tmp_path / "on")
    sagemaker("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=sagemaker.token())
    assert sagemaker.status(arn) == "Stopping"
    (tmp_path / "go").touch()
    assert sagemaker.finish(arn)["PipelineExecutionStatus"] == "Stopped"
    assert sagemaker.statuses(arn) == {"Ask": "Succeeded"}


def _register(name: str, **more: Any) -> dict[str, Any]:
    specification = {
        "Containers": [{"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}],
        "SupportedContentTypes": ["image/png"], "SupportedResponseMIMETypes": ["application/json"],
    }  # fmt: skip
    arguments = {
        "ModelPackageGroupName": "cells", "InferenceSpecification": specification,
        "CustomerMetadataProperties": {"execution": get("Execution.PipelineExecutionId")},
        "ModelApprovalStatus": get("Parameters.Approval"),
    }  # fmt: skip
    return {"Name": name, "Type": "RegisterModel", "Arguments": arguments, **more}


APPROVAL = [{"Name": "Approval", "Type": "String", "DefaultValue": "PendingManualApproval"}]


def test_register_model_makes_a_package_that_later_steps_can_name(sagemaker: PipelineSageMaker) -> None:
    sagemaker("CreateModelPackageGroup", ModelPackageGroupName="cells")
    message = join("made ", get("Steps.Register.ModelPackageArn"), " ", get("Steps.Register.ModelApprovalStatus"))
    sagemaker.create("Registers", [_register("Register"), fail_step("Say", message)], APPROVAL)
    execution, described = sagemaker.run("Registers")
    step = sagemaker.steps(execution)["Register"]
    arn = step["Metadata"]["RegisterModel"]["Arn"]
    assert step["StepStatus"] == "Succeeded"
    assert described["FailureReason"] == f"made {arn} PendingManualApproval"
    package = sagemaker("DescribeModelPackage", ModelPackageName=arn)
    assert package["CustomerMetadataProperties"] == {"execution": execution.rsplit("/", 1)[1]}
    assert ":assumed-role/jobs/" in package["CreatedBy"]["IamIdentity"]["Arn"]


def test_register_model_says_what_the_registry_refuses(sagemaker: PipelineSageMaker) -> None:
    sagemaker("CreateModelPackageGroup", ModelPackageGroupName="cells")
    sagemaker.create("Registers", [_register("Register")], APPROVAL)
    execution, _ = sagemaker.run("Registers", {"Approval": "Maybe"})
    reason = sagemaker.steps(execution)["Register"]["FailureReason"]
    assert reason.startswith(
        "ClientError: Failed to invoke sagemaker:CreateModelPackage. Error Details: 1 validation error"
    )
    assert "'Maybe' at 'modelApprovalStatus'" in reason


def test_a_model_step_creates_a_model(sagemaker: PipelineSageMaker) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": sagemaker.put("model.tar.gz", "x")}
    arguments = {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}
    steps = [
        {"Name": "Create", "Type": "Model", "Arguments": arguments},
        condition_step("If", [equals(get("Steps.Create.PrimaryContainer.Image"), IMAGE)], [], [fail_step("No", "no")]),
    ]
    sagemaker.create("Models", steps)
    execution, described = sagemaker.run("Models")
    assert described["PipelineExecutionStatus"] == "Succeeded", sagemaker.steps(execution)
    arn = sagemaker.steps(execution)["Create"]["Metadata"]["Model"]["Arn"]
    identity = execution.rsplit("/", 1)[1]
    assert f":model/pipelines-{identity}-create-" in arn
