"""The two repositories, and the images of this checkout in them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from botocore.exceptions import ClientError

from contracts import source
from cv_factory.operations import pipeline
from cv_factory.operations.building import publish
from cv_factory.operations.doctor.base import apply, missing
from cv_factory.operations.doctor.finding import PROBLEM, WARNING, Finding
from cv_factory.session import Target


def repositories(target: Target) -> Iterator[Finding]:
    """Both there; their tags never move; what is pushed is scanned."""
    names, ecr = target.settings.names, target.client("ecr")
    for image in source.IMAGES:
        repository = names.repository(image)
        try:
            found = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
        except ClientError as error:
            if not missing(error):
                raise
            yield Finding("repositories", PROBLEM, f"there is no repository {repository}", apply(target))
            continue
        if found["imageTagMutability"] != "IMMUTABLE":
            yield Finding("repositories", PROBLEM, f"tags of {repository} can be moved to other images", apply(target))
        if not found.get("imageScanningConfiguration", {}).get("scanOnPush"):
            yield Finding("repositories", WARNING, f"{repository} does not scan what is pushed", apply(target))


def images(target: Target) -> Iterator[Finding]:
    """This checkout's images: in the registry, for linux/amd64, signed."""
    names = target.settings.names
    build = "cv-factory local up" if target.is_local else f"make images ENV={names.env}"
    for image in source.IMAGES:
        repository, tag = names.repository(image), source.source_tag(image)
        try:
            digest = pipeline.find_image(target, repository, tag)
        except ClientError as error:
            if not missing(error):
                raise
            continue  # the check of the repositories says so
        if digest is None:
            yield Finding("images", PROBLEM, f"{repository} has no image of these sources ({tag})", build)
            continue
        if not publish.is_signed(target, digest):
            yield Finding(
                "images", PROBLEM, f"nobody vouches for {repository}:{tag}: it has no signature",
                f"aws ecr batch-delete-image --repository-name {repository} --image-ids imageTag={tag}; then {build}",
            )  # fmt: skip
        yield from _kind(target, repository, digest)


def _kind(target: Target, repository: str, digest: str) -> Iterator[Finding]:
    answer = target.client("ecr").batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    manifests = [json.loads(one["imageManifest"]) for one in answer.get("images", [])]
    if any("manifests" in one for one in manifests):
        yield Finding(
            "images", PROBLEM, f"{repository}@{digest} is a list of images; SageMaker wants one for linux/amd64",
            f"Push a single image: make images ENV={target.settings.env}",
        )  # fmt: skip
