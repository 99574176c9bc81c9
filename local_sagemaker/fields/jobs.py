"""The requests of training, processing and transform jobs."""

from __future__ import annotations

from local_sagemaker.fields import EXECUTED, RECORDED, REFUSED, under

_TAGS = {"Tags": EXECUTED, "Tags.Key": EXECUTED, "Tags.Value": EXECUTED}

_S3_INPUT = {
    "": EXECUTED,
    "S3Uri": EXECUTED,
    "LocalPath": EXECUTED,
    "S3DataType": EXECUTED,
    "S3InputMode": EXECUTED,  # File; another value is refused
    "S3DataDistributionType": EXECUTED,
    "S3CompressionType": EXECUTED,  # None; another value is refused
}

_PROCESSING = {
    "ProcessingInputs": EXECUTED,
    "ProcessingInputs.InputName": EXECUTED,
    "ProcessingInputs.AppManaged": EXECUTED,
    **under("ProcessingInputs.S3Input", _S3_INPUT),
    "ProcessingInputs.DatasetDefinition": REFUSED,
    "ProcessingOutputConfig": EXECUTED,
    "ProcessingOutputConfig.Outputs": EXECUTED,
    "ProcessingOutputConfig.Outputs.OutputName": EXECUTED,
    "ProcessingOutputConfig.Outputs.S3Output": EXECUTED,
    "ProcessingOutputConfig.Outputs.S3Output.S3Uri": EXECUTED,
    "ProcessingOutputConfig.Outputs.S3Output.LocalPath": EXECUTED,
    "ProcessingOutputConfig.Outputs.S3Output.S3UploadMode": EXECUTED,
    "ProcessingOutputConfig.Outputs.FeatureStoreOutput": REFUSED,
    "ProcessingOutputConfig.Outputs.AppManaged": EXECUTED,
    "ProcessingOutputConfig.KmsKeyId": RECORDED,
    "ProcessingJobName": EXECUTED,
    "ProcessingResources": EXECUTED,
    "ProcessingResources.ClusterConfig": EXECUTED,
    "ProcessingResources.ClusterConfig.InstanceCount": EXECUTED,
    "ProcessingResources.ClusterConfig.InstanceType": RECORDED,
    "ProcessingResources.ClusterConfig.VolumeSizeInGB": RECORDED,
    "ProcessingResources.ClusterConfig.VolumeKmsKeyId": RECORDED,
    "ProcessingResources.ClusterConfig.InstancePreferences": REFUSED,
    "ProcessingResources.ClusterConfig.SelectedInstanceType": REFUSED,
    "ProcessingResources.ClusterConfig.SelectedInstanceCount": REFUSED,
    "StoppingCondition": EXECUTED,
    "StoppingCondition.MaxRuntimeInSeconds": EXECUTED,
    "AppSpecification": EXECUTED,
    "AppSpecification.ImageUri": EXECUTED,
    "AppSpecification.ContainerEntrypoint": EXECUTED,
    "AppSpecification.ContainerArguments": EXECUTED,
    "Environment": EXECUTED,
    "NetworkConfig": EXECUTED,
    "NetworkConfig.EnableInterContainerTrafficEncryption": RECORDED,
    "NetworkConfig.EnableNetworkIsolation": EXECUTED,
    "NetworkConfig.VpcConfig": RECORDED,
    "RoleArn": EXECUTED,
    **_TAGS,
    "ExperimentConfig": RECORDED,
}

_ALGORITHM = {
    "": EXECUTED,
    "TrainingImage": EXECUTED,
    "AlgorithmName": REFUSED,
    "TrainingInputMode": EXECUTED,  # File, and FastFile as File; Pipe is refused
    "MetricDefinitions": EXECUTED,
    "MetricDefinitions.Name": EXECUTED,
    "MetricDefinitions.Regex": EXECUTED,
    "EnableSageMakerMetricsTimeSeries": RECORDED,
    "ContainerEntrypoint": EXECUTED,
    "ContainerArguments": EXECUTED,
    "TrainingImageConfig": RECORDED,
}

_CHANNEL = {
    "": EXECUTED,
    "ChannelName": EXECUTED,
    "DataSource": EXECUTED,
    "DataSource.S3DataSource": EXECUTED,
    "DataSource.S3DataSource.S3DataType": EXECUTED,  # S3Prefix and ManifestFile; another value is refused
    "DataSource.S3DataSource.S3Uri": EXECUTED,
    "DataSource.S3DataSource.S3DataDistributionType": EXECUTED,
    "DataSource.S3DataSource.AttributeNames": REFUSED,
    "DataSource.S3DataSource.InstanceGroupNames": REFUSED,
    "DataSource.S3DataSource.ModelAccessConfig": RECORDED,
    "DataSource.S3DataSource.HubAccessConfig": REFUSED,
    "DataSource.FileSystemDataSource": REFUSED,
    "DataSource.DatasetSource": REFUSED,
    "ContentType": EXECUTED,
    "CompressionType": EXECUTED,  # None; another value is refused
    "RecordWrapperType": EXECUTED,  # None; another value is refused
    "InputMode": EXECUTED,
    "ShuffleConfig": REFUSED,
}

_TRAINING = {
    "TrainingJobName": EXECUTED,
    "HyperParameters": EXECUTED,
    **under("AlgorithmSpecification", _ALGORITHM),
    "RoleArn": EXECUTED,
    **under("InputDataConfig", _CHANNEL),
    "OutputDataConfig": EXECUTED,
    "OutputDataConfig.KmsKeyId": RECORDED,
    "OutputDataConfig.S3OutputPath": EXECUTED,
    "OutputDataConfig.CompressionType": EXECUTED,
    "ResourceConfig": EXECUTED,
    "ResourceConfig.InstanceType": RECORDED,
    "ResourceConfig.InstanceCount": EXECUTED,
    "ResourceConfig.VolumeSizeInGB": RECORDED,
    "ResourceConfig.VolumeKmsKeyId": RECORDED,
    "ResourceConfig.KeepAlivePeriodInSeconds": RECORDED,
    "ResourceConfig.InstanceGroups": REFUSED,
    "ResourceConfig.TrainingPlanArn": RECORDED,
    "ResourceConfig.InstancePlacementConfig": REFUSED,
    "ResourceConfig.InstancePreferences": REFUSED,
    "ResourceConfig.SelectedInstanceType": REFUSED,
    "ResourceConfig.SelectedInstanceCount": REFUSED,
    "VpcConfig": RECORDED,
    "StoppingCondition": EXECUTED,
    "StoppingCondition.MaxRuntimeInSeconds": EXECUTED,
    "StoppingCondition.MaxWaitTimeInSeconds": RECORDED,  # spot capacity never runs out here
    "StoppingCondition.MaxPendingTimeInSeconds": RECORDED,
    **_TAGS,
    "EnableNetworkIsolation": EXECUTED,
    "EnableInterContainerTrafficEncryption": RECORDED,
    "EnableManagedSpotTraining": RECORDED,  # runs as on-demand; it is never interrupted
    "CheckpointConfig": EXECUTED,
    "CheckpointConfig.S3Uri": EXECUTED,
    "CheckpointConfig.LocalPath": EXECUTED,
    "DebugHookConfig": RECORDED,  # only a container with the debugger's library reads it
    "DebugRuleConfigurations": REFUSED,
    "TensorBoardOutputConfig": EXECUTED,
    "TensorBoardOutputConfig.LocalPath": EXECUTED,
    "TensorBoardOutputConfig.S3OutputPath": EXECUTED,
    "ExperimentConfig": RECORDED,
    "ProfilerConfig": RECORDED,
    "ProfilerRuleConfigurations": REFUSED,
    "Environment": EXECUTED,
    "RetryStrategy": RECORDED,  # it retries internal errors of AWS only
    "RemoteDebugConfig": RECORDED,
    "RemoteDebugConfig.EnableRemoteDebug": REFUSED,
    "InfraCheckConfig": RECORDED,
    "SessionChainingConfig": RECORDED,
    "SessionChainingConfig.EnableSessionTagChaining": REFUSED,
    "ServerlessJobConfig": REFUSED,
    "MlflowConfig": REFUSED,
    "ModelPackageConfig": REFUSED,
}

_TRANSFORM = {
    "TransformJobName": EXECUTED,
    "ModelName": EXECUTED,
    "MaxConcurrentTransforms": EXECUTED,
    "ModelClientConfig": EXECUTED,
    "ModelClientConfig.InvocationsTimeoutInSeconds": EXECUTED,
    "ModelClientConfig.InvocationsMaxRetries": EXECUTED,
    "MaxPayloadInMB": EXECUTED,
    "BatchStrategy": EXECUTED,
    "Environment": EXECUTED,
    "TransformInput": EXECUTED,
    "TransformInput.DataSource": EXECUTED,
    "TransformInput.DataSource.S3DataSource": EXECUTED,
    "TransformInput.DataSource.S3DataSource.S3DataType": EXECUTED,  # S3Prefix and ManifestFile; another is refused
    "TransformInput.DataSource.S3DataSource.S3Uri": EXECUTED,
    "TransformInput.ContentType": EXECUTED,
    "TransformInput.CompressionType": EXECUTED,
    "TransformInput.SplitType": EXECUTED,  # None and Line; another value is refused
    "TransformOutput": EXECUTED,
    "TransformOutput.S3OutputPath": EXECUTED,
    "TransformOutput.Accept": EXECUTED,
    "TransformOutput.AssembleWith": EXECUTED,
    "TransformOutput.KmsKeyId": RECORDED,
    "DataCaptureConfig": REFUSED,
    "TransformResources": EXECUTED,
    "TransformResources.InstanceType": RECORDED,
    "TransformResources.InstanceCount": EXECUTED,  # containers on this machine
    "TransformResources.VolumeKmsKeyId": RECORDED,
    "TransformResources.TransformAmiVersion": RECORDED,
    "DataProcessing": EXECUTED,
    "DataProcessing.InputFilter": EXECUTED,  # $, which is all; another value is refused
    "DataProcessing.OutputFilter": EXECUTED,  # $, which is all; another value is refused
    "DataProcessing.JoinSource": EXECUTED,  # None; another value is refused
    **_TAGS,
    "ExperimentConfig": RECORDED,
}

FIELDS: dict[str, dict[str, str]] = {
    "CreateTrainingJob": _TRAINING,
    "StopTrainingJob": {"TrainingJobName": EXECUTED},
    "DeleteTrainingJob": {"TrainingJobName": EXECUTED},
    "CreateProcessingJob": _PROCESSING,
    "StopProcessingJob": {"ProcessingJobName": EXECUTED},
    "DeleteProcessingJob": {"ProcessingJobName": EXECUTED},
    "CreateTransformJob": _TRANSFORM,
    "StopTransformJob": {"TransformJobName": EXECUTED},
}

HINTS: dict[str, dict[str, str]] = {
    "CreateTrainingJob": {
        "AlgorithmSpecification.AlgorithmName": "Give an own image as TrainingImage.",
        "DebugRuleConfigurations": "SageMaker Debugger is closed to new customers.",
        "ProfilerRuleConfigurations": "SageMaker Debugger is closed to new customers.",
        "MlflowConfig": "Give the tracking server to the container as an environment variable.",
    },
    "CreateProcessingJob": {
        "ProcessingInputs.DatasetDefinition": "There is no Athena and no Redshift here; give an S3Input.",
    },
    "CreateTransformJob": {"DataCaptureConfig": "Nothing is captured here; the inputs and outputs are in S3."},
}
