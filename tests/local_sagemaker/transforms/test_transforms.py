"""Transform jobs: what a container is sent, what becomes of its answers, how a job ends."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from local_sagemaker.errors import ApiError, ResourceInUse, ValidationException
from tests.local_sagemaker.jobs.harness import ACCOUNT, BUCKET, REGION
from tests.local_sagemaker.transforms.conftest import GROUP, Transforms

LINES = {"SplitType": "Line", "AssembleWith": "Line"}


def test_every_object_is_sent_and_its_answer_stored(transforms: Transforms) -> None:
    transforms.model()
    for key, data in (("in/a.png", b"\x89PNG"), ("in/deep/b.png", b"two"), ("in/folder/", b""), ("inner", b"no")):
        transforms.server.put(key, data)
    outputs = transforms.completed("images", ContentType="image/png", Accept="application/json")
    assert outputs == {"a.png.out": "<\x89PNG>", "deep/b.png.out": "<two>"}
    for request in transforms.requests():
        assert request["headers"]["content-type"] == "image/png"
        assert request["headers"]["accept"] == "application/json"
    assert transforms.server.platform.children.running() == []
    assert not (transforms.state / "jobs" / REGION / "transform-job" / "images").exists()


def test_the_container_is_the_models_with_the_variables_of_batch_transform(transforms: Transforms) -> None:
    transforms.model(MINE="model", OTHER="model")
    transforms.server.put("in/a", "x")
    transforms.completed(
        "variables", Environment={"MINE": "job"}, MaxPayloadInMB=2, BatchStrategy="SingleRecord",
        MaxConcurrentTransforms=3, SplitType="Line",
    )  # fmt: skip
    start = transforms.starts()[0]
    wanted = {
        "FROM_IMAGE": "1", "MINE": "job", "OTHER": "model", "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2", "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "3", "AWS_REGION": REGION,
    }  # fmt: skip
    assert {name: start["environment"].get(name) for name in wanted} == wanted
    assert start["model"] == {"model/weights.txt": "42"}


def test_what_the_user_does_not_say_is_not_passed(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/a", "x")
    transforms.completed("plain")
    names = [name for name in transforms.starts()[0]["environment"] if name.startswith("SAGEMAKER_")]
    assert sorted(names) == ["SAGEMAKER_BASE_DIR", "SAGEMAKER_BATCH", "SAGEMAKER_BIND_TO_PORT"]
    data_log = transforms.server.log(GROUP, "plain")
    assert any(
        line.endswith("[sagemaker logs]: MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD")
        for line in data_log
    )
    assert "served 200" in data_log  # the container's own log


@pytest.mark.parametrize(
    ("strategy", "bodies", "output"),
    [
        ("SingleRecord", ["1,2", "3,4", "5,6"], "<1,2>\n<3,4>\n<5,6>\n"),
        ("MultiRecord", ["1,2\n3,4\n5,6"], "<1,2\n3,4\n5,6>\n"),
    ],
)
def test_lines_are_records(transforms: Transforms, strategy: str, bodies: list[str], output: str) -> None:
    transforms.model()
    transforms.server.put("in/rows.csv", "1,2\n3,4\n5,6\n")
    assert transforms.completed("rows", BatchStrategy=strategy, **LINES) == {"rows.csv.out": output}
    assert transforms.bodies() == bodies


def test_without_a_newline_the_answers_are_joined_as_they_are(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/rows", "a\nb")
    assert transforms.completed("joined", BatchStrategy="SingleRecord", SplitType="Line") == {"rows.out": "<a><b>"}


def test_answers_keep_the_order_of_the_records(transforms: Transforms) -> None:
    transforms.model(PARAMETERS=json.dumps({"MaxConcurrentTransforms": 4, "BatchStrategy": "SINGLE_RECORD"}))
    records = [f"{number}{' once' if number % 7 == 0 else ''}" for number in range(60)]
    transforms.server.put("in/rows", "\n".join(records))
    outputs = transforms.completed("order", **LINES)
    assert outputs == {"rows.out": "".join(f"<{record}>\n" for record in records)}
    assert 1 < int((transforms.notes / "most").read_text()) <= 4


def test_the_request_wins_over_what_the_container_wants(transforms: Transforms) -> None:
    wanted = {"MaxConcurrentTransforms": 4, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1}
    transforms.model(PARAMETERS=json.dumps(wanted))
    transforms.server.put("in/rows", "a\nb")
    transforms.completed("mine", BatchStrategy="MultiRecord", MaxConcurrentTransforms=2, MaxPayloadInMB=3, **LINES)
    assert transforms.bodies() == ["a\nb"]
    expected = "MaxConcurrentTransforms=2, MaxPayloadInMB=3, BatchStrategy=MULTI_RECORD"
    assert any(line.endswith(expected) for line in transforms.server.log(GROUP, "mine"))


def test_what_a_container_wants_at_a_time_is_limited(transforms: Transforms) -> None:
    transforms.model(PARAMETERS=json.dumps({"MaxConcurrentTransforms": 100_000}))
    transforms.server.put("in/a", "x")
    transforms.completed("greedy")
    assert any("MaxConcurrentTransforms=64," in line for line in transforms.server.log(GROUP, "greedy"))


@pytest.mark.parametrize("answer", ["no json", "[1]", '{"MaxConcurrentTransforms": "8", "BatchStrategy": "ALL"}'])
def test_odd_execution_parameters_are_left_out(transforms: Transforms, answer: str) -> None:
    transforms.model(PARAMETERS=answer)
    transforms.server.put("in/a", "x")
    assert transforms.completed("odd") == {"a.out": "<x>"}


def test_gzip_is_unpacked(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/rows.gz", gzip.compress(b"a\nb\n"))
    outputs = transforms.completed("packed", CompressionType="Gzip", BatchStrategy="SingleRecord", **LINES)
    assert outputs == {"rows.gz.out": "<a>\n<b>\n"}


def test_a_manifest_names_the_inputs(transforms: Transforms) -> None:
    transforms.model()
    for name in "abc":
        transforms.server.put(f"elsewhere/{name}/x", name)
    manifest = transforms.server.put(
        "list", json.dumps([{"prefix": f"s3://{BUCKET}/elsewhere/"}, "a/x", "c/x"])
    )  # fmt: skip
    outputs = transforms.completed("listed", S3DataType="ManifestFile", S3Uri=manifest)
    assert outputs == {"a/x.out": "<a>", "c/x.out": "<c>"}


def test_a_single_object_is_a_prefix_too(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/one.csv", "x")
    assert transforms.completed("one", S3Uri=f"s3://{BUCKET}/in/one.csv") == {"one.csv.out": "<x>"}


def test_without_a_limit_an_input_is_streamed(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/large", "x" * 200_000)
    assert transforms.completed("streamed", MaxPayloadInMB=0) == {"large.out": f"<{'x' * 200_000}>"}
    assert transforms.requests()[0]["headers"]["transfer-encoding"] == "chunked"


def test_two_instances_share_the_inputs(transforms: Transforms) -> None:
    transforms.model()
    for name in "abcd":
        transforms.server.put(f"in/{name}", name)
    assert transforms.completed("shared", InstanceCount=2) == {f"{name}.out": f"<{name}>" for name in "abcd"}
    assert len(transforms.starts()) == 2
    log = transforms.server.log(GROUP, "shared")
    assert log.count("served 404") == 2  # each is asked for its parameters, and sends two of the inputs
    assert log.count("served 200") == 2 + 4


@pytest.mark.parametrize(
    ("word", "tries", "fault", "lines"),
    [
        ("bad", 1, "ClientError", ["ClientError: 400", "", "Message:", "this record", "is bad"]),
        ("crash", 2, "AlgorithmError", ["Bad HTTP status received from algorithm: 500", "", "Message:", "it broke"]),
    ],
)
def test_an_input_that_fails_leaves_no_output_and_fails_the_job(
    transforms: Transforms, word: str, tries: int, fault: str, lines: list[str]
) -> None:
    transforms.model()
    transforms.server.put("in/1", f"good\n{word}\nlater")
    transforms.server.put("in/2", "good")
    job = transforms.run("fails", BatchStrategy="SingleRecord", ModelClientConfig={"InvocationsMaxRetries": 1}, **LINES)
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(
        f"{fault}: See job logs for more information. 1 of 2 inputs failed; the first: s3://{BUCKET}/in/1: {lines[0]}"
    )
    assert transforms.outputs() == {"2.out": "<good>\n"}
    assert transforms.bodies().count(word) == tries
    said = [line.split("[sagemaker logs]: ")[1] for line in transforms.server.log(GROUP, "fails") if "in/1" in line]
    assert said == [f"{BUCKET}/in/1: {line}" for line in lines]


def test_a_container_that_ends_fails_the_job(transforms: Transforms) -> None:
    transforms.model()
    for name in ("1", "2", "3"):
        transforms.server.put(f"in/{name}", "die" if name == "2" else "x")
    job = transforms.run("dies", ModelClientConfig={"InvocationsMaxRetries": 0})
    assert job["TransformJobStatus"] == "Failed"
    assert "The container ended with exit code 3." in job["FailureReason"]
    assert "Killed by a bad record" in job["FailureReason"]


def test_a_slow_answer_is_not_waited_for(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/a", "wait")
    job = transforms.run(
        "slow", ModelClientConfig={"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 1}
    )  # fmt: skip
    assert "did not respond to /invocations request within 1 seconds" in job["FailureReason"]
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert transforms.bodies() == ["wait", "wait"]


def test_a_record_above_the_limit(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/a", b"x" * (2**20 + 1))
    transforms.server.put("in/b", b"x" * 2**20)
    job = transforms.run("large", MaxPayloadInMB=1)
    assert job["FailureReason"].startswith("ClientError: ")
    assert "Too much data for max payload size (1048576 bytes)" in job["FailureReason"]
    assert list(transforms.outputs()) == ["b.out"]


def test_what_is_said_to_be_gzip_and_is_not(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/a", "plain")
    for name, limit in (("not-gzip", 1), ("not-gzip-streamed", 0)):
        job = transforms.run(name, CompressionType="Gzip", MaxPayloadInMB=limit)
        assert "the object is no gzip file" in job["FailureReason"]


def test_more_instances_than_this_machine_is_to_run(transforms: Transforms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_SAGEMAKER_HOSTING_INSTANCES", "3")
    transforms.model()
    transforms.server.put("in/a", "x")
    reason = transforms.run("many", InstanceCount=4)["FailureReason"]
    assert reason.startswith("CapacityError: Unable to provision requested ML compute capacity.")
    assert transforms.starts() == []


def test_a_model_that_does_not_start(transforms: Transforms) -> None:
    transforms.model(BROKEN="1")
    transforms.server.put("in/a", "x")
    reason = transforms.run("broken")["FailureReason"]
    assert reason.startswith("AlgorithmError: See job logs for more information. The container ended with exit code 1.")
    assert "ValueError: the model is broken" in reason


def test_an_input_that_matches_nothing(transforms: Transforms) -> None:
    transforms.model()
    job = transforms.run("nothing", S3Uri=f"s3://{BUCKET}/none/")
    assert job["FailureReason"].startswith(f'ClientError: No S3 objects found under S3 URL "s3://{BUCKET}/none/"')
    job = transforms.run("no-list", S3DataType="ManifestFile", S3Uri=f"s3://{BUCKET}/none")
    assert job["FailureReason"].startswith("ClientError: Data download failed: No such object")


def test_an_output_bucket_that_is_not_there(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/a", "x")
    job = transforms.run("nowhere", S3OutputPath="s3://no-such-bucket/out/")
    assert job["FailureReason"].startswith("ClientError: Failed to upload the output to s3://no-such-bucket/out: ")


def test_a_stopped_job_leaves_no_output_and_no_process(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/1", "quick")
    transforms.server.put("in/2", "wait")
    transforms.create("stopped")
    transforms.server.until(lambda: transforms.bodies() == ["quick", "wait"], "the second request")
    transforms.server("StopTransformJob", TransformJobName="stopped")
    assert transforms.server.wait("stopped", "transform-job")["TransformJobStatus"] == "Stopped"
    assert transforms.outputs() == {}
    assert transforms.server.platform.children.running() == []
    transforms.server("StopTransformJob", TransformJobName="stopped")  # once more changes nothing
    events = transforms.server.events("SageMaker Transform Job State Change")
    assert [event["detail"]["TransformJobStatus"] for event in events] == ["InProgress", "Stopping", "Stopped"]


@pytest.mark.docker
def test_an_isolated_model_is_transformed_with_and_has_no_credentials(transforms: Transforms) -> None:
    transforms.model(isolated=True)
    transforms.server.put("in/a", "x")
    assert transforms.completed("isolated") == {"a.out": "<x>"}
    assert [name for name in transforms.starts()[0]["environment"] if name.startswith("AWS_")] == []


def test_describe_list_and_events(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/a", "x")
    transforms.completed("My-Job", ContentType="text/plain", Tags=[{"Key": "team", "Value": "vision"}])
    job = transforms.server("DescribeTransformJob", TransformJobName="my-job")
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:transform-job/my-job"
    assert (job["TransformJobName"], job["TransformJobArn"], job["ModelName"]) == ("My-Job", arn, "model")
    assert job["TransformInput"]["ContentType"] == "text/plain"
    assert job["TransformEndTime"] >= job["TransformStartTime"] >= job["CreationTime"]
    listed = transforms.server("ListTransformJobs", StatusEquals="Completed", NameContains="job")
    assert [one["TransformJobArn"] for one in listed["TransformJobSummaries"]] == [arn]
    event = transforms.server.events("SageMaker Transform Job State Change")[-1]
    assert event["resources"] == [arn]
    detail = event["detail"]
    assert (detail["TransformJobStatus"], detail["Tags"]) == ("Completed", {"team": "vision"})
    assert detail["CreationTime"] == round(job["CreationTime"] * 1000)
    with pytest.raises(ValidationException, match="Could not find requested job with name: other"):
        transforms.server("DescribeTransformJob", TransformJobName="other")
    with pytest.raises(ResourceInUse):
        transforms.create("my-job")


def test_a_job_goes_on_when_its_model_is_deleted(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/a", "wait")
    transforms.create("orphan")
    transforms.server("DeleteModel", ModelName="model")
    (transforms.notes / "go").touch()
    assert transforms.server.wait("orphan", "transform-job")["TransformJobStatus"] == "Completed"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ModelName": "none"}, "Could not find model"),
        ({"SplitType": "RecordIO"}, "SplitType RecordIO is not supported"),
        ({"SplitType": "TFRecord"}, "SplitType TFRecord is not supported"),
        ({"S3DataType": "AugmentedManifestFile"}, "S3DataType AugmentedManifestFile is not supported"),
        ({"S3Uri": "https://example.com/x"}, "S3Uri must be an S3 URI"),
        ({"S3OutputPath": "https://example.com/x"}, "S3OutputPath must be an S3 URI"),
        ({"MaxPayloadInMB": 101}, "MaxPayloadInMB must be at most 100"),
        ({"MaxPayloadInMB": 20, "MaxConcurrentTransforms": 6}, "must be at most 100; it is 120"),
        ({"DataProcessing": {"InputFilter": "$[1:]"}}, "DataProcessing.InputFilter .* is not supported"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "DataProcessing.JoinSource Input is not supported"),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://b/c"}}, "DataCaptureConfig is not supported"),
        ({"BatchStrategy": "Some"}, "enum value set"),
    ],
)
def test_requests_that_are_refused(transforms: Transforms, change: dict[str, Any], words: str) -> None:
    transforms.model()
    with pytest.raises(ApiError, match=words) as error:
        transforms.create("bad", **change)
    assert error.value.code == "ValidationException"


def test_processing_of_all_data_without_a_join_is_what_runs(transforms: Transforms) -> None:
    transforms.model()
    transforms.server.put("in/a", "x")
    all_of_it = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    assert transforms.completed("all", DataProcessing=all_of_it) == {"a.out": "<x>"}
