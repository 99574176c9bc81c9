"""Is an image signed by the environment's key? The one place that reads a signature: releases, promotion, doctor."""

from __future__ import annotations

import base64
import binascii
import enum
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from contracts import release
from contracts.errors import ContractError
from contracts.names import Names
from deployment import aws

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client


class Signed(enum.Enum):
    """What is known of an image's signature."""

    HOLDS = enum.auto()
    MISSING = enum.auto()
    NO_SIGNATURE = enum.auto()
    """The file holds something else."""
    OTHER_IMAGE = enum.auto()
    """It says itself that it is of another image."""
    NOT_OURS = enum.auto()
    """Another key made it, or for another image."""


def verify(kms: KMSClient, s3: S3Client, names: Names, repository: str, digest: str) -> Signed:
    """Verify with KMS; what the file says besides its signature is not believed.

    Raises:
        ClientError: a call was refused, so nothing is known.
    """
    try:
        value = aws.read_json(s3, names.artifacts(release.signature_key(digest)))
        if value is None:
            return Signed.MISSING
        stored = release.ImageSignature.from_json(value)
        signature = base64.b64decode(stored.signature, validate=True)
    except (ContractError, binascii.Error, TypeError, ValueError):
        return Signed.NO_SIGNATURE
    payload = release.signed_payload(f"{names.registry}/{repository}", digest)
    if stored.payload != payload:
        return Signed.OTHER_IMAGE
    try:
        answer = kms.verify(
            KeyId=names.signing_key_alias,
            Message=payload.encode(),
            MessageType="RAW",
            Signature=signature,
            SigningAlgorithm="ECDSA_SHA_256",
        )
    except ClientError as error:
        if aws.error_code(error) not in ("KMSInvalidSignatureException", "ValidationException"):
            raise
        return Signed.NOT_OURS
    return Signed.HOLDS if answer["SignatureValid"] else Signed.NOT_OURS
