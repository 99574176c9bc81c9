"""The two clients that deployment needs, what their errors mean, and JSON objects in S3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from botocore.exceptions import ClientError

from contracts import jsonio
from contracts.errors import ContractError
from contracts.release import ReleaseSettings
from contracts.s3uri import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


class Session(Protocol):
    """What is used of a boto3 session; in the order of boto3's own overloads, which mypy compares one by one."""

    @overload
    def client(self, service_name: Literal["ecr"], /) -> ECRClient: ...
    @overload
    def client(self, service_name: Literal["kms"], /) -> KMSClient: ...
    @overload
    def client(self, service_name: Literal["s3"], /) -> S3Client: ...
    @overload
    def client(self, service_name: Literal["sagemaker"], /) -> SageMakerClient: ...
    @overload
    def client(self, service_name: Literal["sagemaker-runtime"], /) -> SageMakerRuntimeClient: ...


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """Does the error say that the resource or object is not there?

    SageMaker answers ``ValidationException: Could not find …`` or ``… does not exist`` for most of its resources.
    """
    code = error_code(error)
    if code in ("ResourceNotFound", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "404", "NotFound"):
        return True
    text = str(error).lower()
    return code == "ValidationException" and ("could not find" in text or "does not exist" in text)


def is_existing(error: ClientError) -> bool:
    """Does the error say that a resource of that name is there already?

    SageMaker answers ``ValidationException: Cannot create already existing model …``.
    """
    code = error_code(error)
    return code in ("ResourceInUse", "ResourceInUseException", "ConflictException") or (
        code == "ValidationException" and "already exist" in str(error).lower()
    )


def read_json(s3: S3Client, uri: S3Uri) -> Any | None:
    """The JSON value of an object, None where there is no such object.

    Raises:
        ContractError: the object is not JSON.
    """
    try:
        data = s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    try:
        return json.loads(data)
    except ValueError as error:
        raise ContractError(f"{uri} is not JSON: {error}") from None


def write_json(s3: S3Client, uri: S3Uri, value: Any) -> None:
    s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=jsonio.canonical(value).encode(), ContentType="application/json")


def read_settings(session: Session, uri: S3Uri) -> ReleaseSettings:
    """The release settings that the base wrote to ``uri``.

    Raises:
        ContractError: the base is not there, or is of another version of this code.
    """
    value = read_json(session.client("s3"), uri)
    if value is None:
        raise ContractError(
            f"{uri} is missing", "The base has not been applied: cv-factory infra apply, or cv-factory local up."
        )
    return ReleaseSettings.from_json(value)
