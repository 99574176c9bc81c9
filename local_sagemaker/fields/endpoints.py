"""The requests of models, endpoint configurations and endpoints."""

from __future__ import annotations

from local_sagemaker.fields import EXECUTED, RECORDED, REFUSED, under
from local_sagemaker.fields.registry import S3_MODEL_DATA

_TAGS = {"Tags": EXECUTED, "Tags.Key": EXECUTED, "Tags.Value": EXECUTED}

_CONTAINER = {
    "": EXECUTED,
    "ContainerHostname": RECORDED,
    "Image": EXECUTED,
    "ImageConfig": RECORDED,
    "Mode": EXECUTED,  # SingleModel; CreateModel refuses MultiModel
    "ModelDataUrl": EXECUTED,
    "ModelDataSource": EXECUTED,
    **under("ModelDataSource.S3DataSource", S3_MODEL_DATA),
    "AdditionalModelDataSources": EXECUTED,
    "AdditionalModelDataSources.ChannelName": EXECUTED,
    **under("AdditionalModelDataSources.S3DataSource", S3_MODEL_DATA),
    "Environment": EXECUTED,
    "ModelPackageName": EXECUTED,
    "InferenceSpecificationName": EXECUTED,
    "MultiModelConfig": REFUSED,
    "ContainerMetricsConfig": RECORDED,
}

_VARIANT = {
    "": EXECUTED,
    "VariantName": EXECUTED,
    "ModelName": EXECUTED,
    "InitialInstanceCount": EXECUTED,  # processes on this machine
    "InstanceType": RECORDED,
    "InstancePools": REFUSED,
    "VariantInstanceProvisionTimeoutInSeconds": RECORDED,
    "InitialVariantWeight": EXECUTED,
    "AcceleratorType": RECORDED,
    "CoreDumpConfig": RECORDED,
    "ServerlessConfig": REFUSED,
    "VolumeSizeInGB": RECORDED,
    "ModelDataDownloadTimeoutInSeconds": RECORDED,
    "ContainerStartupHealthCheckTimeoutInSeconds": EXECUTED,
    "EnableSSMAccess": RECORDED,
    "ManagedInstanceScaling": REFUSED,
    "RoutingConfig": EXECUTED,
    "RoutingConfig.RoutingStrategy": EXECUTED,  # CreateEndpointConfig refuses PREFIX_AWARE
    "RoutingConfig.PrefixAwareRoutingConfig": REFUSED,
    "InferenceAmiVersion": RECORDED,
    "CapacityReservationConfig": RECORDED,
}

_CAPACITY = {"": EXECUTED, "Type": EXECUTED, "Value": EXECUTED}
_DEPLOYMENT = {
    "": EXECUTED,
    "BlueGreenUpdatePolicy": EXECUTED,
    "BlueGreenUpdatePolicy.TrafficRoutingConfiguration": EXECUTED,
    "BlueGreenUpdatePolicy.TrafficRoutingConfiguration.Type": EXECUTED,
    "BlueGreenUpdatePolicy.TrafficRoutingConfiguration.WaitIntervalInSeconds": EXECUTED,
    **under("BlueGreenUpdatePolicy.TrafficRoutingConfiguration.CanarySize", _CAPACITY),
    **under("BlueGreenUpdatePolicy.TrafficRoutingConfiguration.LinearStepSize", _CAPACITY),
    "BlueGreenUpdatePolicy.TerminationWaitInSeconds": EXECUTED,
    "BlueGreenUpdatePolicy.MaximumExecutionTimeoutInSeconds": EXECUTED,
    "RollingUpdatePolicy": EXECUTED,
    **under("RollingUpdatePolicy.MaximumBatchSize", _CAPACITY),
    "RollingUpdatePolicy.WaitIntervalInSeconds": EXECUTED,
    "RollingUpdatePolicy.MaximumExecutionTimeoutInSeconds": EXECUTED,
    **under("RollingUpdatePolicy.RollbackMaximumBatchSize", _CAPACITY),
    "AutoRollbackConfiguration": EXECUTED,
    "AutoRollbackConfiguration.Alarms": EXECUTED,
    "AutoRollbackConfiguration.Alarms.AlarmName": EXECUTED,
}

FIELDS: dict[str, dict[str, str]] = {
    "CreateModel": {
        "ModelName": EXECUTED,
        **under("PrimaryContainer", _CONTAINER),
        **under("Containers", _CONTAINER),
        "InferenceExecutionConfig": RECORDED,  # it orders several containers; there is one
        "ExecutionRoleArn": EXECUTED,
        **_TAGS,
        "VpcConfig": RECORDED,
        "EnableNetworkIsolation": EXECUTED,
    },
    "DeleteModel": {"ModelName": EXECUTED},
    "CreateEndpointConfig": {
        "EndpointConfigName": EXECUTED,
        **under("ProductionVariants", _VARIANT),
        # DescribeEndpoint says CaptureStatus Stopped: nothing is captured.
        "DataCaptureConfig": RECORDED,
        **_TAGS,
        "KmsKeyId": RECORDED,
        "AsyncInferenceConfig": REFUSED,
        "ExplainerConfig": REFUSED,
        "ShadowProductionVariants": REFUSED,
        "ExecutionRoleArn": RECORDED,  # for inference components
        "VpcConfig": RECORDED,
        "EnableNetworkIsolation": EXECUTED,
        "MetricsConfig": RECORDED,
    },
    "DeleteEndpointConfig": {"EndpointConfigName": EXECUTED},
    "CreateEndpoint": {
        "EndpointName": EXECUTED,
        "EndpointConfigName": EXECUTED,
        **under("DeploymentConfig", _DEPLOYMENT),  # for the updates to come: RetainDeploymentConfig
        **_TAGS,
    },
    "UpdateEndpoint": {
        "EndpointName": EXECUTED,
        "EndpointConfigName": EXECUTED,
        "RetainAllVariantProperties": EXECUTED,
        "ExcludeRetainedVariantProperties": EXECUTED,
        "ExcludeRetainedVariantProperties.VariantPropertyType": EXECUTED,
        **under("DeploymentConfig", _DEPLOYMENT),
        "RetainDeploymentConfig": EXECUTED,
    },
    "UpdateEndpointWeightsAndCapacities": {
        "EndpointName": EXECUTED,
        "DesiredWeightsAndCapacities": EXECUTED,
        "DesiredWeightsAndCapacities.VariantName": EXECUTED,
        "DesiredWeightsAndCapacities.DesiredWeight": EXECUTED,
        "DesiredWeightsAndCapacities.DesiredInstanceCount": EXECUTED,
        "DesiredWeightsAndCapacities.ServerlessUpdateConfig": REFUSED,
    },
    "DeleteEndpoint": {"EndpointName": EXECUTED},
}

HINTS: dict[str, dict[str, str]] = {
    "CreateEndpointConfig": {
        "ProductionVariants.ServerlessConfig": (
            "Give InstanceType and InitialInstanceCount; serverless endpoints do not run here yet."
        ),
        "ProductionVariants.ManagedInstanceScaling": "It scales inference components, which do not run here.",
        "AsyncInferenceConfig": "Asynchronous endpoints do not run here; use a real-time endpoint.",
        "ShadowProductionVariants": "Shadow variants do not run here; use several production variants.",
    },
}
