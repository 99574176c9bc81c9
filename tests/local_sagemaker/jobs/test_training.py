"""Training jobs: channels, artefacts, checkpoints, metrics, statuses."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.errors import ApiError, ValidationException
from tests.local_sagemaker.jobs.harness import ACCOUNT, BUCKET, REGION, LocalSageMaker, channel, training

GROUP = "/aws/sagemaker/TrainingJobs"


def _run(sagemaker: LocalSageMaker, name: str, script: str, **more: Any) -> dict[str, Any]:
    sagemaker("CreateTrainingJob", **training(name, script, **more))
    return sagemaker.wait(name, "training-job")


def _members(sagemaker: LocalSageMaker, key: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(sagemaker.read(key))) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]


def test_model_and_output_become_archives(sagemaker: LocalSageMaker) -> None:
    sagemaker.put("data/train/a.csv", "1,2")
    script = (
        "cd /opt/ml; cat input/data/train/a.csv > model/weights; mkdir model/code; echo x > model/code/f;"
        " echo y > output/data/curve"
    )
    job = _run(sagemaker, "first", script, InputDataConfig=[channel("train", f"s3://{BUCKET}/data/train")])
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed"), job
    uri = f"s3://{BUCKET}/models/first/output/model.tar.gz"
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": uri}
    assert _members(sagemaker, "models/first/output/model.tar.gz") == {"weights": b"1,2", "code/f": b"x\n"}
    assert _members(sagemaker, "models/first/output/output.tar.gz") == {"curve": b"y\n"}
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
    transitions = [item["Status"] for item in job["SecondaryStatusTransitions"]]
    assert transitions == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all("EndTime" in item for item in job["SecondaryStatusTransitions"])


def test_an_empty_model_folder_uploads_nothing(sagemaker: LocalSageMaker) -> None:
    assert _run(sagemaker, "none", "true")["TrainingJobStatus"] == "Completed"
    assert sagemaker.keys("models/") == []


def test_an_uncompressed_model(sagemaker: LocalSageMaker) -> None:
    output = {"S3OutputPath": f"s3://{BUCKET}/models", "CompressionType": "NONE"}
    job = _run(sagemaker, "plain", "echo 1 > /opt/ml/model/weights", OutputDataConfig=output)
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/models/plain/output/model/"
    assert sagemaker.keys("models/") == ["models/plain/output/model/weights"]


def test_the_configuration_files_are_sagemakers(sagemaker: LocalSageMaker) -> None:
    sagemaker.put("data/a", "x")
    files = ("hyperparameters", "inputdataconfig", "resourceconfig")
    script = "; echo; ".join(f"cat /opt/ml/input/config/{name}.json" for name in files)
    _run(
        sagemaker, "config", script + "; echo; echo $TRAINING_JOB_NAME $TRAINING_JOB_ARN",
        HyperParameters={"epochs": "3", "path": "/opt/ml/model"},
        InputDataConfig=[channel("train", f"s3://{BUCKET}/data/") | {"ContentType": "text/csv"}],
    )  # fmt: skip
    *documents, names = sagemaker.log(GROUP, "config")
    hyperparameters, inputs, resources = map(json.loads, documents)
    assert hyperparameters == {"epochs": "3", "path": "/opt/ml/model"}
    assert inputs == {
        "train": {
            "ContentType": "text/csv", "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
    }  # fmt: skip
    group = {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.xlarge", "hosts": ["algo-1"]}
    assert resources == {
        "current_host": "algo-1", "current_instance_type": "ml.m5.xlarge", "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"], "instance_groups": [group], "network_interface_name": "eth0",
    }  # fmt: skip
    assert names == f"config arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/config"


def test_an_own_image_is_started_with_train(sagemaker: LocalSageMaker) -> None:
    request = training("own", "")
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    sagemaker("CreateTrainingJob", **request)
    sagemaker.wait("own", "training-job")
    assert sagemaker.log(GROUP, "own") == ["entrypoint train"]


def test_metrics_are_the_last_values_in_the_log(sagemaker: LocalSageMaker) -> None:
    definitions = [
        {"Name": "loss", "Regex": "loss=([0-9.eE+-]+)"},
        {"Name": "never", "Regex": "never=([0-9]+)"},
        {"Name": "odd", "Regex": "odd=(\\S+)"},
    ]
    script = "echo 'loss=0.5 loss=0.4'; echo odd=none; echo loss=3e-1 odd=nan; exit 1"
    job = _run(sagemaker, "metrics", script, AlgorithmSpecification={"MetricDefinitions": definitions})
    assert [(item["MetricName"], item["Value"]) for item in job["FinalMetricDataList"]] == [("loss", 0.3)]


@pytest.mark.parametrize("regex", ["loss=[", "loss=[0-9]+"])
def test_a_metric_that_can_give_no_number(sagemaker: LocalSageMaker, regex: str) -> None:
    algorithm = {"MetricDefinitions": [{"Name": "loss", "Regex": regex}]}
    with pytest.raises(ValidationException, match="Invalid regex for metric loss"):
        sagemaker("CreateTrainingJob", **training("bad", "true", AlgorithmSpecification=algorithm))


def test_failure_file_and_exit_code(sagemaker: LocalSageMaker) -> None:
    job = _run(sagemaker, "fails", "echo 'no images' > /opt/ml/output/failure; echo 1 > /opt/ml/model/w; exit 2")
    assert job["FailureReason"] == "AlgorithmError: no images, exit code: 2"
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == job["FailureReason"]
    assert sagemaker.keys("models/fails/output/model") == []


def test_checkpoints_go_down_before_and_up_while_it_runs(sagemaker: LocalSageMaker, tmp_path: Path) -> None:
    sagemaker.put("ckpt/old", "1")
    sagemaker.put("ckpt-other/x", "not below the prefix")
    go = tmp_path / "go"
    script = (
        "cd /opt/ml/checkpoints; ls; cat old > new.tmp; mv new.tmp new;"
        f" while [ ! -e {go} ]; do sleep 0.02; done; rm old; echo 2 > last; kill -9 $$"
    )
    request = training("ckpt", script, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/ckpt"})
    sagemaker("CreateTrainingJob", **request)
    sagemaker.until(lambda: sagemaker.keys("ckpt/new"), "the upload of a checkpoint")
    go.touch()
    job = sagemaker.wait("ckpt", "training-job")
    assert job["FailureReason"].endswith("exit code: 137")
    assert sagemaker.log(GROUP, "ckpt") == ["old"]
    assert sagemaker.keys("ckpt/") == ["ckpt/last", "ckpt/new", "ckpt/old"]  # nothing is deleted in S3


def test_stop_gives_time_to_save_and_uploads_the_model(sagemaker: LocalSageMaker, tmp_path: Path) -> None:
    script = (
        f"trap 'echo saved > /opt/ml/model/weights; exit 0' TERM; touch {tmp_path}/on; while true; do sleep 0.02; done"
    )
    sagemaker("CreateTrainingJob", **training("saved", script))
    sagemaker.wait_for_file(tmp_path / "on")
    sagemaker("StopTrainingJob", TrainingJobName="saved")
    job = sagemaker.wait("saved", "training-job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert _members(sagemaker, "models/saved/output/model.tar.gz") == {"weights": b"saved\n"}


def test_what_ignores_sigterm_is_killed_after_the_grace_period(sagemaker: LocalSageMaker, tmp_path: Path) -> None:
    sagemaker.jobs.grace = 0.2
    sagemaker(
        "CreateTrainingJob", **training("deaf", f"trap '' TERM; touch {tmp_path}/on; while true; do sleep 0.02; done")
    )
    sagemaker.wait_for_file(tmp_path / "on")
    sagemaker("StopTrainingJob", TrainingJobName="deaf")
    assert sagemaker.wait("deaf", "training-job")["TrainingJobStatus"] == "Stopped"


def test_the_time_limit(sagemaker: LocalSageMaker) -> None:
    job = _run(
        sagemaker, "slow", "echo 1 > /opt/ml/model/w; exec sleep 600", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert sagemaker.keys("models/") == ["models/slow/output/model.tar.gz"]


def test_n_hosts_know_each_other_and_give_one_model(sagemaker: LocalSageMaker) -> None:
    script = (
        "cd /opt/ml; grep -o '\"hosts\": \\[[^]]*' input/config/resourceconfig.json | head -1;"
        ' h=$(sed \'s/.*current_host": "\\([^"]*\\).*/\\1/\' input/config/resourceconfig.json);'
        " echo $h > model/$h; echo $h > model/same"
    )
    resources = {"InstanceCount": 2, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 10}
    job = _run(sagemaker, "pair", script, ResourceConfig=resources)
    assert job["TrainingJobStatus"] == "Completed", job
    assert _members(sagemaker, "models/pair/output/model.tar.gz") == {
        "algo-1": b"algo-1\n", "algo-2": b"algo-2\n", "same": b"algo-1\n",
    }  # fmt: skip
    assert sagemaker.log(GROUP, "pair") == ['"hosts": ["algo-1", "algo-2"'] * 2


def test_an_input_that_matches_nothing_is_refused_at_once(sagemaker: LocalSageMaker) -> None:
    with pytest.raises(ValidationException, match="No S3 objects found under S3 URL"):
        sagemaker(
            "CreateTrainingJob", **training("x", "true", InputDataConfig=[channel("a", f"s3://{BUCKET}/nothing")])
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AlgorithmSpecification": {"TrainingInputMode": "Pipe"}}, "Pipe"),
        ({"InputDataConfig": [channel("a", "s3://b/c") | {"RecordWrapperType": "RecordIO"}]}, "RecordIO"),
        ({"InputDataConfig": [channel("a", "s3://b/c") | {"CompressionType": "Gzip"}]}, "CompressionType"),
        ({"InputDataConfig": [channel("a", "s3://b/c"), channel("a", "s3://b/d")]}, "unique"),
        ({"InputDataConfig": [channel("a", "s3://b/c", S3DataType="AugmentedManifestFile")]}, "AugmentedManifestFile"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        ({"DebugRuleConfigurations": [{"RuleConfigurationName": "r", "RuleEvaluatorImage": "i"}]}, "DebugRule"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.xlarge"}}, "InstanceCount"),
    ],
)
def test_requests_that_are_refused(sagemaker: LocalSageMaker, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError, match=words) as error:
        sagemaker("CreateTrainingJob", **training("bad", "true", **change))
    assert error.value.code == "ValidationException"


def test_spot_with_a_wait_time_and_fastfile_run_here_as_on_demand_and_file(sagemaker: LocalSageMaker) -> None:
    sagemaker.put("data/a", "x")
    job = _run(
        sagemaker, "spot", "cat /opt/ml/input/data/a/a", EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90},
        AlgorithmSpecification={"TrainingInputMode": "FastFile"}, InputDataConfig=[channel("a", f"s3://{BUCKET}/data/")],
    )  # fmt: skip
    assert job["TrainingJobStatus"] == "Completed"
    assert job["EnableManagedSpotTraining"] is True
    assert sagemaker.log(GROUP, "spot") == ["x"]


def test_events_carry_the_description_with_times_in_milliseconds(sagemaker: LocalSageMaker) -> None:
    _run(sagemaker, "told", "true", Tags=[{"Key": "a", "Value": "b"}])
    events = sagemaker.events("SageMaker Training Job State Change")
    assert [event["detail"]["SecondaryStatus"] for event in events][-1] == "Completed"
    last = events[-1]
    assert last["resources"] == [f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/told"]
    assert last["source"] == "aws.sagemaker"
    assert last["detail"]["CreationTime"] > 1_000_000_000_000


def test_list_and_sort(sagemaker: LocalSageMaker) -> None:
    for name in ("beta", "alpha"):
        _run(sagemaker, name, "true")
    listed = sagemaker("ListTrainingJobs", SortBy="Name", SortOrder="Ascending")["TrainingJobSummaries"]
    assert [item["TrainingJobName"] for item in listed] == ["alpha", "beta"]
    assert sagemaker("ListTrainingJobs", NameContains="alp", StatusEquals="Failed")["TrainingJobSummaries"] == []


def test_a_full_disk_while_uploading(sagemaker: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sagemaker.platform.objects, "upload_file", full)
    job = _run(sagemaker, "full", "echo 1 > /opt/ml/model/w")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "ClientError: Artifact upload failed: [Errno 28] No space left on device"


def test_a_fault_leaves_no_capacity_for_one_job(sagemaker: LocalSageMaker) -> None:
    faults = sagemaker.platform.faults
    faults.replace([{"name": "capacity", "operation": "CreateTrainingJob", "resource": "hungry"}])
    job = _run(sagemaker, "hungry", "true")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("CapacityError: Unable to provision requested ML compute capacity.")
    assert _run(sagemaker, "modest", "true")["TrainingJobStatus"] == "Completed"
