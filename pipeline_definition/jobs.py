"""The steps that run containers: Preprocess, Train, Evaluate.

Each runs our own image with an entrypoint of its own and no uploaded code: ``source_code`` and ``FrameworkProcessor``
put timestamped prefixes into the fields that the step cache compares, so nothing would ever be a hit.
"""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagemaker.core.network import NetworkConfig
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    MetricDefinition,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
    Tag,
)
from sagemaker.core.training.configs import (
    CheckpointConfig,
    Compute,
    InputData,
    Networking,
    OutputDataConfig,
    StoppingCondition,
)
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.train.model_trainer import ModelTrainer

from contracts import container, dataset, evaluation
from contracts.names import EVALUATE, PREPROCESS, TRAIN
from pipeline_definition import parameters
from pipeline_definition.context import MAX_PROCESSING_SECONDS, Context

#: The property file that the conditions read.
EVALUATION_FILE = PropertyFile(name="Evaluation", output_name="evaluation", path=evaluation.EVALUATION)


class _Processing(ProcessingStep):  # type: ignore[misc]
    """A processing step with exactly our tags: the SDK adds those of a ``.sagemaker-code-config`` above the folder it
    runs in, and a definition must not depend on that."""

    def __init__(self, context: Context, name: str, **options: Any) -> None:
        super().__init__(name, cache_config=context.cache, retry_policies=context.job_retries, **options)
        self._tags = context.tags

    @property
    def arguments(self) -> Any:
        return {**super().arguments, "Tags": self._tags}


class _Training(TrainingStep):  # type: ignore[misc]
    """A training step of our own image: without ``source_code``, ``ModelTrainer`` has no way to name an entrypoint."""

    def __init__(self, context: Context, name: str, **options: Any) -> None:
        super().__init__(name, cache_config=context.cache, retry_policies=context.job_retries, **options)

    @property
    def arguments(self) -> Any:
        request = super().arguments
        request["AlgorithmSpecification"]["ContainerEntrypoint"] = list(container.TRAIN)
        return request


def preprocess(context: Context) -> ProcessingStep:
    """Imported dataset -> prepared dataset, the images shared out between the instances."""
    settings = context.settings
    dataset_uri = context.parameters[parameters.DATASET_URI]
    images = Join(on="", values=[dataset_uri, dataset.IMAGES_MANIFEST])
    processor = _processor(context, "preprocess", container.PREPROCESS, settings.training.instance_count)
    arguments = processor.run(
        inputs=[
            _input("dataset", dataset_uri),
            _input("images", images, s3_data_type="ManifestFile", s3_data_distribution_type="ShardedByS3Key"),
        ],
        outputs=[_output("dataset", context.run_uri(PREPROCESS, "dataset"))],
        arguments=[
            *("--recipe", settings.training.recipe),
            *("--bad-file-share", repr(settings.data.bad_file_share)),
            *("--max-pixels", str(settings.data.max_pixels)),
            *("--max-file-mb", str(settings.data.max_file_mb)),
        ],
    )
    return _Processing(context, PREPROCESS, step_args=arguments)


def train(context: Context, prepared: ProcessingStep) -> TrainingStep:
    """Prepared dataset -> model bundle. Checkpoints lie under a prefix that names what they belong to."""
    settings = context.settings
    training = settings.training
    network = context.network
    tracking = settings.tracking_server_arn
    trainer = ModelTrainer(
        sagemaker_session=context.session,
        base_job_name=TRAIN,
        role=context.job_role,
        training_image=context.training_image,
        training_input_mode="File",
        hyperparameters={
            "recipe": training.recipe,
            "seed": str(training.seed),
            "source_hash": context.source_hash,
        },
        environment={"MLFLOW_TRACKING_URI": tracking} if tracking else {},
        compute=Compute(
            instance_type=training.instance_type,
            instance_count=1,  # Preprocess is what several instances share
            volume_size_in_gb=training.volume_gb,
            enable_managed_spot_training=training.spot,
        ),
        networking=Networking(
            enable_network_isolation=context.isolated("train"),
            enable_inter_container_traffic_encryption=settings.network.encrypt_between_instances,
            subnets=network[0] if network else None,
            security_group_ids=network[1] if network else None,
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=context.max_seconds,
            # Training and waiting for spot capacity together.
            **({"max_wait_time_in_seconds": 2 * context.max_seconds} if training.spot else {}),
        ),
        output_data_config=OutputDataConfig(
            s3_output_path=context.run_uri(TRAIN), kms_key_id=context.names.key_alias_arn, compression_type="GZIP"
        ),
        checkpoint_config=CheckpointConfig(
            s3_uri=context.parameters[parameters.CHECKPOINT_URI], local_path=container.CHECKPOINTS
        ),
        tags=[Tag(key=tag["Key"], value=tag["Value"]) for tag in context.tags],
    ).with_metric_definitions(
        [MetricDefinition(name=name, regex=regex) for name, regex in evaluation.TRAINING_METRICS.items()]
    )
    channels = [InputData(channel_name="dataset", data_source=output_uri(prepared, "dataset"))]
    return _Training(context, TRAIN, step_args=trainer.train(input_data_config=channels))


def evaluate(context: Context, prepared: ProcessingStep, trained: TrainingStep, champion_uri: Any) -> ProcessingStep:
    """Model bundle, prepared dataset and the champion's bundle -> every number, and the verdict."""
    gate = context.settings.gate
    processor = _processor(context, "evaluate", container.EVALUATE, 1)
    arguments = processor.run(
        inputs=[
            _input("model", trained.properties.ModelArtifacts.S3ModelArtifacts),
            _input("dataset", output_uri(prepared, "dataset")),
            _input("champion", champion_uri),
        ],
        outputs=[_output("evaluation", context.run_uri(EVALUATE, "evaluation"))],
        arguments=[
            *_limits("--gate-min", gate.min),
            *_limits("--gate-min-per-slice", gate.min_per_slice),
            *_limits("--gate-max", gate.max),
            *("--champion-margin", repr(gate.champion_margin)),
            *("--precision", context.settings.serving.precision),
            *("--int8-max-loss", repr(context.settings.serving.int8_max_loss)),
        ],
    )
    return _Processing(context, EVALUATE, step_args=arguments, property_files=[EVALUATION_FILE])


def output_uri(step: ProcessingStep, output: str) -> Any:
    """Where the output ``output`` of a processing step lies: known when the step has run."""
    return step.properties.ProcessingOutputConfig.Outputs[output].S3Output.S3Uri


def _limits(option: str, limits: Mapping[Any, float]) -> list[str]:
    return [word for name in sorted(limits) for word in (option, f"{name}={limits[name]!r}")]


def _processor(context: Context, step: str, entrypoint: tuple[str, ...], instances: int) -> Processor:
    settings = context.settings
    network = context.network
    return Processor(
        sagemaker_session=context.session,
        role=context.job_role,
        image_uri=context.training_image,
        entrypoint=list(entrypoint),
        instance_type=settings.training.instance_type,
        instance_count=instances,
        volume_size_in_gb=settings.training.volume_gb,
        output_kms_key=context.names.key_alias_arn,
        max_runtime_in_seconds=min(context.max_seconds, MAX_PROCESSING_SECONDS),
        network_config=NetworkConfig(
            enable_network_isolation=context.isolated(step),
            encrypt_inter_container_traffic=settings.network.encrypt_between_instances,
            subnets=network[0] if network else None,
            security_group_ids=network[1] if network else None,
        ),
    )


def _input(name: str, uri: Any, **options: str) -> ProcessingInput:
    source = {
        "s3_data_type": "S3Prefix", "s3_input_mode": "File", "s3_data_distribution_type": "FullyReplicated", **options
    }  # fmt: skip
    local_path = f"{container.PROCESSING_INPUT}/{name}"
    return ProcessingInput(input_name=name, s3_input=ProcessingS3Input(s3_uri=uri, local_path=local_path, **source))


def _output(name: str, uri: Any) -> ProcessingOutput:
    local_path = f"{container.PROCESSING_OUTPUT}/{name}"
    target = ProcessingS3Output(s3_uri=uri, local_path=local_path, s3_upload_mode="EndOfJob")
    return ProcessingOutput(output_name=name, s3_output=target)
