"""Executions: order, data between steps, conditions, ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.pipelines import events
from tests.local_sagemaker.jobs.harness import channel, s3_input, s3_output
from tests.local_sagemaker.pipelines.harness import (
    ACCOUNT,
    BUCKET,
    REGION,
    PipelineSageMaker,
    condition_step,
    equals,
    fail_step,
    get,
    join,
    json_get,
    run_step,
    train_step,
)

OUT = "/opt/ml/processing/output/out"
EXECUTION_ID = get("Execution.PipelineExecutionId")


def writes(name: str, script: str, **more: Any) -> dict[str, Any]:
    """A step with the output ``out`` below ``runs/<execution>/<name>`` and the property file F, result.json."""
    uri = join(f"s3://{BUCKET}/runs", EXECUTION_ID, name, on="/")
    arguments = {"ProcessingOutputConfig": {"Outputs": [s3_output("out", uri)]}, **more.pop("Arguments", {})}  # type: ignore[arg-type]
    files = [{"PropertyFileName": "F", "OutputName": "out", "FilePath": "result.json"}]
    return run_step(name, script, Arguments=arguments, PropertyFiles=files, **more)


def test_data_flows_from_step_to_step(sagemaker: PipelineSageMaker) -> None:
    """Processing -> Training -> Processing, written in the opposite order."""
    output = "Steps.Make.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"
    steps = [
        writes(
            "Check", f"tar -xzf /opt/ml/processing/input/model/model.tar.gz -C {OUT}",
            Arguments={"ProcessingInputs": [s3_input("model", get("Steps.Fit.ModelArtifacts.S3ModelArtifacts"))]},  # type: ignore[arg-type]
        ),
        train_step(
            "Fit", "cat /opt/ml/input/data/train/rows > /opt/ml/model/weights",
            Arguments={"InputDataConfig": [channel("train", get(output))]},  # type: ignore[arg-type]
        ),
        writes("Make", f"echo rows > {OUT}/rows"),
    ]  # fmt: skip
    sagemaker.create("Flow", steps)
    arn, execution = sagemaker.run("Flow")
    assert execution["PipelineExecutionStatus"] == "Succeeded", sagemaker.steps(arn)
    assert list(sagemaker.steps(arn)) == ["Make", "Fit", "Check"]
    identity = arn.rsplit("/", 1)[1]
    assert sagemaker.read(f"runs/{identity}/Check/weights") == b"rows\n"
    step = sagemaker.steps(arn)["Fit"]
    assert step["Metadata"]["TrainingJob"]["Arn"].startswith(
        f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/pipelines-{identity}-fit-"
    )
    assert step["AttemptCount"] == 1
    assert step["StartTime"] <= step["EndTime"]


@pytest.mark.parametrize(
    ("value", "taken"), [("yes", ["Make", "Decide", "Inner", "Good"]), ("no", ["Make", "Decide", "Bad", "AfterBad"])]
)
def test_conditions_take_one_side(sagemaker: PipelineSageMaker, value: str, taken: list[str]) -> None:
    verdict, score = json_get("Make", "F", "gate.verdict"), json_get("Make", "F", "gate['score']")
    inner = condition_step("Inner", [equals(get("Steps.Decide.Outcome"), "True")], [run_step("Good")], [])
    steps = [
        writes("Make", f"""echo '{{"gate": {{"verdict": "{value}", "score": 0.9}}}}' > {OUT}/result.json"""),
        condition_step(
            "Decide",
            [equals(verdict, "yes"), {"Type": "GreaterThan", "LeftValue": score, "RightValue": 0.5}],
            [inner], [run_step("Bad")],
        ),
        run_step("AfterBad", DependsOn=["Bad"]),
    ]  # fmt: skip
    sagemaker.create("Decides", steps)
    arn, execution = sagemaker.run("Decides")
    assert execution["PipelineExecutionStatus"] == "Succeeded", sagemaker.steps(arn)
    assert list(sagemaker.steps(arn)) == taken
    assert sagemaker.steps(arn)["Decide"]["Metadata"] == {"Condition": {"Outcome": str(value == "yes")}}


def test_a_fail_step_gives_the_execution_its_message(sagemaker: PipelineSageMaker) -> None:
    message = join("too low: ", json_get("Make", "F", "score"), ", at least ", get("Parameters.Floor"))
    steps = [
        writes("Make", f"echo '{{\"score\": 0.25}}' > {OUT}/result.json"),
        fail_step("Refuse", message, DependsOn=["Make"]),
    ]
    sagemaker.create("Refuses", steps, [{"Name": "Floor", "Type": "Float", "DefaultValue": 0.7}])
    arn, execution = sagemaker.run("Refuses")
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert execution["FailureReason"] == "too low: 0.25, at least 0.7"
    step = sagemaker.steps(arn)["Refuse"]
    assert step["StepStatus"] == "Failed"
    assert step["Metadata"] == {"Fail": {"ErrorMessage": "too low: 0.25, at least 0.7"}}


def test_a_failing_step_fails_the_execution_and_says_why(sagemaker: PipelineSageMaker, tmp_path: Path) -> None:
    """What runs beside it ends well; what would come next does not start."""
    steps = [
        run_step("Bad", f"while [ ! -e {tmp_path}/on ]; do sleep 0.02; done; exit 1"),
        run_step("Beside", f"touch {tmp_path}/on; sleep 0.3"),
        run_step("Next", DependsOn=["Beside"]),
    ]
    sagemaker.create("Fails", steps)
    arn, execution = sagemaker.run("Fails")
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert execution["FailureReason"] == "Step failure: One or multiple steps failed."
    assert sagemaker.statuses(arn) == {"Bad": "Failed", "Beside": "Succeeded"}
    assert sagemaker.steps(arn)["Bad"]["FailureReason"] == (
        "AlgorithmError: See job logs for more information, exit code: 1"
    )


def test_a_step_that_writes_no_output_is_named_by_the_one_that_reads_it(sagemaker: PipelineSageMaker) -> None:
    output = get("Steps.Make.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri")
    steps = [writes("Make", "true"), train_step("Fit", Arguments={"InputDataConfig": [channel("a", output)]})]  # type: ignore[arg-type]
    sagemaker.create("Empty", steps)
    arn, _ = sagemaker.run("Empty")
    reason = sagemaker.steps(arn)["Fit"]["FailureReason"]
    identity = arn.rsplit("/", 1)[1]
    assert reason.startswith(
        "ClientError: Failed to invoke sagemaker:CreateTrainingJob. Error Details: "
        f'No S3 objects found under S3 URL "s3://{BUCKET}/runs/{identity}/Make/out"'.replace("/out", "")
    )
    assert sagemaker.statuses(arn) == {"Make": "Succeeded", "Fit": "Failed"}


@pytest.mark.parametrize(
    ("script", "path", "words"),
    [
        ("true", "score", "Std:JsonGet cannot read s3://"),
        (f"echo nonsense > {OUT}/result.json", "score", "is not JSON"),
        (f"echo '{{\"a\": 1}}' > {OUT}/result.json", "gate.score", "there is no gate"),
        (f"echo '{{\"score\": [1]}}' > {OUT}/result.json", "score", "compares single values"),
    ],
)
def test_a_property_file_that_does_not_say_it(sagemaker: PipelineSageMaker, script: str, path: str, words: str) -> None:
    steps = [writes("Make", script), condition_step("If", [equals(json_get("Make", "F", path), 1)], [], [])]
    sagemaker.create("Reads", steps)
    arn, execution = sagemaker.run("Reads")
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert words in sagemaker.steps(arn)["If"]["FailureReason"]


def test_a_step_that_takes_too_long(sagemaker: PipelineSageMaker) -> None:
    sagemaker.create(
        "Hangs", [run_step("Hang", "exec sleep 600", Arguments={"StoppingCondition": {"MaxRuntimeInSeconds": 1}})]
    )
    arn, execution = sagemaker.run("Hangs")
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert sagemaker.steps(arn)["Hang"]["FailureReason"] == (
        "ClientError: Processing job runtime exceeded MaxRuntimeInSeconds provided (1 seconds)"
    )


def test_parallelism_is_limited(sagemaker: PipelineSageMaker, tmp_path: Path) -> None:
    steps = [run_step(f"S{number}", f"echo >> {tmp_path}/n; sleep 0.05") for number in range(4)]
    sagemaker.create("Wide", steps)
    _, execution = sagemaker.run("Wide", ParallelismConfiguration={"MaxParallelExecutionSteps": 1})
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert execution["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 1}
    running: set[str] = set()
    for name, status in sagemaker.step_events():
        running = running | {name} if status in ("Starting", "Executing") else running - {name}
        assert len(running) <= 1


def test_stop_ends_running_jobs_and_starts_nothing_new(sagemaker: PipelineSageMaker, tmp_path: Path) -> None:
    steps = [run_step("Long", f"touch {tmp_path}/on; exec sleep 600"), run_step("Later", DependsOn=["Long"])]
    sagemaker.create("Stops", steps)
    arn = sagemaker.begin("Stops")
    sagemaker.wait_for_file(tmp_path / "on")
    token = sagemaker.token()
    for _ in range(2):  # the same token again changes nothing
        sagemaker("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=token)
    assert sagemaker.finish(arn)["PipelineExecutionStatus"] == "Stopped"
    assert sagemaker.statuses(arn) == {"Long": "Stopped"}
    assert [status for _, status in sagemaker.step_events()] == ["Starting", "Executing", "Stopping", "Stopped"]


def test_retry_goes_on_where_it_failed(sagemaker: PipelineSageMaker, tmp_path: Path) -> None:
    steps = [
        run_step("Once", f"echo >> {tmp_path}/once"),
        run_step("Flaky", f"test -e {tmp_path}/fixed", DependsOn=["Once"]),
        run_step("Last", DependsOn=["Flaky"]),
    ]
    sagemaker.create("Again", steps)
    arn, execution = sagemaker.run("Again")
    assert execution["PipelineExecutionStatus"] == "Failed"
    (tmp_path / "fixed").touch()
    sagemaker("RetryPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=sagemaker.token())
    execution = sagemaker.finish(arn)
    assert execution["PipelineExecutionStatus"] == "Succeeded", sagemaker.steps(arn)
    assert "FailureReason" not in execution
    assert list(sagemaker.statuses(arn).values()) == ["Succeeded"] * 3
    assert (tmp_path / "once").read_text() == "\n"


def test_events_have_aws_shape(sagemaker: PipelineSageMaker) -> None:
    sagemaker.create("Tells", [run_step("Only", CacheConfig={"Enabled": False})])
    arn, _ = sagemaker.run("Tells", PipelineExecutionDescription="why")
    first, last = sagemaker.events(events.EXECUTION)
    pipeline = arn.rsplit("/execution/", 1)[0]
    assert first["resources"] == [pipeline, arn]
    assert first["detail"]["currentPipelineExecutionStatus"] == "Executing"
    assert "previousPipelineExecutionStatus" not in first["detail"]
    detail = last["detail"]
    assert (detail["previousPipelineExecutionStatus"], detail["currentPipelineExecutionStatus"]) == (
        "Executing",
        "Succeeded",
    )
    assert (detail["pipelineArn"], detail["pipelineExecutionArn"]) == (pipeline, arn)
    assert detail["pipelineExecutionDescription"] == "why"
    step = sagemaker.events(events.STEP)[-1]["detail"]
    job = sagemaker.steps(arn)["Only"]["Metadata"]["ProcessingJob"]["Arn"]
    assert step["metadata"] == {"processingJob": {"arn": job}}
    assert (step["stepName"], step["stepType"]) == ("Only", "Processing")
    assert (step["previousStepStatus"], step["currentStepStatus"]) == ("Executing", "Succeeded")
    assert step["stepStartTime"].endswith("Z")


def test_execution_variables_and_parameters(sagemaker: PipelineSageMaker) -> None:
    names = ("PipelineName", "PipelineArn", "PipelineExecutionArn", "StartDateTime", "ProcessingJobName")
    variables = {name: get(f"Execution.{name}") for name in names}
    step = run_step(
        "Shows",
        "env",
        Arguments={
            "Environment": {**variables, "Rows": join(get("Parameters.Rows")), "Flag": join(get("Parameters.Flag"))}
        },
    )
    parameters = [{"Name": "Rows", "Type": "Integer"}, {"Name": "Flag", "Type": "Boolean", "DefaultValue": False}]
    sagemaker.create("Shows", [step], parameters)
    arn, execution = sagemaker.run("Shows", {"Rows": "12", "Flag": "true"})
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    job = sagemaker.steps(arn)["Shows"]["Metadata"]["ProcessingJob"]["Arn"].rsplit("/", 1)[1]
    (record,) = sagemaker.platform.store.list("processing-job")
    variables = record.body["Request"]["Environment"]
    assert variables["PipelineName"] == "Shows"
    assert variables["PipelineExecutionArn"] == arn
    assert variables["ProcessingJobName"].lower() == job
    assert variables["StartDateTime"].endswith("Z")
    assert (variables["Rows"], variables["Flag"]) == ("12", "true")
    listed = sagemaker("ListPipelineParametersForExecution", PipelineExecutionArn=arn)["PipelineParameters"]
    assert listed == [{"Name": "Rows", "Value": "12"}, {"Name": "Flag", "Value": "true"}]


def test_a_request_that_the_service_refuses(sagemaker: PipelineSageMaker) -> None:
    """Known only when it runs: the name of a variable comes from a parameter's length."""
    step = run_step("Long", Arguments={"Environment": {"V": get("Parameters.Text")}})
    sagemaker.create("Long", [step], [{"Name": "Text", "Type": "String"}])
    arn, execution = sagemaker.run("Long", {"Text": "x" * 600})
    assert execution["PipelineExecutionStatus"] == "Failed"
    reason = sagemaker.steps(arn)["Long"]["FailureReason"]
    assert reason.startswith(
        "ClientError: Failed to invoke sagemaker:CreateProcessingJob. Error Details: 1 validation error"
    )


def test_property_files_may_be_read_by_uri(sagemaker: PipelineSageMaker) -> None:
    uri = join(get("Steps.Make.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"), "/result.json")
    document = json.dumps({"rows": [{"n": 7}]})
    steps = [
        writes("Make", f"echo '{document}' > {OUT}/result.json"),
        condition_step(
            "If", [equals({"Std:JsonGet": {"S3Uri": uri, "Path": "$.rows[0].n"}}, 7)], [], [fail_step("No", "no")]
        ),
    ]  # fmt: skip
    sagemaker.create("Uri", steps)
    _, execution = sagemaker.run("Uri")
    assert execution["PipelineExecutionStatus"] == "Succeeded"
