"""The two repositories, and the images of this checkout in them."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from contracts import source
from contracts.errors import ContractError
from cv_factory.operations.base import images as base_images
from cv_factory.operations.doctor.base import apply, missing
from cv_factory.operations.doctor.finding import PROBLEM, WARNING, Finding
from cv_factory.session import Target
from deployment.checks import registry
from deployment.checks.images import PLATFORM
from deployment.checks.registry import Image


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
    """This checkout's images: in the registry, for linux/amd64, signed with the environment's key."""
    names = target.settings.names
    build = "cv-factory local up" if target.is_local else f"make images ENV={names.env}"
    for image in source.IMAGES:
        repository, tag = names.repository(image), source.source_tag(image)
        again = f"aws ecr batch-delete-image --repository-name {repository} --image-ids imageTag={tag}; then {build}"
        found = registry.find(target.client("ecr"), names.account_id, repository, tag=tag)
        if found is None:
            yield from _absent(target, repository, tag, build)
            continue
        yield from _platform(target, found, again)
        try:
            wrong = base_images.doubt(target.client("kms"), target.client("s3"), names, repository, found.digest)
        except ClientError as error:
            if not missing(error):
                raise
            continue  # the checks of the keys and the buckets say so
        if wrong:
            yield Finding("images", PROBLEM, f"nobody vouches for {repository}:{tag}: {wrong}", again)


def _absent(target: Target, repository: str, tag: str, build: str) -> Iterator[Finding]:
    try:
        target.client("ecr").describe_repositories(repositoryNames=[repository])
    except ClientError as error:
        if not missing(error):
            raise
        return  # the check of the repositories says so
    yield Finding("images", PROBLEM, f"{repository} has no image of these sources ({tag})", build)


def _platform(target: Target, image: Image, again: str) -> Iterator[Finding]:
    """SageMaker takes one Docker image for linux/amd64; only its configuration says what it is for."""
    what = f"{image.repository}@{image.digest}"
    try:
        found = registry.platform(target.client("ecr"), target.settings.names.account_id, image)
    except ContractError as error:
        yield Finding("images", PROBLEM, f"{what}: {error.headline}", again)
        return
    if found != PLATFORM:
        yield Finding("images", PROBLEM, f"{what} is for {found}; SageMaker runs {PLATFORM}", again)
