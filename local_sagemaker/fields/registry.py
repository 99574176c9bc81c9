"""The requests of the model registry and of tags."""

from __future__ import annotations

from local_sagemaker.fields import EXECUTED, RECORDED, REFUSED, under

#: S3ModelDataSource, as it is used when a model is launched.
S3_MODEL_DATA = {
    "": EXECUTED,
    "S3Uri": EXECUTED,
    "S3DataType": EXECUTED,
    "CompressionType": EXECUTED,
    "ModelAccessConfig": RECORDED,
    "HubAccessConfig": REFUSED,
    "ManifestS3Uri": REFUSED,
    "ETag": RECORDED,
    "ManifestEtag": REFUSED,
}

#: ModelPackageContainerDefinition: what CreateModel takes from a package is executed when the model is launched.
_CONTAINER = {
    "": RECORDED,
    "Image": EXECUTED,
    "ModelDataUrl": EXECUTED,
    "ModelDataSource": EXECUTED,
    **under("ModelDataSource.S3DataSource", S3_MODEL_DATA),
    "Environment": EXECUTED,
    "AdditionalModelDataSources": EXECUTED,
    "AdditionalModelDataSources.ChannelName": EXECUTED,
    **under("AdditionalModelDataSources.S3DataSource", S3_MODEL_DATA),
    "AdditionalS3DataSource": REFUSED,
    "ProductId": REFUSED,
}
_INFERENCE = {"": RECORDED, **under("Containers", _CONTAINER)}

_TAGS = {"Tags": EXECUTED, "Tags.Key": EXECUTED, "Tags.Value": EXECUTED}

FIELDS: dict[str, dict[str, str]] = {
    "CreateModelPackageGroup": {
        "ModelPackageGroupName": EXECUTED,
        "ModelPackageGroupDescription": EXECUTED,
        **_TAGS,
        "ManagedConfiguration": REFUSED,
    },
    "DeleteModelPackageGroup": {"ModelPackageGroupName": EXECUTED},
    # The policy is kept and returned; there is one account, so it grants nobody anything.
    "PutModelPackageGroupPolicy": {"ModelPackageGroupName": EXECUTED, "ResourcePolicy": RECORDED},
    "DeleteModelPackageGroupPolicy": {"ModelPackageGroupName": EXECUTED},
    "CreateModelPackage": {
        "ModelPackageName": EXECUTED,
        "ModelPackageGroupName": EXECUTED,
        "ModelPackageDescription": EXECUTED,
        "ModelPackageRegistrationType": RECORDED,
        **under("InferenceSpecification", _INFERENCE),
        "ValidationSpecification": REFUSED,
        "SourceAlgorithmSpecification": REFUSED,
        "CertifyForMarketplace": REFUSED,
        **_TAGS,
        "ModelApprovalStatus": EXECUTED,
        "MetadataProperties": RECORDED,
        "ModelMetrics": RECORDED,
        "ClientToken": EXECUTED,
        "Domain": RECORDED,
        "Task": RECORDED,
        "SamplePayloadUrl": RECORDED,
        "CustomerMetadataProperties": EXECUTED,
        "DriftCheckBaselines": RECORDED,
        **under("AdditionalInferenceSpecifications", _INFERENCE),
        "SkipModelValidation": RECORDED,
        "SourceUri": RECORDED,
        "SecurityConfig": RECORDED,
        "ModelCard": EXECUTED,
        "ModelCard.ModelCardContent": EXECUTED,
        "ModelCard.ModelCardStatus": EXECUTED,
        "ModelLifeCycle": EXECUTED,
        "ModelLifeCycle.Stage": EXECUTED,
        "ModelLifeCycle.StageStatus": EXECUTED,
        "ModelLifeCycle.StageDescription": EXECUTED,
        "ManagedStorageType": REFUSED,
    },
    "UpdateModelPackage": {
        "ModelPackageArn": EXECUTED,
        "ModelApprovalStatus": EXECUTED,
        "ModelPackageRegistrationType": RECORDED,
        "ApprovalDescription": EXECUTED,
        "CustomerMetadataProperties": EXECUTED,
        "CustomerMetadataPropertiesToRemove": EXECUTED,
        **under("AdditionalInferenceSpecificationsToAdd", _INFERENCE),
        **under("InferenceSpecification", _INFERENCE),
        "SourceUri": RECORDED,
        "ModelCard": EXECUTED,
        "ModelCard.ModelCardContent": EXECUTED,
        "ModelCard.ModelCardStatus": EXECUTED,
        "ModelLifeCycle": EXECUTED,
        "ModelLifeCycle.Stage": EXECUTED,
        "ModelLifeCycle.StageStatus": EXECUTED,
        "ModelLifeCycle.StageDescription": EXECUTED,
        "ClientToken": EXECUTED,
    },
    "DeleteModelPackage": {"ModelPackageName": EXECUTED},
    "AddTags": {"ResourceArn": EXECUTED, **_TAGS},
    "DeleteTags": {"ResourceArn": EXECUTED, "TagKeys": EXECUTED},
}

HINTS: dict[str, dict[str, str]] = {
    "CreateModelPackage": {
        "ValidationSpecification": "It would run batch transform jobs, which do not run here.",
        "SourceAlgorithmSpecification": "There are no algorithm resources here; give an InferenceSpecification.",
        "CertifyForMarketplace": "There is no Marketplace here.",
    }
}
