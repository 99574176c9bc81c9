"""The requests of pipelines and executions."""

from __future__ import annotations

from local_sagemaker.fields import EXECUTED, RECORDED, REFUSED

_PARALLELISM = {"ParallelismConfiguration": EXECUTED, "ParallelismConfiguration.MaxParallelExecutionSteps": EXECUTED}

_PIPELINE = {
    "PipelineName": EXECUTED,
    "PipelineDisplayName": RECORDED,
    "PipelineDefinition": EXECUTED,
    "PipelineDefinitionS3Location": EXECUTED,
    "PipelineDefinitionS3Location.Bucket": EXECUTED,
    "PipelineDefinitionS3Location.ObjectKey": EXECUTED,
    "PipelineDefinitionS3Location.VersionId": REFUSED,
    "PipelineDescription": RECORDED,
    "RoleArn": EXECUTED,
    **_PARALLELISM,
}
_EXECUTION = {"PipelineExecutionDisplayName": RECORDED, "PipelineExecutionDescription": RECORDED, **_PARALLELISM}
_CALLBACK = {
    "CallbackToken": REFUSED,
    "FailureReason": REFUSED,
    "OutputParameters": REFUSED,
    "ClientRequestToken": REFUSED,
}

FIELDS: dict[str, dict[str, str]] = {
    "CreatePipeline": {
        **_PIPELINE,
        "ClientRequestToken": EXECUTED,
        "Tags": EXECUTED,
        "Tags.Key": EXECUTED,
        "Tags.Value": EXECUTED,
    },
    "UpdatePipeline": _PIPELINE,
    "DeletePipeline": {"PipelineName": EXECUTED, "ClientRequestToken": EXECUTED},
    "UpdatePipelineVersion": {
        "PipelineArn": EXECUTED,
        "PipelineVersionId": EXECUTED,
        "PipelineVersionDisplayName": RECORDED,
        "PipelineVersionDescription": RECORDED,
    },
    "StartPipelineExecution": {
        "PipelineName": EXECUTED,
        "PipelineParameters": EXECUTED,
        "PipelineParameters.Name": EXECUTED,
        "PipelineParameters.Value": EXECUTED,
        "ClientRequestToken": EXECUTED,
        **_EXECUTION,
        "SelectiveExecutionConfig": REFUSED,
        "PipelineVersionId": EXECUTED,
        "MlflowExperimentName": REFUSED,
    },
    "StopPipelineExecution": {"PipelineExecutionArn": EXECUTED, "ClientRequestToken": EXECUTED},
    "RetryPipelineExecution": {"PipelineExecutionArn": EXECUTED, "ClientRequestToken": EXECUTED, **_PARALLELISM},
    "UpdatePipelineExecution": {"PipelineExecutionArn": EXECUTED, **_EXECUTION},
    "SendPipelineExecutionStepSuccess": {
        name: kind for name, kind in _CALLBACK.items() if name != "FailureReason"
    },
    "SendPipelineExecutionStepFailure": {
        name: kind for name, kind in _CALLBACK.items() if name != "OutputParameters"
    },
}  # fmt: skip

HINTS: dict[str, dict[str, str]] = {
    "StartPipelineExecution": {
        "SelectiveExecutionConfig": "Start without it: steps with a cache are not run again.",
    },
    "SendPipelineExecutionStepSuccess": {"CallbackToken": "There are no callback steps here; use a Lambda step."},
    "SendPipelineExecutionStepFailure": {"CallbackToken": "There are no callback steps here; use a Lambda step."},
}
