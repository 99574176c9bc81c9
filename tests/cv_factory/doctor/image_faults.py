"""Faults of repositories, images and their signatures."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode

import pytest

from contracts import release, source
from cv_factory.operations.base import images
from tests.cv_factory.doctor.conftest import Healthy
from tests.cv_factory.doctor.faults import fault


@fault("repositories", "can be moved")
def tags_that_move(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("ecr").put_image_tag_mutability(repositoryName=it.names.training_repository, imageTagMutability="MUTABLE")


@fault("images", "has no image of these sources")
def no_image(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("ecr").batch_delete_image(
        repositoryName=it.names.inference_repository, imageIds=[{"imageTag": source.source_tag("inference")}]
    )


@fault("images", "nobody vouches")
def no_signature(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    digest = images.manifest(it.names, "training", source.source_hash("training")).digest
    it.client("s3").delete_object(Bucket=it.names.artifact_bucket, Key=release.signature_key(digest))


@fault("images", "is for linux/arm64")
def an_image_for_another_machine(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    item = images.manifest(it.names, "training", source.source_hash("training"))
    config = item.config.replace(b"amd64", b"arm64")
    text = item.text.replace(_digest(item.config), _digest(config))
    _put_signed(it, images.Manifest(item.repository, item.tag, text, config))


@fault("images", "a list of images")
def a_list_of_images(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    item = images.manifest(it.names, "inference", source.source_hash("inference"))
    kind = "application/vnd.docker.distribution.manifest.list.v2+json"
    entry = {
        "mediaType": images.MANIFEST_TYPE, "size": len(item.text), "digest": item.digest,
        "platform": {"architecture": "amd64", "os": "linux"},
    }  # fmt: skip
    text = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]})
    _put_signed(it, images.Manifest(item.repository, item.tag, text), kind)


@fault("images", "does not hold")
def a_signature_of_another_key(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    kms = it.client("kms")
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    digest = images.manifest(it.names, "training", source.source_hash("training")).digest
    place = {"Bucket": it.names.artifact_bucket, "Key": release.signature_key(digest)}
    stored = json.loads(it.client("s3").get_object(**place)["Body"].read())
    signed = kms.sign(KeyId=key, Message=stored["payload"].encode(), SigningAlgorithm="ECDSA_SHA_256")["Signature"]
    body = json.dumps({**stored, "signature": b64encode(signed).decode()}).encode()
    it.client("s3").put_object(**place, Body=body)


def _put_signed(it: Healthy, item: images.Manifest, kind: str = images.MANIFEST_TYPE) -> None:
    """An image with our tag and a signature that holds, in the place of ours."""
    ecr = it.client("ecr")
    if item.config:
        upload = ecr.initiate_layer_upload(repositoryName=item.repository)["uploadId"]
        part = {"partFirstByte": 0, "partLastByte": len(item.config) - 1, "layerPartBlob": item.config}
        ecr.upload_layer_part(repositoryName=item.repository, uploadId=upload, **part)
        ecr.complete_layer_upload(repositoryName=item.repository, uploadId=upload, layerDigests=[_digest(item.config)])
    ecr.batch_delete_image(repositoryName=item.repository, imageIds=[{"imageTag": item.tag}])
    ecr.put_image(
        repositoryName=item.repository, imageManifest=item.text, imageManifestMediaType=kind, imageTag=item.tag,
        imageDigest=item.digest,
    )  # fmt: skip
    images.sign(it.client("kms"), it.client("s3"), it.names, item)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
