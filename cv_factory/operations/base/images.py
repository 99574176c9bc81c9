"""Manifests and signatures of images. What is not pulled, on a laptop, has both too: every check runs unchanged."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts import jsonio, release, source
from contracts.names import Names
from deployment.checks import signatures
from deployment.checks.signatures import Signed

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image's manifest as the registry has it under its tag: its digest is the SHA-256 of its text.

    ``config`` is the configuration that it names; empty where Docker has pushed that.
    """

    repository: str
    tag: str
    text: str
    config: bytes = b""

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.text.encode()).hexdigest()


def manifest(names: Names, image: str, source_hash: str) -> Manifest:
    """The manifest of ``image`` (training or inference), from the hash of its sources alone: nothing is built for it.

    Source: CNCF Distribution, "Image Manifest V 2, Schema 2".
    """
    config = _config(source_hash)
    text = jsonio.canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": _CONFIG_TYPE, "size": len(config), "digest": _sha256(config)},
            "layers": [{"mediaType": _LAYER_TYPE, "size": len(source_hash), "digest": f"sha256:{source_hash}"}],
        }
    )
    return Manifest(names.repository(image), source.tag(source_hash), text, config)


def _config(source_hash: str) -> bytes:
    return jsonio.canonical({"architecture": "amd64", "os": "linux", "source_hash": source_hash}).encode()


def put(ecr: ECRClient, item: Manifest) -> None:
    """Put the configuration, and the manifest under its tag, unless they are there."""
    if item.config:
        _put_config(ecr, item)
    try:
        ecr.put_image(
            repositoryName=item.repository,
            imageManifest=item.text,
            imageManifestMediaType=MANIFEST_TYPE,
            imageTag=item.tag,
            imageDigest=item.digest,
        )
    except (ecr.exceptions.ImageAlreadyExistsException, ecr.exceptions.ImageTagAlreadyExistsException):
        pass  # the same tag is the same source is the same digest


def _put_config(ecr: ECRClient, item: Manifest) -> None:
    """Upload the configuration as a push does: a blob in one part."""
    digest = _sha256(item.config)
    known = ecr.batch_check_layer_availability(repositoryName=item.repository, layerDigests=[digest])
    if known["layers"]:
        return
    upload = ecr.initiate_layer_upload(repositoryName=item.repository)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=item.repository,
        uploadId=upload,
        partFirstByte=0,
        partLastByte=len(item.config) - 1,
        layerPartBlob=item.config,
    )
    ecr.complete_layer_upload(repositoryName=item.repository, uploadId=upload, layerDigests=[digest])


def sign(kms: KMSClient, s3: S3Client, names: Names, item: Manifest) -> release.ImageSignature:
    """Sign the image's digest with the environment's signing key and store the signature beside the artefacts."""
    payload = release.signed_payload(f"{names.registry}/{item.repository}", item.digest)
    answer = kms.sign(
        KeyId=names.signing_key_alias,
        Message=payload.encode(),
        MessageType="RAW",
        SigningAlgorithm="ECDSA_SHA_256",
    )
    signature = release.ImageSignature(
        digest=item.digest,
        payload=payload,
        signature=base64.b64encode(answer["Signature"]).decode(),
        key=names.signing_key_alias,
    )
    s3.put_object(
        Bucket=names.artifact_bucket,
        Key=release.signature_key(item.digest),
        Body=jsonio.canonical(signature.to_json()).encode(),
        ContentType="application/json",
    )
    return signature


def doubt(kms: KMSClient, s3: S3Client, names: Names, repository: str, digest: str) -> str:
    """What speaks against the image's signature, in words; empty: this environment's key signed this very image."""
    where = names.artifacts(release.signature_key(digest))
    return {
        Signed.HOLDS: "",
        Signed.MISSING: f"the image {digest} is not signed: {where} is missing",
        Signed.NO_SIGNATURE: f"{where} holds no signature",
        Signed.OTHER_IMAGE: f"{where} signs another image",
        Signed.NOT_OURS: f"the signature of the image {digest} does not hold",
    }[signatures.verify(kms, s3, names, repository, digest)]


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
