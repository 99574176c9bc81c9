"""Checks of what the pipeline's definition counts on."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from cv_factory.operations import pipeline
from cv_factory.operations.unproved.bench import Bench, Execution, definition, s3_input
from cv_factory.operations.unproved.check import TRAINING, ByHand, Check, NotHere, Use, expect
from deployment import aws

#: SageMaker refuses a longer message of a Fail step (API reference: 1 to 3,072 characters); ours have at most 900.
_MESSAGE = "The gate refused the model. " + "0123456789" * 87 + "ab"
_CACHE = {"Enabled": True, "ExpireAfter": "P1D"}


def _own(bench: Bench) -> dict[str, Any]:
    """The environment's own definition."""
    value: dict[str, Any] = json.loads(pipeline.definition(bench.target.settings, bench.target.state))
    return value


def accepted(bench: Bench) -> str:
    text = pipeline.definition(bench.target.settings, bench.target.state)
    name = bench.create_pipeline("definition", text)
    about = bench.client("sagemaker").describe_pipeline(PipelineName=name)
    expect(json.loads(about["PipelineDefinition"]) == json.loads(text), "another definition is stored than was sent")
    return f"accepted, {len(text)} characters, status {about['PipelineStatus']}"


def cache_hits(bench: Bench) -> str:
    """Preprocess and Train of the environment's own definition, twice with the same parameters."""
    from contracts.errors import FactoryError
    from cv_factory.operations.data.importing import latest

    bench.image("training")
    try:
        uri, dataset_hash = latest(bench.target.settings, bench.target.base, bench.target.client)
        values = pipeline.parameters(bench.target, uri, dataset_hash)
    except FactoryError as error:
        raise NotHere(f"{error.headline}. {error.hint}") from None
    own = _own(bench)
    steps = [_within_the_hour(step) for step in own["Steps"] if step["Name"] in ("Preprocess", "Train")]
    values["CheckpointUri"] = str(bench.names.artifacts(f"{bench.prefix('checkpoints/')}"))
    name = bench.create_pipeline("cache", {**own, "Steps": steps})
    first = bench.execute(name, 120, values)
    expect(first.status == "Succeeded", f"the first execution: {first}")
    second = bench.execute(name, 120, values)
    expect(second.status == "Succeeded", f"the second execution: {second}")
    missed = [step["Name"] for step in steps if not second.is_cache_hit(step["Name"])]
    expect(not missed, f"no cache hit: {', '.join(missed)}; {second}")
    return "Preprocess and Train of the second execution are cache hits"


def _within_the_hour(step: dict[str, Any]) -> dict[str, Any]:
    """A job's step that ends within its bound: one instance, an hour, no second try."""
    step = {name: value for name, value in step.items() if name != "RetryPolicies"}
    arguments = {
        **step["Arguments"],
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "EnableManagedSpotTraining": False,
    }
    if step["Type"] == "Processing":
        del arguments["EnableManagedSpotTraining"]
        cluster = {**arguments["ProcessingResources"]["ClusterConfig"], "InstanceCount": 1}
        arguments["ProcessingResources"] = {"ClusterConfig": cluster}
    return {**step, "Arguments": arguments}


def cache_is_blind(bench: Bench) -> str:
    """A cached step whose objects are gone, and a step without a cache that reads them."""
    made = bench.processing("writing", "made.txt", "made", output=str(bench.names.artifacts(f"{bench.prefix()}blind/")))
    key = f"{bench.prefix()}blind/made.txt"
    uri = {"Get": "Steps.Make.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    read = bench.processing("listing", inputs=[s3_input("data", uri)])
    steps = [
        {"Name": "Make", "Type": "Processing", "Arguments": made, "CacheConfig": _CACHE},
        {"Name": "Read", "Type": "Processing", "Arguments": read},
    ]
    name = bench.create_pipeline("blind", definition(*steps))
    first = bench.execute(name, 20)
    expect(first.status == "Succeeded", f"the first execution: {first}")
    bench.client("s3").delete_object(Bucket=bench.names.artifact_bucket, Key=key)
    second = bench.execute(name, 20)
    expect(second.is_cache_hit("Make"), f"the step whose objects are gone ran again: {second}")
    expect(second.status_of("Read") == "Failed", f"the step that reads them did not fail: {second}")
    return f"a cache hit without objects, then: {second.steps['Read'].get('FailureReason', '')}"


def kms_alias(bench: Bench) -> str:
    request = bench.processing(
        "writing", "made.txt", "made", output=str(bench.names.artifacts(f"{bench.prefix()}kms/"))
    )
    request["ProcessingOutputConfig"]["KmsKeyId"] = bench.names.key_alias_arn
    about = bench.run_processing("kms", request)
    expect(about["ProcessingJobStatus"] == "Completed", f"{about['ProcessingJobStatus']}: {_reason(about)}")
    head = bench.client("s3").head_object(Bucket=bench.names.artifact_bucket, Key=f"{bench.prefix()}kms/made.txt")
    key = bench.client("kms").describe_key(KeyId=bench.names.key_alias)["KeyMetadata"]["Arn"]
    used = head.get("SSEKMSKeyId", "")
    expect(used == key, f"the output is encrypted with {used or 'no key of KMS'}, not with {key}")
    return f"accepted; the output is encrypted with the alias's key {key.rsplit('/', 1)[1]}"


def sharded(bench: Bench) -> str:
    count, hosts = 6, 2
    names = [f"{number}.txt" for number in range(count)]
    for name in names:
        bench.put(f"sharded/in/{name}", name.encode())
    folder = str(bench.names.artifacts(f"{bench.prefix()}sharded/in/"))
    manifest = bench.put("sharded/images.manifest", json.dumps([{"prefix": folder}, *names]).encode())
    shared = s3_input("data", str(manifest), S3DataType="ManifestFile", S3DataDistributionType="ShardedByS3Key")
    output = f"{bench.prefix()}sharded/out/"
    request = bench.processing("listing", inputs=[shared], output=str(bench.names.artifacts(output)), instances=hosts)
    about = bench.run_processing("sharded", request)
    expect(about["ProcessingJobStatus"] == "Completed", f"{about['ProcessingJobStatus']}: {_reason(about)}")
    parts = {key.rsplit("/", 1)[1]: json.loads(bench.read(key)) for key in bench.keys(output)}
    told = "; ".join(f"{host.removesuffix('.json')}: {', '.join(part)}" for host, part in sorted(parts.items()))
    expect(len(parts) == hosts and all(parts.values()), f"an instance got nothing: {told}")
    got = sorted(name for part in parts.values() for name in part)
    expect(got == names, f"the parts are not the whole, each once: {told}")
    return told


def json_get(bench: Bench) -> str:
    """The condition of the environment's own step Gate on a file of Evaluate's name, written by a script."""
    own = _own(bench)
    gate = next(step for step in own["Steps"] if step["Name"] == "Gate")
    evaluate = next(step for step in own["Steps"] if step["Name"] == "Evaluate")
    file = evaluate["PropertyFiles"][0]
    text = json.dumps({"gate": {"outcome": "register", "message": "", "reasons": []}})
    output = str(bench.names.artifacts(f"{bench.prefix()}gate/"))
    arguments = bench.processing("writing", file["FilePath"], text, output=output)
    steps: list[dict[str, Any]] = [
        {
            "Name": "Evaluate", "Type": "Processing", "Arguments": arguments,
            "PropertyFiles": [{**file, "OutputName": "out"}],
        },
        {
            "Name": "Gate", "Type": "Condition",
            "Arguments": {
                "Conditions": gate["Arguments"]["Conditions"],
                "IfSteps": [],
                "ElseSteps": [{"Name": "Wrong", "Type": "Fail", "Arguments": {"ErrorMessage": "not read"}}],
            },
        },
    ]  # fmt: skip
    found = bench.execute(bench.create_pipeline("gate", definition(*steps)), 10)
    outcome = found.steps.get("Gate", {}).get("Metadata", {}).get("Condition", {}).get("Outcome")
    expect(found.status == "Succeeded" and outcome == "True", f"Gate's outcome is {outcome}: {found}")
    return "the condition read gate.outcome"


def fail_message(bench: Bench) -> str:
    step = {"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": _MESSAGE}}
    found = bench.execute(bench.create_pipeline("fail", definition(step)), 5)
    shown = found.steps.get("Refuse", {})
    told = shown.get("FailureReason", "") or shown.get("Metadata", {}).get("Fail", {}).get("ErrorMessage", "")
    expect(_MESSAGE in told, f"{len(told)} characters came back of {len(_MESSAGE)}: {told}")
    return f"{len(_MESSAGE)} characters came back whole"


def lambda_step(bench: Bench) -> str:
    """The environment's own step Champion, alone: it only reads."""
    step = next(step for step in _own(bench)["Steps"] if step["Name"] == "Champion")
    if not _function_is_there(bench, step["FunctionArn"]):
        raise NotHere(f"there is no function {bench.names.deployer}: cv-factory --env {bench.names.env} infra apply")
    found = bench.execute(bench.create_pipeline("lambda", definition(step)), 10)
    expect(found.status == "Succeeded", str(found))
    about = found.steps["Champion"]
    outputs = {one["Name"] for one in about.get("Metadata", {}).get("Lambda", {}).get("OutputParameters", [])}
    declared = {one["OutputName"] for one in step["OutputParameters"]}
    expect(outputs == declared, f"outputs {sorted(outputs)}, declared {sorted(declared)}")
    seconds = (about["EndTime"] - about["StartTime"]).total_seconds()
    return f"{seconds:.0f} s, outputs read: {', '.join(sorted(outputs))}"


def _function_is_there(bench: Bench, arn: str) -> bool:
    try:
        bench.client("lambda").get_function(FunctionName=arn)
    except ClientError as error:
        if aws.is_missing(error):
            return False
        raise
    return True


def register(bench: Bench) -> str:
    """A RegisterModel step into a group of this run, by a role of this run: the pipeline's own may use one group."""
    image = bench.image("inference")
    group = bench.make("package-group", "register")
    sagemaker = bench.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=group, Tags=bench.tags)
    step = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": group,
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [{"Image": image, "ModelDataUrl": _archive(bench)}],
                "SupportedContentTypes": ["image/png"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "CustomerMetadataProperties": {
                "bundle_hash": "0" * 64,
                "execution_id": {"Get": "Execution.PipelineExecutionId"},
            },
        },
    }
    role = _registering_role(bench, group)
    found = _execute_with_new_role(bench, "register", definition(step), role)
    expect(found.status == "Succeeded", str(found))
    arn = found.steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    about = sagemaker.describe_model_package(ModelPackageName=arn)
    expect(about["ModelPackageStatus"] == "Completed", f"the package is {about['ModelPackageStatus']}")
    properties = about.get("CustomerMetadataProperties", {})
    expect(properties.get("execution_id") == found.arn.rsplit("/", 1)[1], f"its properties are {properties}")
    digest = about["InferenceSpecification"]["Containers"][0].get("ImageDigest", "none")
    return f"Completed; image digest {digest}"


def _archive(bench: Bench) -> str:
    """The URI of a model archive that no container has to be able to serve."""
    return str(bench.put("registered/model.tar.gz", b"not unpacked by anybody", below="packages/"))


def _registering_role(bench: Bench, group: str) -> str:
    names = bench.names
    base = f"arn:aws:sagemaker:{names.region}:{names.account_id}"
    allowed = [
        {
            "Effect": "Allow",
            "Action": [
                "sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage", "sagemaker:DescribeModelPackageGroup",
            ],
            "Resource": [f"{base}:model-package-group/{group}", f"{base}:model-package/{group}/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["ecr:BatchGetImage", "ecr:DescribeImages"],
            "Resource": f"arn:aws:ecr:{names.region}:{names.account_id}:repository/{names.inference_repository}",
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{names.artifact_bucket}", f"arn:aws:s3:::{names.artifact_bucket}/packages/*"],
        },
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt", "kms:DescribeKey"],
            "Resource": bench.client("kms").describe_key(KeyId=names.key_alias)["KeyMetadata"]["Arn"],
        },
    ]  # fmt: skip
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam = bench.client("iam")
    name = bench.make("role", "register")
    boundary = bench.target.settings.aws.existing.permissions_boundary
    made = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        Tags=bench.tags,
        **({"PermissionsBoundary": boundary} if boundary else {}),
    )
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_role_policy(RoleName=name, PolicyName="register", PolicyDocument=policy)
    return str(made["Role"]["Arn"])


def _execute_with_new_role(bench: Bench, word: str, value: dict[str, Any], role: str) -> Execution:
    """A role that was just made may not be assumable, or not have its policy, for some seconds: three tries."""
    found = None
    for attempt in range(3):
        name = bench.until(lambda: _created(bench, f"{word}-{attempt}", value, role), "the use of a new role", 2)  # noqa: B023
        found = bench.execute(name, 5)
        if found.status == "Succeeded" or "not authorized" not in str(found).lower():
            break
    assert found is not None  # noqa: S101 (range(3) is not empty)
    return found


def _created(bench: Bench, word: str, value: dict[str, Any], role: str) -> str | None:
    try:
        return bench.create_pipeline(word, value, role)
    except ClientError as error:
        if "assume" in str(error).lower() or "role" in str(error).lower():
            return None
        raise


def _reason(about: dict[str, Any]) -> str:
    return str(about.get("FailureReason") or about.get("ExitMessage") or "no reason is given")


TITLE = "Pipeline definition"
ROWS: tuple[Check | ByHand, ...] = (
    Check(
        "pipeline.accepted",
        "`CreatePipeline` with the definition of `pipeline build --env dev`",
        "accepted",
        accepted,
        needs=("the base",),
    ),
    Check(
        "pipeline.cache-hits",
        "`StartPipelineExecution` twice with the same parameters",
        "Preprocess and Train of the second are cache hits: no key field has a time or an execution id",
        cache_hits,
        uses=(Use(TRAINING, 1, 60), Use(TRAINING, 1, 60)),
        needs=("the training image", "imported data"),
    ),
    Check(
        "pipeline.cache-blind",
        "the same, after the objects of the cached step were deleted",
        "the cache does not look: the next step fails. Hence `operations.runs_days` is at least"
        " `training.cache_days` + 7",
        cache_is_blind,
        uses=(Use(TRAINING, 1, 30),),
        needs=("the training image",),
    ),
    Check(
        "pipeline.kms-alias",
        "`CreateProcessingJob` with `KmsKeyId` as the ARN of an alias",
        'accepted; the documents say "alias" for processing jobs and name the ARN form for training jobs only',
        kms_alias,
        uses=(Use(TRAINING, 1, 10),),
        needs=("the training image",),
    ),
    ByHand(
        "`CreateTrainingJob` without `VolumeKmsKeyId`",
        "the volume is encrypted with a key of SageMaker's own",
        "no call shows a job's volume: AWS's documents are all there is, or its support",
    ),
    Check(
        "pipeline.sharded",
        "`CreateProcessingJob` with an input of `S3DataType: ManifestFile`, `ShardedByS3Key`",
        "every instance gets its part of the images",
        sharded,
        uses=(Use(TRAINING, 2, 10),),
        needs=("the training image",),
    ),
    Check(
        "pipeline.json-get",
        "a JsonGet on `evaluation.json` written by Evaluate",
        "the conditions Gate and NothingNew read `gate.outcome`",
        json_get,
        uses=(Use(TRAINING, 1, 10),),
        needs=("the training image",),
    ),
    Check(
        "pipeline.fail-message",
        "a Fail step with a message of 900 characters",
        "whole in the step's `FailureReason`, which the console shows",
        fail_message,
    ),
    Check(
        "pipeline.lambda",
        "a LambdaStep that takes longer than a second",
        "its outputs are read; the step ends after about 10 minutes at the latest, and ours take seconds",
        lambda_step,
        needs=("the base",),
    ),
    Check(
        "pipeline.register",
        "a RegisterModel step with `CustomerMetadataProperties` and an image named by tag",
        "the package is Completed",
        register,
        needs=("the serving image",),
    ),
)
