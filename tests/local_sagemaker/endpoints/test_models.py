"""Models and endpoint configurations through the API."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

IMAGE = "123456789012.dkr.ecr.ap-southeast-1.amazonaws.com/serve:1"
DATA = "s3://models/model.tar.gz"
ARN = "arn:aws:sagemaker:ap-southeast-1:123456789012"


def test_a_model_is_described_as_it_was_given(local: Any) -> None:
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    name = local.model(environment={"A": "/opt/ml/model"}, VpcConfig=vpc, Tags=[{"Key": "k", "Value": "v"}])
    described = local.sagemaker.describe_model(ModelName=name)
    assert described["PrimaryContainer"] == {
        "Image": IMAGE,
        "ModelDataUrl": DATA,
        "Environment": {"A": "/opt/ml/model"},
    }
    assert described["ExecutionRoleArn"] == local.role
    assert described["VpcConfig"] == vpc
    assert described["EnableNetworkIsolation"] is False
    assert described["ModelArn"] == f"{ARN}:model/{name}"
    assert local.sagemaker.list_tags(ResourceArn=described["ModelArn"])["Tags"] == [{"Key": "k", "Value": "v"}]
    assert name in [one["ModelName"] for one in local.sagemaker.list_models(MaxResults=100)["Models"]]
    assert "VpcConfig" not in local.sagemaker.describe_model(ModelName=local.model())
    local.sagemaker.delete_model(ModelName=name)
    with pytest.raises(ClientError, match=f'Could not find model "{ARN}:model/{name}".'):
        local.sagemaker.describe_model(ModelName=name)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "Either PrimaryContainer or Containers must be given"),
        ({"PrimaryContainer": {"Image": IMAGE}, "Containers": [{"Image": IMAGE}]}, "cannot both be given"),
        ({"Containers": [{"Image": IMAGE}, {"Image": IMAGE}]}, "Inference pipelines do not run here"),
        ({"PrimaryContainer": {"ModelDataUrl": DATA}}, "Image or ModelPackageName is required"),
        ({"PrimaryContainer": {"Image": IMAGE, "Mode": "MultiModel"}}, "Mode MultiModel is not supported"),
        ({"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://models/none.tar.gz"}},
         "Could not find model data at s3://models/none.tar.gz."),
        ({"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://no-such-bucket/m.tar.gz"}},
         "Could not find model data at s3://no-such-bucket/m.tar.gz."),
        ({"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "https://s3.amazonaws.com/models/m"}}, "Give an S3 URI"),
        ({"PrimaryContainer": {"Image": IMAGE, "Environment": {f"K{n}": "v" * 1000 for n in range(40)}}}, "32 KB"),
        ({"PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": "arn:aws:iam::123456789012:role/nobody"},
         "Could not assume role arn:aws:iam::123456789012:role/nobody"),
        ({"PrimaryContainer": {"Image": IMAGE, "MultiModelConfig": {"ModelCacheSetting": "Enabled"}}},
         "CreateModel: PrimaryContainer.MultiModelConfig is not supported"),
        ({"PrimaryContainer": {"ModelPackageName": f"{ARN}:model-package/none/1"}},
         f"ModelPackage {ARN}:model-package/none/1 does not exist."),
    ],
)  # fmt: skip
def test_what_a_model_may_not_be(local: Any, request_: dict[str, Any], message: str) -> None:
    request = {"ExecutionRoleArn": local.role} | request_
    with pytest.raises(ClientError, match=message):
        local.sagemaker.create_model(ModelName=local.name("bad"), **request)


def test_a_name_is_given_once(local: Any) -> None:
    name = local.model()
    with pytest.raises(ClientError, match=f'Cannot create already existing model "{ARN}:model/{name}".'):
        local.sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=local.role)
    config = local.config({"model": name})
    arn = f"{ARN}:endpoint-config/{config}"
    with pytest.raises(ClientError, match=f'Cannot create already existing endpoint configuration "{arn}".'):
        local.sagemaker.create_endpoint_config(
            EndpointConfigName=config,
            ProductionVariants=[
                {"VariantName": "v", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.g5.xlarge"}
            ],
        )


def test_a_model_of_a_package_takes_its_image_data_and_environment(local: Any) -> None:
    group = local.name("group")
    local.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    container = {"Image": IMAGE, "ModelDataUrl": DATA, "Environment": {"A": "package", "B": "package"}}
    specification = {"Containers": [container], "SupportedContentTypes": ["a/b"], "SupportedResponseMIMETypes": ["a/b"]}
    arn = local.sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=specification)[
        "ModelPackageArn"
    ]

    def create() -> str:
        name = local.name("model")
        primary = {"ModelPackageName": arn, "Environment": {"B": "model"}}
        local.sagemaker.create_model(ModelName=name, PrimaryContainer=primary, ExecutionRoleArn=local.role)
        return str(name)

    with pytest.raises(ClientError, match="only an Approved model package can be deployed"):
        create()
    local.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    described = local.sagemaker.describe_model(ModelName=create())["PrimaryContainer"]
    assert described["ModelPackageName"] == arn
    assert described["Image"] == IMAGE
    assert described["Environment"] == {"A": "package", "B": "model"}


def test_a_configuration_is_described_as_it_was_given(local: Any) -> None:
    model = local.model()
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 10,
        "DestinationS3Uri": "s3://models/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    name = local.config({"model": model, "InstanceType": "ml.m7i.large"}, DataCaptureConfig=capture, KmsKeyId="key")
    described = local.sagemaker.describe_endpoint_config(EndpointConfigName=name)
    (variant,) = described["ProductionVariants"]
    assert variant["InitialVariantWeight"] == 1.0
    assert variant["InstanceType"] == "ml.m7i.large"
    assert described["DataCaptureConfig"] == capture
    assert described["KmsKeyId"] == "key"
    local.sagemaker.delete_endpoint_config(EndpointConfigName=name)
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        local.sagemaker.describe_endpoint_config(EndpointConfigName=name)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"ModelName": "none"}, f'Could not find model "{ARN}:model/none".'),
        ({"InitialInstanceCount": None}, "InitialInstanceCount is required"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}, "serverless endpoints do not run here"),
        ({"InstanceType": "ml.huge"}, "enum value set"),
        ({"RoutingConfig": {"RoutingStrategy": "PREFIX_AWARE"}}, "PREFIX_AWARE is not supported"),
    ],
)
def test_what_a_variant_may_not_be(local: Any, variant: dict[str, Any], message: str) -> None:
    good = {"VariantName": "v", "ModelName": local.model(), "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    bad = {key: value for key, value in (good | variant).items() if value is not None}
    with pytest.raises(ClientError, match=message):
        local.sagemaker.create_endpoint_config(EndpointConfigName=local.name("bad"), ProductionVariants=[bad])


def test_asynchronous_and_shadow_configurations_are_refused(local: Any) -> None:
    variant = {"VariantName": "v", "ModelName": local.model(), "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    for name, value in (
        ("AsyncInferenceConfig", {"OutputConfig": {"S3OutputPath": "s3://models/out"}}),
        ("ShadowProductionVariants", [variant | {"VariantName": "shadow"}]),
    ):
        with pytest.raises(ClientError, match=f"CreateEndpointConfig: {name} is not supported"):
            local.sagemaker.create_endpoint_config(
                EndpointConfigName=local.name("bad"), ProductionVariants=[variant], **{name: value}
            )


def test_the_registry_over_the_wire(local: Any) -> None:
    sagemaker, group = local.sagemaker, local.name("group")
    group_arn = sagemaker.create_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://models/e.json"}}}
    specification = {
        "Containers": [{"Image": IMAGE, "ModelDataUrl": DATA}],
        "SupportedContentTypes": ["image/png"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    arn = sagemaker.create_model_package(
        ModelPackageGroupName=group_arn,
        InferenceSpecification=specification,
        ModelMetrics=metrics,
        CustomerMetadataProperties={"bundle_hash": "f00"},
    )["ModelPackageArn"]
    assert arn == f"{ARN}:model-package/{group}/1"
    described = sagemaker.describe_model_package(ModelPackageName=arn)
    assert described["ModelMetrics"] == metrics
    assert described["InferenceSpecification"] == specification
    assert described["CreationTime"] <= described["LastModifiedTime"]
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="fine",
        ModelCard={"ModelCardContent": "{}", "ModelCardStatus": "Draft"},
    )
    (listed,) = sagemaker.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")[
        "ModelPackageSummaryList"
    ]
    assert listed["ModelPackageVersion"] == 1
    batch = sagemaker.batch_describe_model_package(ModelPackageArnList=[arn, arn[:-1] + "9"])
    assert list(batch["ModelPackageSummaries"]) == [arn]
    assert list(batch["BatchDescribeModelPackageErrorMap"]) == [arn[:-1] + "9"]
    assert group in [
        one["ModelPackageGroupName"]
        for one in sagemaker.list_model_package_groups(MaxResults=100)["ModelPackageGroupSummaryList"]
    ]
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match=f"ModelPackageGroup {group_arn} does not exist."):
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)


def test_tags_of_resources_that_are_not_ours_stay_with_moto(local: Any) -> None:
    arn = local.sagemaker.create_experiment(ExperimentName=local.name("experiment"))["ExperimentArn"]
    local.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    local.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert local.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    for nothing in (f"{ARN}:endpoint/none", f"{ARN}:nothing/none"):
        with pytest.raises(ClientError, match=f"The resource {nothing} does not exist."):
            local.sagemaker.list_tags(ResourceArn=nothing)
