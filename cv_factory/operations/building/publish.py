"""Bringing an image into an environment's registry: push, read back what arrived, vouch for it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from contracts import jsonio, release, source
from contracts.errors import FactoryError, RefusedError
from cv_factory.operations import pipeline
from cv_factory.operations.base import images
from cv_factory.operations.base.images import Manifest
from cv_factory.operations.building.engine import Engine
from cv_factory.operations.building.recipe import Built

if TYPE_CHECKING:
    from cv_factory.session import Target


def find(target: Target, image: str) -> str | None:
    """The digest of ``image`` as its sources are now, if the registry has it; None if it must be built.

    Raises:
        RefusedError: it is there and nobody vouches for it.
        FactoryError: there is no repository.
    """
    names = target.settings.names
    repository, tag = names.repository(image), source.source_tag(image)
    ecr = target.client("ecr")
    try:
        ecr.describe_repositories(repositoryNames=[repository])
    except ecr.exceptions.RepositoryNotFoundException:
        raise FactoryError(
            f"there is no repository {repository} in account {names.account_id}",
            f"Make the base first: cv-factory --env {names.env} infra apply",
        ) from None
    digest = pipeline.find_image(target, repository, tag)
    if digest is not None and not is_signed(target, digest):
        raise RefusedError(
            f"{repository}:{tag} is in the registry, {digest}, without a signature",
            "Either a push was cut off before it was signed, or the image is not ours. Delete it, then build again:\n"
            f"  aws ecr batch-delete-image --repository-name {repository} --image-ids imageTag={tag}",
        )
    return digest


def is_signed(target: Target, digest: str) -> bool:
    """Is there a file where the deployer looks for this digest's signature? Who reads it asks whether it holds."""
    bucket, key = target.settings.names.artifact_bucket, release.signature_key(digest)
    listed = target.client("s3").list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    return any(item["Key"] == key for item in listed.get("Contents", []))


def push(target: Target, engine: Engine, built: Built, bill: dict[str, Any]) -> str:
    """Push an image under its tag, sign the digest that arrived, keep its bill of materials; the digest.

    Raises:
        FactoryError: the registry refuses, or what arrived is not what was built.
    """
    names = target.settings.names
    reference = names.image(built.repository, tag=built.tag)
    engine.tag(built.reference, reference)
    try:
        engine.push(reference, login(target))
    finally:
        engine.remove(reference)
    ecr = target.client("ecr")
    answer = ecr.batch_get_image(
        repositoryName=built.repository,
        imageIds=[{"imageTag": built.tag}],
        acceptedMediaTypes=[images.MANIFEST_TYPE],
    )
    if not answer["images"]:
        raise FactoryError(
            f"{reference} was pushed and the registry has no Docker manifest for it: {answer.get('failures')}", _STORE
        )
    manifest = arrived(answer["images"][0]["imageManifest"], built, engine.inspect(built.reference)["Id"])
    target.client("s3").put_object(
        Bucket=names.artifact_bucket,
        Key=release.sbom_key(manifest.digest),
        Body=jsonio.canonical(bill).encode(),
        ContentType="application/vnd.cyclonedx+json",
    )
    images.sign(target.client("kms"), target.client("s3"), names, manifest)
    return manifest.digest


_STORE = (
    "SageMaker refuses OCI manifests. This engine keeps images in containerd and pushed one: switch its feature\n"
    "containerd-snapshotter off in daemon.json (Docker Desktop: Settings, General), delete the tag, and build again."
)


def arrived(text: str, built: Built, image_id: str) -> Manifest:
    """The manifest that a registry has, if it is the Docker manifest of the image that was built here.

    Args:
        text: the manifest, as the registry gives it.
        image_id: the engine's id of the image: the digest of its configuration, or of its manifest.

    Raises:
        FactoryError: another media type, or another image.
    """
    value = json.loads(text)
    manifest = Manifest(built.repository, built.tag, text)
    if value.get("mediaType") != images.MANIFEST_TYPE:
        raise FactoryError(f"{built.reference} arrived in the registry as {value.get('mediaType')}", _STORE)
    if image_id not in (value["config"]["digest"], manifest.digest):
        raise FactoryError(
            f"{built.reference} in the registry is {value['config']['digest']}, and {image_id} was built here",
            "Somebody pushed this tag at the same time. Nothing was signed. Look at both, delete the tag, build again.",
        )
    return manifest


def login(target: Target) -> tuple[str, str]:
    """User and password for the registry of the target's account; the password holds for 12 hours."""
    token = target.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    return user, password
