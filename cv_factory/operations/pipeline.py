"""The pipeline in SageMaker: its definition, and starting and stopping executions."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts import hashing, jsonio, source
from contracts.errors import FactoryError, UsageError
from contracts.names import SETTINGS_KEY
from contracts.release import CHECKPOINTS_PREFIX
from contracts.s3uri import S3Uri

if TYPE_CHECKING:
    from contracts.settings import Settings
    from cv_factory.session import Target

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"


@dataclass(frozen=True, slots=True)
class Upserted:
    """What :func:`upsert` did: ``created``, ``updated`` or ``unchanged``."""

    arn: str
    action: str
    definition_hash: str


def definition(settings: Settings, state: Path) -> str:
    """The definition's JSON. Built once for what it depends on; kept in the state folder.

    Importing the SageMaker SDK and building takes seconds of CPU, and the definition is a pure function: of the
    settings, the training sources, the code that builds it and the SDK's version.
    """
    import pipeline_definition

    key = hashing.of_value(
        {
            "settings": settings.model_dump(mode="json"),
            "training": source.source_hash("training"),
            "code": {
                path.relative_to(source.root()).as_posix(): hashing.of_file(path)
                for room in ("pipeline_definition", "contracts")
                for path in sorted((source.root() / room).rglob("*"))
                if path.suffix in (".py", ".yaml")
            },
            "sdk": _sdk_version(),
        }
    )[: hashing.SHORT]
    file = state / "definitions" / f"{key}.json"
    if not file.is_file():
        jsonio.write_bytes(file, pipeline_definition.build(settings).encode())
    return file.read_text(encoding="utf-8")


def _sdk_version() -> str:
    try:
        return importlib.metadata.version("sagemaker")
    except importlib.metadata.PackageNotFoundError:
        return ""


def upsert(target: Target) -> Upserted:
    """Create the pipeline, or update it where its definition or role differs; else nothing is sent."""
    settings = target.settings
    text = definition(settings, target.state)
    name, role = settings.names.pipeline, settings.names.role_arn("pipeline")
    digest = hashing.of_bytes(text.encode())
    sagemaker = target.client("sagemaker")
    try:
        there = sagemaker.describe_pipeline(PipelineName=name)
    except sagemaker.exceptions.ClientError as error:
        if not is_missing(error):
            raise
        tags = [{"Key": key, "Value": value} for key, value in sorted(settings.names.tags.items())]
        arn = sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=role, Tags=tags)[
            "PipelineArn"
        ]
        return Upserted(arn, CREATED, digest)
    if there["PipelineDefinition"] == text and there["RoleArn"] == role:
        return Upserted(there["PipelineArn"], UNCHANGED, digest)
    sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=role)
    return Upserted(there["PipelineArn"], UPDATED, digest)


def parameters(target: Target, dataset: S3Uri, dataset_hash: str, approval: str | None = None) -> dict[str, str]:
    """The start parameters for a dataset.

    Raises:
        FactoryError: an image of this source is not in the registry.
    """
    from pipeline_definition import start_parameters
    from training import recipes

    settings = target.settings
    recipe = recipes.resolve(settings.training.recipe)
    fingerprint = recipes.fingerprint(dataset_hash, recipe, source.source_hash("training"), settings.training.seed)
    return start_parameters(
        settings,
        dataset_uri=str(dataset),
        checkpoint_uri=str(settings.names.artifacts(f"{CHECKPOINTS_PREFIX}{fingerprint}/")),
        training_image_digest=image_digest(target, "training"),
        inference_image_digest=image_digest(target, "inference"),
        git_sha=git_sha(),
        started_by=str(target.client("sts").get_caller_identity()["Arn"]),
        approval=approval,
        network=_network(target),
    )


def _network(target: Target) -> Mapping[str, Any]:
    """The subnets and groups that the base made, where the pipeline takes them as parameters."""
    if target.settings.network.vpc != "create":
        return {}
    import deployment

    return deployment.read_settings(target.session, target.settings.names.artifacts(SETTINGS_KEY)).network


def image_digest(target: Target, image: str) -> str:
    """``sha256:…`` of the image (``training`` or ``inference``) that was built from the sources of this checkout.

    Raises:
        FactoryError: it is not in the registry; says how it gets there.
    """
    repository, tag = target.settings.names.repository(image), source.source_tag(image)
    found = find_image(target, repository, tag)
    if found is None:
        how = (
            "The sources changed since the local SageMaker was set up. Run: cv-factory local up"
            if target.is_local
            else f"Build and push it: make images ENV={target.settings.env}"
        )
        raise FactoryError(f"the {image} image of these sources, {repository}:{tag}, is not in the registry", how)
    return found


def find_image(target: Target, repository: str, tag: str) -> str | None:
    """``sha256:…`` of the image that the registry has under a tag; None when there is none."""
    ecr = target.client("ecr")
    try:
        found = ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"]
    except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException):
        return None
    return str(found[0]["imageDigest"]) if found else None


def git_sha() -> str:
    """The commit of this checkout, with ``-dirty`` where tracked files differ from it; empty outside git."""
    root = source.root()

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True).stdout

    try:
        commit = git("rev-parse", "HEAD").strip()
        return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def start(target: Target, values: Mapping[str, str]) -> str:
    """Start an execution; its ARN.

    Raises:
        FactoryError: the pipeline is not there.
    """
    name = target.settings.names.pipeline
    sagemaker = target.client("sagemaker")
    try:
        answer = sagemaker.start_pipeline_execution(
            PipelineName=name,
            PipelineParameters=[{"Name": key, "Value": value} for key, value in sorted(values.items())],
        )
    except sagemaker.exceptions.ClientError as error:
        if is_missing(error):
            raise FactoryError(f"there is no pipeline {name}", "Run: cv-factory pipeline upsert") from None
        raise
    return str(answer["PipelineExecutionArn"])


def retry(target: Target, execution: str) -> None:
    """Run the steps of a failed or stopped execution that did not succeed again, with its own parameters.

    Raises:
        UsageError: the network that the execution was started in has been replaced.
    """
    _check_network(target, execution)
    target.client("sagemaker").retry_pipeline_execution(PipelineExecutionArn=execution)


def _check_network(target: Target, execution: str) -> None:
    """A retry keeps the subnets of its start; jobs in subnets that are gone would fail one by one."""
    from pipeline_definition.parameters import network_values

    if target.settings.network.vpc != "create":
        return
    now = network_values(_network(target))
    pages = target.client("sagemaker").get_paginator("list_pipeline_parameters_for_execution")
    given = {
        item["Name"]: item["Value"]
        for page in pages.paginate(PipelineExecutionArn=execution)
        for item in page["PipelineParameters"]
    }
    gone = [f"{name} {given[name]}" for name in now if name in given and given[name] != now[name]]
    if gone:
        raise UsageError(
            f"the execution was started in a network that is no longer the base's: {', '.join(gone)}",
            "A retry keeps its parameters. Start a new execution, whose cached steps are used again:"
            " cv-factory pipeline start",
        )


def stop(target: Target, execution: str) -> None:
    """Stop an execution and its running jobs."""
    target.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=execution)


def find_execution(target: Target, wanted: str | None) -> str:
    """The ARN of the execution that ``wanted`` names: an ARN, an id, or None for the newest of this pipeline.

    Raises:
        UsageError: there is none.
    """
    name = target.settings.names.pipeline
    sagemaker = target.client("sagemaker")
    try:
        if wanted is None:
            newest = sagemaker.list_pipeline_executions(
                PipelineName=name, SortBy="CreationTime", SortOrder="Descending", MaxResults=1
            )["PipelineExecutionSummaries"]
            if not newest:
                raise UsageError(f"pipeline {name} has not run yet", "Start it: cv-factory run")
            return str(newest[0]["PipelineExecutionArn"])
        arn = wanted if wanted.startswith("arn:") else f"{_pipeline_arn(target)}/execution/{wanted}"
        return str(sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionArn"])
    except sagemaker.exceptions.ClientError as error:
        if not is_missing(error):
            raise
        if wanted is None:
            raise UsageError(f"there is no pipeline {name} yet", "Make and start it: cv-factory run") from None
        raise UsageError(
            f"there is no execution {wanted!r} of pipeline {name}",
            "Name it by its ARN or id, or leave it out for the newest: cv-factory status",
        ) from None


def _pipeline_arn(target: Target) -> str:
    names = target.settings.names
    return f"arn:aws:sagemaker:{names.region}:{names.account_id}:pipeline/{names.pipeline.lower()}"


def is_missing(error: Exception) -> bool:
    """Does a botocore ClientError say that the resource is not there?"""
    from deployment import aws

    return aws.is_missing(error)  # type: ignore[arg-type]
