"""Processing jobs: inputs, outputs, configuration files, ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.errors import ApiError, ResourceInUse, ValidationException
from tests.local_sagemaker.jobs.harness import ACCOUNT, BUCKET, REGION, LocalSageMaker, processing, s3_input, s3_output

GROUP = "/aws/sagemaker/ProcessingJobs"


def _cat(path: str) -> str:
    return f'cat "$SAGEMAKER_BASE_DIR{path}"'


def test_inputs_become_files_and_outputs_objects(sagemaker: LocalSageMaker) -> None:
    uri = sagemaker.put("in/a.txt", "one").rsplit("/", 1)[0] + "/"
    sagemaker.put("in/deep/b.txt", "two")
    script = (
        "cd /opt/ml/processing; cat input/data/a.txt input/data/deep/b.txt > output/out/sum.txt;"
        " mkdir output/out/x; cp input/data/a.txt output/out/x"
    )
    request = processing(
        "sum", script,
        ProcessingInputs=[s3_input("data", uri)],
        ProcessingOutputConfig={"Outputs": [s3_output("out", f"s3://{BUCKET}/out")]},
    )  # fmt: skip
    answer = sagemaker("CreateProcessingJob", **request)
    assert answer == {"ProcessingJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:processing-job/sum"}
    job = sagemaker.wait("sum")
    assert job["ProcessingJobStatus"] == "Completed", job
    assert sagemaker.keys("out/") == ["out/sum.txt", "out/x/a.txt"]
    assert sagemaker.read("out/sum.txt") == b"onetwo"
    assert job["ProcessingEndTime"] >= job["ProcessingStartTime"] >= job["CreationTime"]
    assert not (sagemaker.state_dir / "jobs" / REGION / "processing-job" / "sum").exists()


def test_the_configuration_files_are_sagemakers(sagemaker: LocalSageMaker) -> None:
    request = processing(
        "config", f"{_cat('/config/processingjobconfig.json')}; echo; {_cat('/config/resourceconfig.json')}"
    )
    sagemaker("CreateProcessingJob", **request)
    assert sagemaker.wait("config")["ProcessingJobStatus"] == "Completed"
    job, resources = map(json.loads, sagemaker.log(GROUP, "config"))
    assert job["ProcessingJobArn"].endswith(":processing-job/config")
    assert {name: job[name] for name in request} == request
    assert resources == {"current_host": "algo-1", "hosts": ["algo-1"]}


def test_the_environment_has_the_images_the_requests_and_sagemakers_variables(sagemaker: LocalSageMaker) -> None:
    script = (
        'echo "$IMAGE_SAYS|$MINE|$PROCESSING_JOB_NAME|$AWS_REGION|$AWS_ENDPOINT_URL|$PWD"; '
        'env | grep -c ^SM_ ; test -n "$AWS_SESSION_TOKEN" && echo credentials'
    )
    request = processing("env", script, Environment={"MINE": "/opt/ml/processing/x and s3://b/opt/ml and /opt/mlflow"})
    sagemaker("CreateProcessingJob", **request)
    sagemaker.wait("env")
    line, none, credentials = sagemaker.log(GROUP, "env")
    base = sagemaker.state_dir / "jobs" / REGION / "processing-job" / "env" / "algo-1"
    assert line == (
        f"hello|{base}/processing/x and s3://b/opt/ml and /opt/mlflow|env|{REGION}|http://127.0.0.1:9"
        f"|{sagemaker.state_dir.parent}"
    )
    assert (none, credentials) == ("0", "credentials")


def test_without_an_entrypoint_the_images_own_runs_with_the_arguments(sagemaker: LocalSageMaker) -> None:
    request = processing("own", "")
    request["AppSpecification"] = {
        "ImageUri": request["AppSpecification"]["ImageUri"],
        "ContainerArguments": ["a", "b c"],
    }
    sagemaker("CreateProcessingJob", **request)
    sagemaker.wait("own")
    assert sagemaker.log(GROUP, "own") == ["entrypoint a b c"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "AlgorithmError: See job logs for more information, exit code: 3"),
        ("echo broken > /opt/ml/output/failure; exit 1", "AlgorithmError: broken, exit code: 1"),
        ("kill -9 $$", "AlgorithmError: See job logs for more information, exit code: 137"),
    ],
)
def test_a_container_that_fails(sagemaker: LocalSageMaker, script: str, reason: str) -> None:
    request = processing(
        "fails", f"echo partial > /opt/ml/processing/output/out/p; {script}",
        ProcessingOutputConfig={"Outputs": [s3_output("out", f"s3://{BUCKET}/out")]},
    )  # fmt: skip
    sagemaker("CreateProcessingJob", **request)
    job = sagemaker.wait("fails")
    assert (job["ProcessingJobStatus"], job["FailureReason"]) == ("Failed", reason)
    assert sagemaker.keys("out/") == []


def test_a_long_failure_file_is_cut(sagemaker: LocalSageMaker) -> None:
    script = "head -c 5000 /dev/zero | tr '\\0' x > /opt/ml/output/failure; exit 1"
    sagemaker("CreateProcessingJob", **processing("long", script))
    reason = sagemaker.wait("long")["FailureReason"]
    assert len(reason) <= 1024
    assert reason.startswith("AlgorithmError: xxx")
    assert reason.endswith(", exit code: 1")


def test_the_exit_message_is_the_message_file(sagemaker: LocalSageMaker) -> None:
    sagemaker("CreateProcessingJob", **processing("says", "echo 12 rows > /opt/ml/output/message"))
    assert sagemaker.wait("says")["ExitMessage"].strip() == "12 rows"


def test_a_command_that_is_not_there(sagemaker: LocalSageMaker) -> None:
    request = processing("none", "")
    request["AppSpecification"]["ContainerEntrypoint"] = ["/no/such/program"]
    sagemaker("CreateProcessingJob", **request)
    reason = sagemaker.wait("none")["FailureReason"]
    assert reason.startswith("AlgorithmError: ")
    assert "/no/such/program" in reason
    assert reason.endswith("exit code: 127")


def test_an_unbound_image_says_how_to_bind_it(sagemaker: LocalSageMaker) -> None:
    request = processing("unbound", "true")
    request["AppSpecification"]["ImageUri"] = "elsewhere/image:1"
    sagemaker("CreateProcessingJob", **request)
    job = sagemaker.wait("unbound")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Cannot pull image elsewhere/image:1.")
    assert "PUT /_local/images" in job["FailureReason"]


@pytest.mark.parametrize("uri", [f"s3://{BUCKET}/nothing/", "s3://no-such-bucket/x/"])
def test_an_input_that_matches_nothing(sagemaker: LocalSageMaker, uri: str) -> None:
    sagemaker("CreateProcessingJob", **processing("empty", "true", ProcessingInputs=[s3_input("data", uri)]))
    job = sagemaker.wait("empty")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(f'ClientError: No S3 objects found under S3 URL "{uri}" given in input data')


def test_an_empty_output_folder_uploads_nothing(sagemaker: LocalSageMaker) -> None:
    request = processing("quiet", "true", ProcessingOutputConfig={"Outputs": [s3_output("out", f"s3://{BUCKET}/out")]})
    sagemaker("CreateProcessingJob", **request)
    assert sagemaker.wait("quiet")["ProcessingJobStatus"] == "Completed"
    assert sagemaker.keys("out") == []


def test_a_manifest_dealt_out_to_two_hosts(sagemaker: LocalSageMaker) -> None:
    for name in "abc":
        sagemaker.put(f"images/{name}.png", name)
    manifest = sagemaker.put(
        "list.manifest", json.dumps([{"prefix": f"s3://{BUCKET}/images/"}, "a.png", "b.png", "c.png"])
    )
    script = (
        f"cd /opt/ml/processing; h=$({_cat('/config/resourceconfig.json')}"
        ' | sed \'s/.*current_host": "\\([^"]*\\).*/\\1/\');'
        " ls input/images | tr '\\n' ' ' > output/out/$h"
    )
    request = processing(
        "shards", script,
        ProcessingInputs=[
            s3_input("images", manifest, S3DataType="ManifestFile", S3DataDistributionType="ShardedByS3Key")
        ],
        ProcessingOutputConfig={"Outputs": [s3_output("out", f"s3://{BUCKET}/out/")]},
    )  # fmt: skip
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    sagemaker("CreateProcessingJob", **request)
    assert sagemaker.wait("shards")["ProcessingJobStatus"] == "Completed"
    assert sagemaker.keys("out/") == ["out/algo-1", "out/algo-2"]
    assert sorted((sagemaker.read("out/algo-1") + sagemaker.read("out/algo-2")).split()) == [
        b"a.png",
        b"b.png",
        b"c.png",
    ]


def test_one_failing_host_ends_the_others(sagemaker: LocalSageMaker) -> None:
    script = f"{_cat('/config/resourceconfig.json')} | grep -q 'current_host\": \"algo-2' && exit 5; exec sleep 600"
    request = processing("split", script)
    request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 2
    sagemaker("CreateProcessingJob", **request)
    assert sagemaker.wait("split")["FailureReason"].endswith("exit code: 5")


def test_continuous_output_is_there_while_the_job_runs(sagemaker: LocalSageMaker, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = (
        f"cd /opt/ml/processing/output/out; echo 1 > first; while [ ! -e {go} ]; do sleep 0.02; done; echo 2 > last"
    )
    outputs = {"Outputs": [s3_output("out", f"s3://{BUCKET}/out", "Continuous")]}
    sagemaker("CreateProcessingJob", **processing("flow", script, ProcessingOutputConfig=outputs))
    sagemaker.until(lambda: sagemaker.keys("out/"), "an upload")
    assert sagemaker.keys("out/") == ["out/first"]
    go.touch()
    sagemaker.wait("flow")
    assert sagemaker.keys("out/") == ["out/first", "out/last"]


def test_the_time_limit(sagemaker: LocalSageMaker) -> None:
    request = processing("slow", "exec sleep 600", StoppingCondition={"MaxRuntimeInSeconds": 1})
    sagemaker("CreateProcessingJob", **request)
    job = sagemaker.wait("slow")
    assert job["ProcessingJobStatus"] == "Stopped"
    assert job["FailureReason"] == "Processing job runtime exceeded MaxRuntimeInSeconds provided"


def test_stop(sagemaker: LocalSageMaker, tmp_path: Path) -> None:
    sagemaker("CreateProcessingJob", **processing("stopped", f"touch {tmp_path}/on; exec sleep 600"))
    sagemaker.wait_for_file(tmp_path / "on")
    sagemaker("StopProcessingJob", ProcessingJobName="stopped")
    assert sagemaker.wait("stopped")["ProcessingJobStatus"] == "Stopped"
    sagemaker("StopProcessingJob", ProcessingJobName="stopped")  # once more changes nothing
    states = [
        event["detail"]["ProcessingJobStatus"] for event in sagemaker.events("SageMaker Processing Job State Change")
    ]
    assert list(dict.fromkeys(states)) == ["InProgress", "Stopping", "Stopped"]


def test_a_name_is_taken_until_the_job_is_deleted(sagemaker: LocalSageMaker) -> None:
    request = processing("twice", "true", Tags=[{"Key": "a", "Value": "b"}])
    sagemaker("CreateProcessingJob", **request)
    with pytest.raises(ResourceInUse):
        sagemaker("CreateProcessingJob", **request)
    sagemaker.wait("twice")
    sagemaker("DeleteProcessingJob", ProcessingJobName="twice")
    with pytest.raises(ValidationException, match="Could not find requested job with name: twice"):
        sagemaker("DescribeProcessingJob", ProcessingJobName="twice")
    sagemaker("CreateProcessingJob", **request)


def test_a_job_is_found_by_the_name_in_its_arn(sagemaker: LocalSageMaker) -> None:
    """ARNs hold the name in lower case, and clients cut it out of them."""
    arn = sagemaker("CreateProcessingJob", **processing("My-Job", "echo hello"))["ProcessingJobArn"]
    name = arn.rsplit("/", 1)[1]
    assert sagemaker.wait(name)["ProcessingJobName"] == "My-Job"
    assert sagemaker.log(GROUP, "My-Job") == ["hello"]
    with pytest.raises(ResourceInUse):
        sagemaker("CreateProcessingJob", **processing("my-job", "true"))


def test_a_running_job_cannot_be_deleted(sagemaker: LocalSageMaker) -> None:
    sagemaker("CreateProcessingJob", **processing("busy", "exec sleep 600"))
    with pytest.raises(ValidationException, match="only a job that has ended"):
        sagemaker("DeleteProcessingJob", ProcessingJobName="busy")


def test_a_role_that_cannot_be_assumed(sagemaker: LocalSageMaker) -> None:
    request = processing("role", "true") | {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobody"}
    with pytest.raises(ValidationException, match="Could not assume role"):
        sagemaker("CreateProcessingJob", **request)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ProcessingInputs": [s3_input("a", "s3://b/c", S3InputMode="Pipe")]}, "Pipe"),
        ({"ProcessingInputs": [s3_input("a", "s3://b/c", S3CompressionType="Gzip")]}, "Gzip"),
        ({"ProcessingInputs": [s3_input("a", "s3://b/c", LocalPath="/data")]}, "must begin with /opt/ml/processing/"),
        ({"ProcessingInputs": [s3_input("a", "s3://b/c"), s3_input("a", "s3://b/d")]}, "more than once: a"),
        ({"ProcessingInputs": [{"InputName": "a"}]}, "no S3Input"),
        ({"NoSuchMember": 1}, "noSuchMember"),
    ],
)
def test_requests_that_are_refused(sagemaker: LocalSageMaker, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError, match=words) as error:
        sagemaker("CreateProcessingJob", **processing("bad", "true", **change))
    assert error.value.code == "ValidationException"


def test_jobs_wait_for_a_slot_in_order(sagemaker: LocalSageMaker, tmp_path: Path) -> None:
    """Two slots: the third job starts when the first ends, the fourth after it."""
    for number in range(4):
        script = (
            f"cd {tmp_path}; echo {number} >> order; touch on{number}; while [ ! -e go{number} ]; do sleep 0.02; done"
        )
        sagemaker("CreateProcessingJob", **processing(f"job{number}", script))
    sagemaker.wait_for_file(tmp_path / "on1")
    sagemaker.wait_for_file(tmp_path / "on0")
    assert not (tmp_path / "on2").exists()
    listed = sagemaker("ListProcessingJobs", StatusEquals="InProgress", SortOrder="Ascending")["ProcessingJobSummaries"]
    assert [job["ProcessingJobName"] for job in listed] == ["job0", "job1", "job2", "job3"]
    sagemaker("StopProcessingJob", ProcessingJobName="job3")  # never started
    assert sagemaker.wait("job3")["ProcessingJobStatus"] == "Stopped"
    (tmp_path / "go0").touch()
    sagemaker.wait_for_file(tmp_path / "on2")
    for number in (1, 2):
        (tmp_path / f"go{number}").touch()
        sagemaker.wait(f"job{number}")
    assert (tmp_path / "order").read_text().split()[2:] == ["2"]
