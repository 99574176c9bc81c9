"""The steps around the model registry: Champion, Keep, Register, Publish, Deploy.

All but Register are calls of the one deployer Lambda, told apart by ``action``. None of them waits for a roll-out.
"""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

from typing import Any

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.properties import Properties
from sagemaker.mlops.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.mlops.workflow.steps import ConfigurableRetryStep, ProcessingStep, StepTypeEnum, TrainingStep

from contracts import invocation, release
from contracts.names import CHAMPION, DEPLOY, KEEP, PUBLISH, REGISTER
from pipeline_definition import jobs, parameters
from pipeline_definition.context import Context


class _Register(ConfigurableRetryStep):  # type: ignore[misc]
    """RegisterModel with the request as CreateModelPackage has it.

    The SDK's way to a ``ModelStep`` is ``ModelBuilder.register``, which adds empty ``SAGEMAKER_PROGRAM`` and
    ``SAGEMAKER_SUBMIT_DIRECTORY`` to the container's environment and wants a model on this machine.
    """

    def __init__(self, context: Context, name: str, request: dict[str, Any]) -> None:
        super().__init__(name, StepTypeEnum.REGISTER_MODEL, retry_policies=context.request_retries)
        self._request = request
        self._properties = Properties(step_name=name, step=self, shape_name="DescribeModelPackageOutput")

    @property
    def arguments(self) -> Any:
        return self._request

    @property
    def properties(self) -> Any:
        return self._properties


def champion(context: Context) -> LambdaStep:
    """Which bundle must the challenger beat? The pinned package's, else that of the highest Approved version."""
    return _call(context, CHAMPION, {"action": release.CHAMPION}, release.CHAMPION_OUTPUTS)


def keep(context: Context, prepared: ProcessingStep, trained: TrainingStep, evaluated: ProcessingStep) -> LambdaStep:
    """Copies what a package will name to ``packages/<bundle hash>/``; answers the URIs, and who knows that bundle."""
    payload = {
        "action": release.KEEP,
        "execution_id": ExecutionVariables.PIPELINE_EXECUTION_ID,
        "model_uri": trained.properties.ModelArtifacts.S3ModelArtifacts,
        "evaluation_uri": jobs.output_uri(evaluated, "evaluation"),
        "dataset_uri": jobs.output_uri(prepared, "dataset"),
        "started_by": context.parameters[parameters.STARTED_BY],
    }
    return _call(context, KEEP, payload, release.KEEP_OUTPUTS)


def register(context: Context, kept: LambdaStep) -> ConfigurableRetryStep:
    """A new version in the package group, pending approval. It names kept objects only, and the image by digest."""
    names = context.names
    given = context.parameters
    out = kept.properties.Outputs
    digest = given[parameters.INFERENCE_IMAGE_DIGEST]
    image = Join(on="@", values=[f"{names.registry}/{names.inference_repository}", digest])
    request = {
        "ModelPackageGroupName": names.package_group,
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [
                {
                    "Image": image,
                    "ModelDataUrl": out["model_uri"],
                    # Whoever makes a model of the package serves the graph that was evaluated.
                    "Environment": {invocation.PRECISION_VARIABLE: out["precision"]},
                }
            ],
            "SupportedContentTypes": list(invocation.CONTENT_TYPES),
            "SupportedResponseMIMETypes": list(invocation.ACCEPTS),
        },
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {"ContentType": invocation.JSON, "S3Uri": out["evaluation_file_uri"]},
            },
        },
        "MetadataProperties": {"CommitId": given[parameters.GIT_SHA]},
        "CustomerMetadataProperties": {
            release.META_BUNDLE_HASH: out["bundle_hash"],
            release.META_DATASET_HASH: out["dataset_hash"],
            release.META_SOURCE_HASH: out["source_hash"],
            release.META_PROTOCOL: out["protocol"],
            release.META_PRECISION: out["precision"],
            release.META_TRAINING_DIGEST: given[parameters.TRAINING_IMAGE_DIGEST],
            release.META_INFERENCE_DIGEST: digest,
            release.META_EXECUTION: ExecutionVariables.PIPELINE_EXECUTION_ID,
            release.META_EVALUATION: out["evaluation_sha256"],
            release.META_REPORT: out["report_sha256"],
            release.META_CHAMPION: out["champion_bundle_hash"],
            release.META_APPROVAL: given[parameters.APPROVAL],
            release.META_STARTED_BY: given[parameters.STARTED_BY],
        },
    }
    return _Register(context, REGISTER, request)


def publish(context: Context, kept: LambdaStep, registered: ConfigurableRetryStep) -> LambdaStep:
    """Attaches the model card. CreateModelPackage takes a card's text, and the text is in a file of another step."""
    payload = {
        "action": release.PUBLISH,
        "package_arn": registered.properties.ModelPackageArn,
        "model_card_uri": kept.properties.Outputs["model_card_uri"],
    }
    return _call(context, PUBLISH, payload)


def deploy(context: Context, registered: ConfigurableRetryStep) -> LambdaStep:
    """Approves the package and starts the reconciliation."""
    payload = {
        "action": release.DEPLOY,
        "package_arn": registered.properties.ModelPackageArn,
        "reason": "Approved by its pipeline: the parameter Approval is automatic.",
        "execution_id": ExecutionVariables.PIPELINE_EXECUTION_ID,
    }
    return _call(context, DEPLOY, payload)


def _call(context: Context, name: str, payload: dict[str, Any], outputs: tuple[str, ...] = ()) -> LambdaStep:
    # By its ARN only: with code or a name the SDK would create or update the function while the definition is built.
    function = Lambda(function_arn=context.names.deployer_arn, session=context.session)
    answers = [LambdaOutput(output, LambdaOutputTypeEnum.String) for output in outputs]
    return LambdaStep(name, lambda_func=function, inputs=payload, outputs=answers)
