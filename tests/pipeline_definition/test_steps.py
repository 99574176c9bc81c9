"""What each setting does to the definition, and the shape of the graph."""

from __future__ import annotations

import json
from typing import Any

import pytest

import pipeline_definition
from contracts import container, evaluation, names, release
from contracts.settings import Settings
from tests.pipeline_definition import oracle
from tests.pipeline_definition.changed import changed
from tests.pipeline_definition.resolver import Resolver, steps
from tests.pipeline_definition.update_golden import SOURCE_HASH


def build(**sections: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], Settings]:
    """Definition, step name -> resolved request, settings; with the oracle's word on all of it."""
    settings = changed(**sections)
    text = pipeline_definition.build(settings, source_hash=SOURCE_HASH)
    resolver = oracle.check(text, settings.names.pipeline, settings.role_arn("pipeline"))
    return json.loads(text), {name: request for name, (_, request) in resolver.requests.items()}, settings


@pytest.fixture(scope="module")
def plain() -> tuple[dict[str, Any], dict[str, Any], Settings]:
    return build()


def step(definition: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in steps(definition) if item["Name"] == name)


JOBS = (names.PREPROCESS, names.TRAIN, names.EVALUATE)


# --- the graph --------------------------------------------------------------------------------------------------------


def test_the_branches(plain: Any) -> None:
    definition, _, _ = plain

    def branches(name: str) -> tuple[list[str], list[str]]:
        arguments = step(definition, name)["Arguments"]
        return [s["Name"] for s in arguments["IfSteps"]], [s["Name"] for s in arguments["ElseSteps"]]

    top = [s["Name"] for s in definition["Steps"]]
    assert top == [names.PREPROCESS, names.TRAIN, names.CHAMPION, names.EVALUATE, names.GATE]
    assert branches(names.GATE) == ([names.KEEP, names.KNOWN], [names.NOTHING_NEW])
    assert branches(names.NOTHING_NEW) == ([], [names.REFUSE])
    assert branches(names.KNOWN) == ([names.REGISTER, names.PUBLISH, names.APPROVAL], [])
    assert branches(names.APPROVAL) == ([names.DEPLOY], [])


def test_what_the_conditions_ask(plain: Any) -> None:
    definition, _, _ = plain
    verdict = {
        "Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Evaluation"}, "Path": "gate.outcome"}
    }

    def condition(name: str) -> tuple[Any, Any]:
        (only,) = step(definition, name)["Arguments"]["Conditions"]
        assert only["Type"] == "Equals"
        return only["LeftValue"], only["RightValue"]

    assert condition(names.GATE) == (verdict, evaluation.REGISTER)
    assert condition(names.NOTHING_NEW) == (verdict, evaluation.NOTHING_NEW)
    assert condition(names.KNOWN) == ({"Get": "Steps.Keep.OutputParameters['known']"}, "")
    assert condition(names.APPROVAL) == ({"Get": "Parameters.Approval"}, "automatic")


def test_the_longest_message_of_a_gate_fits_into_the_failure_reason(plain: Any) -> None:
    _, requests, _ = plain
    prefix = requests[names.REFUSE]["ErrorMessage"].removesuffix("All limits hold.")
    assert len(prefix) + evaluation.MAX_GATE_MESSAGE <= 1024


def test_the_card_is_attached_before_anything_is_approved(plain: Any) -> None:
    definition, _, _ = plain
    assert step(definition, names.APPROVAL)["DependsOn"] == [names.PUBLISH]


# --- jobs -------------------------------------------------------------------------------------------------------------


def test_preprocess_reads_the_manifest_and_its_share_of_the_images(plain: Any) -> None:
    _, requests, _ = plain
    request = requests[names.PREPROCESS]
    dataset, images = (entry["S3Input"] for entry in request["ProcessingInputs"])
    assert dataset["S3Uri"] == oracle.START["DatasetUri"] and dataset["S3DataType"] == "S3Prefix"
    assert dataset["S3DataDistributionType"] == "FullyReplicated"
    assert images["S3Uri"] == oracle.START["DatasetUri"] + "images.manifest" and images["S3DataType"] == "ManifestFile"
    assert images["S3DataDistributionType"] == "ShardedByS3Key"
    assert images["LocalPath"] == "/opt/ml/processing/input/images"
    assert request["AppSpecification"]["ContainerEntrypoint"] == list(container.PREPROCESS)
    assert request["AppSpecification"]["ContainerArguments"] == [
        "--recipe", "quick", "--bad-file-share", "0.01", "--max-pixels", "50000000", "--max-file-mb", "20",
    ]  # fmt: skip


def test_train_gets_strings_and_what_identifies_its_sources(plain: Any) -> None:
    _, requests, _ = plain
    request = requests[names.TRAIN]
    assert request["HyperParameters"] == {"recipe": "quick", "seed": "0", "source_hash": SOURCE_HASH}
    assert request["AlgorithmSpecification"]["ContainerEntrypoint"] == list(container.TRAIN)
    metrics = {m["Name"]: m["Regex"] for m in request["AlgorithmSpecification"]["MetricDefinitions"]}
    assert metrics == evaluation.TRAINING_METRICS
    assert request["CheckpointConfig"] == {"S3Uri": oracle.START["CheckpointUri"], "LocalPath": "/opt/ml/checkpoints"}
    (channel,) = request["InputDataConfig"]
    assert channel["ChannelName"] == "dataset"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"].endswith("/Preprocess/dataset")
    assert "Environment" not in request


def test_evaluate_gets_the_gate_the_model_the_data_and_the_champion() -> None:
    gate = {
        "min": {"f1": 0.5, "auc": 0.75},
        "min_per_slice": {"recall": 1},
        "max": {"latency_ms": 100},
        "champion_margin": 0.1,
    }
    _, requests, _ = build(gate=gate)
    request = requests[names.EVALUATE]
    assert request["AppSpecification"]["ContainerArguments"] == [
        "--gate-min", "auc=0.75", "--gate-min", "f1=0.5", "--gate-min-per-slice", "recall=1.0",
        "--gate-max", "latency_ms=100.0", "--champion-margin", "0.1",
        "--precision", "float32", "--int8-max-loss", "0.01",
    ]  # fmt: skip
    inputs = {entry["InputName"]: entry["S3Input"]["S3Uri"] for entry in request["ProcessingInputs"]}
    assert inputs["model"].endswith("/output/model.tar.gz")
    assert inputs["champion"] == "s3://b/release/no-champion/"
    assert set(inputs) == {"model", "dataset", "champion"}


def test_without_any_limit_only_the_margin_is_said() -> None:
    _, requests, _ = build(gate={"min": {}, "min_per_slice": {}, "max": {}})
    assert requests[names.EVALUATE]["AppSpecification"]["ContainerArguments"][:2] == ["--champion-margin", "0.03"]


def test_all_jobs_run_the_image_of_these_sources_under_the_job_role(plain: Any) -> None:
    _, requests, settings = plain
    image = f"{settings.names.registry}/cv-factory-dev/training:src-{SOURCE_HASH[:20]}"
    for name in JOBS:
        request = requests[name]
        specification = request.get("AppSpecification") or request["AlgorithmSpecification"]
        assert image in (specification.get("ImageUri"), specification.get("TrainingImage"))
        assert request["RoleArn"] == settings.names.role_arn("job")
        assert {tag["Key"]: tag["Value"] for tag in request["Tags"]} == {"Project": "cv-factory", "Environment": "dev"}


def test_outputs_lie_under_the_run_and_are_encrypted_with_the_bases_key(plain: Any) -> None:
    _, requests, _ = plain
    runs = "s3://cv-factory-dev-artifacts-111122223333/runs/abcdefghijkl"
    alias = "arn:aws:kms:ap-southeast-1:111122223333:alias/cv-factory-dev"
    for name, output in ((names.PREPROCESS, "dataset"), (names.EVALUATE, "evaluation")):
        config = requests[name]["ProcessingOutputConfig"]
        (only,) = config["Outputs"]
        assert only["S3Output"]["S3Uri"] == f"{runs}/{name}/{output}" and config["KmsKeyId"] == alias
        assert only["S3Output"]["LocalPath"] == f"/opt/ml/processing/output/{output}"
    assert requests[names.TRAIN]["OutputDataConfig"] == {
        "S3OutputPath": f"{runs}/Train", "KmsKeyId": alias, "CompressionType": "GZIP",
    }  # fmt: skip


def test_several_instances_share_preprocess_and_the_rest_runs_on_one() -> None:
    changes = {"instance_type": "ml.c5.2xlarge", "instance_count": 3, "volume_gb": 100, "max_minutes": 40320}
    _, requests, _ = build(training=changes)
    clusters = {name: requests[name]["ProcessingResources"]["ClusterConfig"] for name in (JOBS[0], JOBS[2])}
    clusters[names.TRAIN] = requests[names.TRAIN]["ResourceConfig"]
    assert {name: cluster["InstanceCount"] for name, cluster in clusters.items()} == {
        names.PREPROCESS: 3, names.TRAIN: 1, names.EVALUATE: 1,
    }  # fmt: skip
    for cluster in clusters.values():
        assert cluster["InstanceType"] == "ml.c5.2xlarge" and cluster["VolumeSizeInGB"] == 100
    assert requests[names.TRAIN]["StoppingCondition"] == {"MaxRuntimeInSeconds": 40320 * 60}
    assert requests[names.PREPROCESS]["StoppingCondition"] == {"MaxRuntimeInSeconds": 777_600}, "SageMaker's maximum"


def test_spot_waits_as_long_again_as_it_may_train() -> None:
    _, requests, _ = build(training={"spot": True, "max_minutes": 30})
    assert requests[names.TRAIN]["EnableManagedSpotTraining"] is True
    assert requests[names.TRAIN]["StoppingCondition"] == {"MaxRuntimeInSeconds": 1800, "MaxWaitTimeInSeconds": 3600}


def test_results_are_used_again_for_the_days_of_the_settings() -> None:
    definition, _, _ = build(training={"cache_days": 12}, operations={"runs_days": 20})
    for item in steps(definition):
        wanted = {"Enabled": True, "ExpireAfter": "P12D"} if item["Name"] in JOBS else None
        assert item.get("CacheConfig") == wanted, item["Name"]


def test_jobs_are_tried_again_when_capacity_quota_or_the_service_fails(plain: Any) -> None:
    definition, _, _ = plain
    for name in JOBS:
        policies = step(definition, name)["RetryPolicies"]
        kinds = {kind: policy["MaxAttempts"] for policy in policies for kind in policy["ExceptionType"]}
        assert kinds == {
            "Step.SERVICE_FAULT": 5,
            "Step.THROTTLING": 5,
            "SageMaker.CAPACITY_ERROR": 6,
            "SageMaker.RESOURCE_LIMIT": 6,
            "SageMaker.JOB_INTERNAL_ERROR": 2,
        }
        assert all(1 <= p["IntervalSeconds"] <= 43200 and p["BackoffRate"] >= 1 for p in policies)
    (policy,) = step(definition, names.REGISTER)["RetryPolicies"]
    assert policy["ExceptionType"] == ["Step.SERVICE_FAULT", "Step.THROTTLING"]
    # "Retry Policy for Pipeline Steps": a Lambda step takes none, nor does a condition.
    retried = {item["Type"] for item in steps(definition) if "RetryPolicies" in item}
    assert retried == {"Processing", "Training", "RegisterModel"}


SERVER = "arn:aws:sagemaker:ap-southeast-1:111122223333:mlflow-tracking-server/team"


@pytest.mark.parametrize("mlflow", [SERVER, "create"])
def test_a_tracking_server_reaches_train_alone(mlflow: str) -> None:
    """Of a server that Terraform makes the ARN is known before it is there."""
    _, requests, settings = build(tracking={"mlflow": mlflow})
    arn = settings.names.tracking_server_arn if mlflow == "create" else mlflow
    assert requests[names.TRAIN]["Environment"] == {"MLFLOW_TRACKING_URI": arn}
    assert "Environment" not in requests[names.PREPROCESS] and "Environment" not in requests[names.EVALUATE]


# --- network ----------------------------------------------------------------------------------------------------------


def _network(request: dict[str, Any]) -> dict[str, Any]:
    """NetworkConfig of a processing job, or the same members of a training job."""
    keys = ("VpcConfig", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption")
    found = request.get("NetworkConfig") or {key: request[key] for key in keys if key in request}
    assert isinstance(found, dict)
    return found


def test_without_a_vpc_jobs_run_in_sagemakers_network_and_encrypt_between_instances(plain: Any) -> None:
    _, requests, _ = plain
    for name in JOBS:
        assert _network(requests[name]) == {
            "EnableNetworkIsolation": False, "EnableInterContainerTrafficEncryption": True,
        }  # fmt: skip


@pytest.mark.parametrize("isolated", ["preprocess", "train", "evaluate"])
def test_isolation_is_per_step(isolated: str) -> None:
    _, requests, _ = build(network={"isolated": (isolated, "endpoint"), "encrypt_between_instances": False})
    for name in JOBS:
        network = _network(requests[name])
        assert network["EnableNetworkIsolation"] is (name.lower() == isolated)
        assert network["EnableInterContainerTrafficEncryption"] is False


def test_an_existing_vpc_is_written_into_the_definition() -> None:
    subnets, groups = ("subnet-0aaa1111", "subnet-0bbb2222", "subnet-0ccc3333"), ("sg-0ddd4444",)
    existing = {"subnet_ids": subnets, "security_group_ids": groups}
    definition, requests, _ = build(network={"vpc": "existing"}, aws={"existing": existing})
    for name in JOBS:
        assert _network(requests[name])["VpcConfig"] == {"Subnets": list(subnets), "SecurityGroupIds": list(groups)}
    assert "SubnetA" not in {parameter["Name"] for parameter in definition["Parameters"]}


def test_a_vpc_that_terraform_makes_comes_in_by_parameters() -> None:
    definition, requests, _ = build(network={"vpc": "create"})
    declared = [parameter["Name"] for parameter in definition["Parameters"]]
    assert declared[-3:] == ["SubnetA", "SubnetB", "SecurityGroup"]
    for name in JOBS:
        assert _network(requests[name])["VpcConfig"] == {
            "Subnets": [oracle.START["SubnetA"], oracle.START["SubnetB"]],
            "SecurityGroupIds": [oracle.START["SecurityGroup"]],
        }


# --- registry and release ---------------------------------------------------------------------------------------------


def test_existing_roles_are_used() -> None:
    role = "arn:aws:iam::111122223333:role/team/jobs"
    _, requests, _ = build(aws={"existing": {"job_role": role}})
    assert {requests[name]["RoleArn"] for name in JOBS} == {role}


def test_the_lambda_is_told_what_to_do_and_answers_what_others_read(plain: Any) -> None:
    definition, requests, settings = plain
    actions = {
        names.CHAMPION: (release.CHAMPION, release.CHAMPION_OUTPUTS),
        names.KEEP: (release.KEEP, release.KEEP_OUTPUTS),
        names.PUBLISH: (release.PUBLISH, ()),
        names.DEPLOY: (release.DEPLOY, ()),
    }
    for name, (action, outputs) in actions.items():
        call = step(definition, name)
        assert call["FunctionArn"] == settings.names.deployer_arn
        assert requests[name]["action"] == action
        assert tuple(output["OutputName"] for output in call["OutputParameters"]) == outputs
    package = "arn:aws:sagemaker:us-east-1:111122223333:model-package/cv-factory-dev/1"
    assert requests[names.CHAMPION] == {"action": "champion"}
    assert set(requests[names.KEEP]) == {
        "action", "execution_id", "model_uri", "evaluation_uri", "dataset_uri", "started_by",
    }  # fmt: skip
    assert requests[names.KEEP]["execution_id"] == "abcdefghijkl"
    assert requests[names.PUBLISH]["package_arn"] == package
    assert requests[names.PUBLISH]["model_card_uri"].endswith("/model_card.json")
    assert requests[names.DEPLOY]["package_arn"] == package
    assert requests[names.DEPLOY]["reason"] and requests[names.DEPLOY]["execution_id"] == "abcdefghijkl"


def test_a_package_is_pending_names_kept_objects_and_says_where_it_comes_from(plain: Any) -> None:
    _, requests, settings = plain
    request = requests[names.REGISTER]
    assert request["ModelPackageGroupName"] == settings.names.package_group
    assert request["ModelApprovalStatus"] == "PendingManualApproval"
    (only,) = request["InferenceSpecification"]["Containers"]
    assert only["Image"] == f"{settings.names.registry}/cv-factory-dev/inference@{oracle.START['InferenceImageDigest']}"
    assert set(only) == {"Image", "ModelDataUrl", "Environment"}
    assert set(only["Environment"]) == {"CVF_PRECISION"}, "no environment of the SDK's"
    assert request["MetadataProperties"] == {"CommitId": oracle.START["GitSha"]}
    metadata = request["CustomerMetadataProperties"]
    assert metadata[release.META_TRAINING_DIGEST] == oracle.START["TrainingImageDigest"]
    assert metadata[release.META_INFERENCE_DIGEST] == oracle.START["InferenceImageDigest"]
    assert metadata[release.META_EXECUTION] == "abcdefghijkl"
    assert metadata[release.META_STARTED_BY] == oracle.START["StartedBy"]
    later = {release.META_APPROVED_BY, release.META_ORIGIN, release.META_SOAK}
    assert set(metadata) == {value for key, value in vars(release).items() if key.startswith("META_")} - later
    assert "/runs/" not in json.dumps(request), "a package outlives its run"


def test_by_hand_a_run_may_name_another_approval_but_never_an_automatic_one_in_prod() -> None:
    dev, _, _ = build()
    prod, _, _ = build(env="prod", release={"approval": "manual"})

    def approval(definition: dict[str, Any]) -> Any:
        return next(p for p in definition["Parameters"] if p["Name"] == "Approval")

    assert approval(dev) == {
        "Name": "Approval", "Type": "String", "DefaultValue": "automatic", "EnumValues": ["manual", "automatic"],
    }  # fmt: skip
    assert approval(prod)["EnumValues"] == ["manual"]


def test_what_must_be_said_at_a_start(plain: Any) -> None:
    definition, _, _ = plain
    required = {p["Name"] for p in definition["Parameters"] if "DefaultValue" not in p}
    assert required == {"DatasetUri", "CheckpointUri", "TrainingImageDigest", "InferenceImageDigest"}
    with pytest.raises(AssertionError, match="no value for"):
        Resolver(definition, {})
