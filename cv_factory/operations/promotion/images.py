"""The serving image of a promoted package in the registry of the environment that it is promoted to.

The manifest is put by digest, after the source's signature over it was verified, and signed with the target's own key.
A registry takes a manifest only when its layers are there. Layers are not copied here: whoever promotes is told how.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from contracts import release
from contracts.errors import ContractError, RefusedError
from cv_factory.operations.base import images
from cv_factory.operations.base.images import Manifest
from deployment import aws

if TYPE_CHECKING:
    from cv_factory.session import Target


def bring(source: Target, target: Target, digest: str, again: str) -> str:
    """Make the image with this digest one of the target's; its URI there.

    Args:
        again: the command to run again when the layers are there.

    Raises:
        RefusedError: the image is not signed by the source, or its layers are not in the target's registry.
    """
    ours, theirs = target.settings.names, source.settings.names
    manifest = _manifest(source, theirs.inference_repository, digest)
    check_signature(source, digest)
    ecr: Any = target.client("ecr")
    tag = manifest.tag
    if _find(target, digest) is None:
        if _tagged(target, tag):
            tag = f"promoted-{digest.partition(':')[2][:12]}"
        try:
            ecr.put_image(
                repositoryName=ours.inference_repository, imageManifest=manifest.text,
                imageManifestMediaType=images.MANIFEST_TYPE, imageTag=tag, imageDigest=digest,
            )  # fmt: skip
        except ecr.exceptions.ImageAlreadyExistsException:
            pass
        except ecr.exceptions.LayersNotFoundException:
            raise _no_layers(source, target, digest, tag, again) from None
    there = Manifest(ours.inference_repository, tag, manifest.text)
    if not _signed(target, digest):
        images.sign(target.client("kms"), target.client("s3"), ours, there)
    _bring_bill(source, target, digest)
    return ours.image(ours.inference_repository, digest=digest)


def _manifest(source: Target, repository: str, digest: str) -> Manifest:
    answer = source.client("ecr").batch_get_image(
        registryId=source.settings.names.account_id, repositoryName=repository, imageIds=[{"imageDigest": digest}],
        acceptedMediaTypes=[images.MANIFEST_TYPE],
    )  # fmt: skip
    if not answer["images"]:
        raise RefusedError(
            f"{repository} of account {source.settings.names.account_id} has no image {digest}",
            "It was deleted there. Run the pipeline again where it comes from.",
        )
    found = answer["images"][0]
    text = found["imageManifest"]
    if "sha256:" + hashlib.sha256(text.encode()).hexdigest() != digest:
        raise ContractError(f"the manifest of {repository}@{digest} has another digest", "The registry is not honest.")
    return Manifest(repository, found["imageId"].get("imageTag") or f"promoted-{digest.partition(':')[2][:12]}", text)


def check_signature(source: Target, digest: str) -> None:
    """Whether the source's key signed this digest for its own repository.

    Raises:
        RefusedError: there is no signature, it is for another image, or it does not hold.
    """
    names = source.settings.names
    wrong = images.doubt(source.client("kms"), source.client("s3"), names, names.inference_repository, digest)
    if wrong:
        raise RefusedError(wrong, "Look who wrote it; then build the image anew there: make images.")


def _find(target: Target, digest: str) -> Any:
    answer = target.client("ecr").batch_get_image(
        repositoryName=target.settings.names.inference_repository, imageIds=[{"imageDigest": digest}]
    )
    return answer["images"][0] if answer["images"] else None


def _tagged(target: Target, tag: str) -> bool:
    answer = target.client("ecr").batch_get_image(
        repositoryName=target.settings.names.inference_repository, imageIds=[{"imageTag": tag}]
    )
    return bool(answer["images"])


def _signed(target: Target, digest: str) -> bool:
    where = target.settings.names.artifacts(release.signature_key(digest))
    return aws.read_json(target.client("s3"), where) is not None


def _bring_bill(source: Target, target: Target, digest: str) -> None:
    """The image's bill of materials, where it has one."""
    key = release.sbom_key(digest)
    value = aws.read_json(source.client("s3"), source.settings.names.artifacts(key))
    if value is not None:
        aws.write_json(target.client("s3"), target.settings.names.artifacts(key), value)


def _no_layers(source: Target, target: Target, digest: str, tag: str, again: str) -> RefusedError:
    ours, theirs = target.settings.names, source.settings.names
    there = theirs.image(theirs.inference_repository, digest=digest)
    here = ours.image(ours.inference_repository, tag=tag)
    return RefusedError(
        f"the registry {ours.registry} has no layers of {there}",
        "Nothing was registered. Copy the image, by digest and unchanged, with either tool; then approve again:\n"
        f"  crane copy {there} {here}\n"
        f"  docker buildx imagetools create --prefer-index=false --tag {here} {there}\n"
        f"  {again}",
    )
