"""Training jobs: their request, the files that SageMaker writes for them, their answer.

Source: SageMaker Developer Guide, "How Amazon SageMaker AI Runs Your Training Image", "… Provides Training Information"
and "Use Checkpoints in Amazon SageMaker AI".

With n instances n processes run, each in a folder of its own; ``resourceconfig.json`` names ``algo-1`` to ``algo-n`` as
on AWS. This machine does not resolve these names, so code that connects its hosts must be told another address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local_sagemaker.errors import ValidationException, not_executed
from local_sagemaker.jobs import layout, metrics
from local_sagemaker.jobs.plan import Input, Plan, Upload
from local_sagemaker.store import Record

KIND = "training-job"
NAME = "TrainingJobName"
STATUS = "TrainingJobStatus"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
EVENT = "SageMaker Training Job State Change"

DEFAULT_RUNTIME = 86_400
_GROUP = "homogeneousCluster"
_CONFIG = f"{layout.BASE}/input/config"


def check(request: Mapping[str, Any]) -> None:
    """What AWS refuses beyond the service model, and values that this server cannot execute.

    Raises:
        ValidationException: names the member.
    """
    algorithm = request.get("AlgorithmSpecification") or {}
    if not algorithm.get("TrainingImage"):
        raise ValidationException(
            "AlgorithmSpecification.TrainingImage is required: there are no algorithm resources here."
        )
    if not request.get("ResourceConfig"):
        raise ValidationException("ResourceConfig is required.")
    if not request["ResourceConfig"].get("InstanceCount"):
        raise ValidationException("ResourceConfig.InstanceCount must be at least 1.")
    modes = [algorithm.get("TrainingInputMode")]
    channels = request.get("InputDataConfig") or []
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) < len(names):
        raise ValidationException("The channel names of InputDataConfig must be unique.")
    for channel in channels:
        modes.append(channel.get("InputMode"))
        if channel.get("CompressionType", "None") != "None":
            raise not_executed("CreateTrainingJob", "InputDataConfig.CompressionType", "It works in Pipe mode only.")
        if channel.get("RecordWrapperType", "None") != "None":
            raise not_executed("CreateTrainingJob", "InputDataConfig.RecordWrapperType RecordIO")
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise ValidationException(f"DataSource.S3DataSource is required for the channel {channel['ChannelName']}.")
        if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise not_executed("CreateTrainingJob", f"S3DataType {source['S3DataType']}")
    if "Pipe" in modes:
        raise not_executed("CreateTrainingJob", "the input mode Pipe", "Use File, or FastFile, which is read as File.")
    metrics.check(_metrics(request))
    _check_times(request)


def _check_times(request: Mapping[str, Any]) -> None:
    condition = request.get("StoppingCondition") or {}
    runtime = condition.get("MaxRuntimeInSeconds", DEFAULT_RUNTIME)
    wait = condition.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < runtime:
            raise ValidationException(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
                f"MaxRuntimeInSeconds ({runtime})"
            )
    elif wait is not None:
        raise ValidationException(
            "Invalid MaxWaitTimeInSeconds. It must not be present when EnableManagedSpotTraining is false"
        )


def plan(request: Mapping[str, Any], arn: str) -> Plan:
    algorithm = request["AlgorithmSpecification"]
    entrypoint = algorithm.get("ContainerEntrypoint")
    arguments = algorithm.get("ContainerArguments")
    checkpoints = request.get("CheckpointConfig")
    board = request.get("TensorBoardOutputConfig")
    return Plan(
        image=algorithm["TrainingImage"],
        entrypoint=tuple(entrypoint) if entrypoint else None,
        arguments=tuple(arguments or (() if entrypoint else ("train",))),
        environment={
            **(request.get("Environment") or {}),
            "TRAINING_JOB_NAME": request[NAME],
            "TRAINING_JOB_ARN": arn,
        },
        role_arn=request["RoleArn"],
        instance_count=request["ResourceConfig"]["InstanceCount"],
        isolated=bool(request.get("EnableNetworkIsolation")),
        max_runtime=float((request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME)),
        inputs=tuple(_input(channel) for channel in request.get("InputDataConfig") or []),
        uploads=(
            Upload(
                board.get("LocalPath") or f"{layout.BASE}/output/tensorboard",
                f"{board['S3OutputPath'].rstrip('/')}/{request[NAME]}/tensorboard-output",
                continuous=True,
            ),
        )
        if board
        else (),
        folders=(_CONFIG, f"{layout.BASE}/input/data", f"{layout.BASE}/model", f"{layout.BASE}/output/data"),
        files=lambda host: _files(request, host),
        checkpoints=Upload(
            checkpoints.get("LocalPath") or f"{layout.BASE}/checkpoints", checkpoints["S3Uri"], continuous=True
        )
        if checkpoints
        else None,
        metrics=tuple(_metrics(request)),
        instance_type=request["ResourceConfig"].get("InstanceType", ""),
    )


def _metrics(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(item["Name"], item["Regex"]) for item in request["AlgorithmSpecification"].get("MetricDefinitions") or []]


def _input(channel: Mapping[str, Any]) -> Input:
    source = channel["DataSource"]["S3DataSource"]
    return Input(
        name=channel["ChannelName"],
        uri=source["S3Uri"],
        path=f"{layout.BASE}/input/data/{channel['ChannelName']}",
        manifest=source["S3DataType"] == "ManifestFile",
        sharded=source.get("S3DataDistributionType") == "ShardedByS3Key",
    )


def _files(request: Mapping[str, Any], host: str) -> dict[str, Any]:
    resources = request["ResourceConfig"]
    hosts = layout.hosts(resources["InstanceCount"])
    instance_type = resources.get("InstanceType", "")
    return {
        f"{_CONFIG}/hyperparameters.json": request.get("HyperParameters") or {},
        f"{_CONFIG}/inputdataconfig.json": {
            channel["ChannelName"]: _channel(request, channel) for channel in request.get("InputDataConfig") or []
        },
        f"{_CONFIG}/resourceconfig.json": {
            "current_host": host,
            "current_instance_type": instance_type,
            "current_group_name": _GROUP,
            "hosts": hosts,
            "instance_groups": [{"instance_group_name": _GROUP, "instance_type": instance_type, "hosts": hosts}],
            "network_interface_name": "eth0",
        },
    }


def _channel(request: Mapping[str, Any], channel: Mapping[str, Any]) -> dict[str, Any]:
    source = channel["DataSource"]["S3DataSource"]
    content = {"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}
    return {
        **content,
        "TrainingInputMode": channel.get("InputMode") or request["AlgorithmSpecification"]["TrainingInputMode"],
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }


def output_prefix(request: Mapping[str, Any]) -> str:
    """``<S3OutputPath>/<job>/output``, where SageMaker puts the artefacts."""
    return f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request[NAME]}/output"


def model_uri(request: Mapping[str, Any]) -> str:
    """The model artefact: an object, or a prefix with CompressionType NONE."""
    packed = request["OutputDataConfig"].get("CompressionType", "GZIP") != "NONE"
    return f"{output_prefix(request)}/model{'.tar.gz' if packed else '/'}"


_RETURNED = (
    "HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig", "ResourceConfig",
    "VpcConfig", "CheckpointConfig", "Environment", "DebugHookConfig", "ExperimentConfig", "TensorBoardOutputConfig",
    "ProfilerConfig", "RetryStrategy", "RemoteDebugConfig", "InfraCheckConfig",
)  # fmt: skip


def describe(record: Record) -> dict[str, Any]:
    """DescribeTrainingJob's answer."""
    body, request = record.body, record.body["Request"]
    answer: dict[str, Any] = {
        NAME: request[NAME],
        "TrainingJobArn": body["Arn"],
        STATUS: body["Status"],
        "SecondaryStatus": body["SecondaryStatus"],
        "ModelArtifacts": {"S3ModelArtifacts": model_uri(request)},
        **{name: request[name] for name in _RETURNED if request.get(name) is not None},
        "StoppingCondition": {"MaxRuntimeInSeconds": DEFAULT_RUNTIME, **(request.get("StoppingCondition") or {})},
        "EnableNetworkIsolation": bool(request.get("EnableNetworkIsolation")),
        "EnableInterContainerTrafficEncryption": bool(request.get("EnableInterContainerTrafficEncryption")),
        "EnableManagedSpotTraining": bool(request.get("EnableManagedSpotTraining")),
        "CreationTime": record.created,
        "LastModifiedTime": record.modified,
        "SecondaryStatusTransitions": body["Transitions"],
    }
    for name, key in (("TrainingStartTime", "StartTime"), ("TrainingEndTime", "EndTime")):
        if body.get(key) is not None:
            answer[name] = body[key]
    if body.get("StartTime") is not None and body.get("EndTime") is not None:
        seconds = max(1, round(body["EndTime"] - body["StartTime"]))
        answer["TrainingTimeInSeconds"] = answer["BillableTimeInSeconds"] = seconds
    for name in ("FailureReason", "FinalMetricDataList"):
        if body.get(name):
            answer[name] = body[name]
    return answer


def summary(record: Record) -> dict[str, Any]:
    """A member of TrainingJobSummaries."""
    answer = describe(record)
    names = (NAME, "TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime", STATUS, "SecondaryStatus")
    return {name: answer[name] for name in names if name in answer}


def event(record: Record) -> dict[str, Any]:
    """The detail of the EventBridge event: the description, its times in milliseconds; the sender adds the tags."""
    detail = describe(record)
    for name in ("CreationTime", "LastModifiedTime", "TrainingStartTime", "TrainingEndTime"):
        if name in detail:
            detail[name] = round(detail[name] * 1000)
    detail["SecondaryStatusTransitions"] = [
        {key: round(value * 1000) if key.endswith("Time") else value for key, value in transition.items()}
        for transition in detail["SecondaryStatusTransitions"]
    ]
    detail["FinalMetricDataList"] = [
        {**metric, "Timestamp": round(metric["Timestamp"] * 1000)} for metric in detail.get("FinalMetricDataList", [])
    ]
    detail["Tags"] = {}
    return detail
