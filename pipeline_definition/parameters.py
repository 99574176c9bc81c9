"""The pipeline's parameters: what ``pipeline start`` may and must say. Standard library only.

All are strings. SageMaker checks a value against ``EnumValues`` and nothing else, so :func:`start_parameters` checks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.errors import RefusedError, UsageError
from contracts.release import AUTOMATIC, MANUAL, UNKNOWN, recorded_identity
from contracts.s3uri import S3Uri

if TYPE_CHECKING:
    from contracts.settings import Settings

DATASET_URI, CHECKPOINT_URI = "DatasetUri", "CheckpointUri"
APPROVAL = "Approval"
GIT_SHA = "GitSha"
#: The STS identity of who starts: in an environment with four eyes somebody else approves.
STARTED_BY = "StartedBy"
TRAINING_IMAGE_DIGEST, INFERENCE_IMAGE_DIGEST = "TrainingImageDigest", "InferenceImageDigest"
#: Declared only with ``network.vpc: create``: Terraform makes the network, so its ids are no part of the settings.
SUBNET_A, SUBNET_B, SECURITY_GROUP = "SubnetA", "SubnetB", "SecurityGroup"


#: StartPipelineExecution, Parameter.Value.
MAX_VALUE_CHARACTERS = 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared parameter. Without ``default`` a start must give it; empty ``allowed``: any text."""

    name: str
    default: str | None = None
    allowed: tuple[str, ...] = ()


def declared(settings: Settings) -> tuple[Declared, ...]:
    """The parameters of the main pipeline, in the definition's order."""
    approvals = (MANUAL,) if settings.env == "prod" else (MANUAL, AUTOMATIC)
    network = (SUBNET_A, SUBNET_B, SECURITY_GROUP) if settings.network.vpc == "create" else ()
    return (
        Declared(DATASET_URI),
        Declared(CHECKPOINT_URI),
        Declared(APPROVAL, settings.release.approval, approvals),
        Declared(GIT_SHA, UNKNOWN),
        Declared(STARTED_BY, UNKNOWN),
        Declared(TRAINING_IMAGE_DIGEST),
        Declared(INFERENCE_IMAGE_DIGEST),
        *(Declared(name) for name in network),
    )


def start_parameters(
    settings: Settings,
    *,
    dataset_uri: str,
    checkpoint_uri: str,
    training_image_digest: str,
    inference_image_digest: str,
    git_sha: str = "",
    started_by: str = "",
    approval: str | None = None,
    network: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """What ``StartPipelineExecution`` gets: parameter name -> value, checked.

    Args:
        settings: of the environment.
        dataset_uri: ``s3://<data bucket>/datasets/<hash>/``.
        checkpoint_uri: ``s3://<artifact bucket>/checkpoints/<fingerprint>/``.
        training_image_digest: ``sha256:…`` of the training image that the jobs will run.
        inference_image_digest: ``sha256:…`` of the serving image that the package will name.
        git_sha: the commit; empty when there is none.
        started_by: the ARN that STS gives the caller; empty when nobody asked.
        approval: ``manual`` or ``automatic``; by default what ``release.approval`` says.
        network: with ``network.vpc: create`` the field ``network`` of ``release/settings.json``,
            ``{"subnets": [two or more], "security_groups": [one or more]}``.

    Raises:
        UsageError: a value has the wrong form, or the base has no network yet.
        RefusedError: automatic approval in prod.
    """
    values = {
        DATASET_URI: str(S3Uri.parse(dataset_uri).as_prefix),
        CHECKPOINT_URI: str(S3Uri.parse(checkpoint_uri).as_prefix),
        APPROVAL: approval or settings.release.approval,
        GIT_SHA: git_sha or UNKNOWN,
        STARTED_BY: recorded_identity(started_by),
        TRAINING_IMAGE_DIGEST: training_image_digest,
        INFERENCE_IMAGE_DIGEST: inference_image_digest,
    }
    for name in (TRAINING_IMAGE_DIGEST, INFERENCE_IMAGE_DIGEST):
        if not _DIGEST.fullmatch(values[name]):
            raise UsageError(
                f"{name} is {values[name]!r}, which is no image digest", "A digest is sha256: and 64 of 0-9, a-f."
            )
    if settings.env == "prod" and values[APPROVAL] == AUTOMATIC:
        raise RefusedError(f"{APPROVAL} is automatic, but in prod a person approves", "Start it with manual approval.")
    if settings.network.vpc == "create":
        values.update(network_values(network or {}))
    return checked(settings, values)


def checked(settings: Settings, values: Mapping[str, str]) -> dict[str, str]:
    """``values`` as they are, if the pipeline declares each of them, allows it, and misses none.

    Raises:
        UsageError: names the parameter and what is declared.
    """
    known = {parameter.name: parameter for parameter in declared(settings)}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"the pipeline has no parameter {name!r}", f"It has: {', '.join(known)}.")
        allowed = known[name].allowed
        if allowed and value not in allowed:
            raise UsageError(f"{name} is {value!r}", f"Allowed: {', '.join(allowed)}.")
        if not 0 < len(value) <= MAX_VALUE_CHARACTERS:
            raise UsageError(f"{name} has {len(value)} characters", f"Allowed: 1 to {MAX_VALUE_CHARACTERS}.")
    missing = [name for name, parameter in known.items() if parameter.default is None and name not in values]
    if missing:
        raise UsageError(f"the pipeline needs a value for {', '.join(missing)}", "These parameters have no default.")
    return dict(values)


def network_values(network: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The parameters of the network: name -> value.

    Args:
        network: field ``network`` of ``release/settings.json``.

    Raises:
        UsageError: the base has no network yet.
    """
    subnets, groups = network.get("subnets", ()), network.get("security_groups", ())
    if len(subnets) < 2 or not groups:
        raise UsageError(
            "network.vpc is create, but the base has no two subnets and a security group yet",
            "Make them first: cv-factory infra apply; for env local: cv-factory local up.",
        )
    return {SUBNET_A: subnets[0], SUBNET_B: subnets[1], SECURITY_GROUP: groups[0]}
