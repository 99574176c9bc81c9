"""The two clients that deployment needs, what their errors mean, and JSON objects in S3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from botocore.exceptions import ClientError

from contracts import jsonio
from contracts.errors import ContractError
from contracts.release import ReleaseSettings
from contracts.s3uri import S3Uri

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient


_MISSING = (
    "ResourceNotFound", "ResourceNotFoundException", "ObjectNotFoundException", "NoSuchKey", "NoSuchBucket", "404",
    "NotFound",
)  # fmt: skip
#: In a ValidationException; the last is moto's, where Application Auto Scaling has ObjectNotFoundException.
_MISSING_WORDS = ("could not find", "does not exist", "no scalable target found")
#: What S3 answers to a conditional write when another writer was faster.
#: Source: Amazon S3 User Guide, "How to prevent object overwrites with conditional writes".
_LOST_RACE = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


class Session(Protocol):
    """What is used of a boto3 session; in the order of boto3's own overloads, which mypy compares one by one."""

    @overload
    def client(self, service_name: Literal["application-autoscaling"], /) -> Any: ...
    @overload
    def client(self, service_name: Literal["cloudwatch"], /) -> Any: ...
    @overload
    def client(self, service_name: Literal["ecr"], /) -> ECRClient: ...
    @overload
    def client(self, service_name: Literal["kms"], /) -> KMSClient: ...
    @overload
    def client(self, service_name: Literal["logs"], /) -> CloudWatchLogsClient: ...
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
    if code in _MISSING:
        return True
    text = str(error).lower()
    return code == "ValidationException" and any(words in text for words in _MISSING_WORDS)


def is_existing(error: ClientError) -> bool:
    """Does the error say that a resource of that name is there already?

    SageMaker answers ``ValidationException: Cannot create already existing model …``.
    """
    code = error_code(error)
    return code in (
        "ResourceInUse",
        "ResourceInUseException",
        "ConflictException",
        "ResourceAlreadyExistsException",
    ) or (code == "ValidationException" and "already exist" in str(error).lower())


def read_json(s3: S3Client, uri: S3Uri) -> Any | None:
    """The JSON value of an object, None where there is no such object.

    Raises:
        ContractError: the object is not JSON.
    """
    return read_json_and_etag(s3, uri)[0]


def read_json_and_etag(s3: S3Client, uri: S3Uri) -> tuple[Any | None, str]:
    """The JSON value of an object and its ETag; ``(None, "")`` where there is no such object.

    Raises:
        ContractError: the object is not JSON.
    """
    try:
        answer = s3.get_object(Bucket=uri.bucket, Key=uri.key)
        data = answer["Body"].read()
    except ClientError as error:
        if is_missing(error):
            return None, ""
        raise
    try:
        return json.loads(data), answer["ETag"]
    except ValueError as error:
        raise ContractError(f"{uri} is not JSON: {error}") from None


def write_json(s3: S3Client, uri: S3Uri, value: Any) -> None:
    s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=jsonio.canonical(value).encode(), ContentType="application/json")


def write_json_if(s3: S3Client, uri: S3Uri, value: Any, etag: str) -> str | None:
    """Write an object only if it still has ``etag``, or, with an empty one, only if it is not there.

    Returns:
        The new ETag; None where somebody else was faster.
    """
    condition: dict[str, str] = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    body = jsonio.canonical(value).encode()
    try:
        answer = s3.put_object(
            Bucket=uri.bucket, Key=uri.key, Body=body, ContentType="application/json",
            **condition,  # type: ignore[arg-type]
        )  # fmt: skip
    except ClientError as error:
        if error_code(error) in _LOST_RACE or (etag and is_missing(error)):
            return None
        raise
    return answer["ETag"]


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


def pages(call: Callable[..., Mapping[str, Any]], **request: Any) -> Iterator[Mapping[str, Any]]:
    """The pages of a list of SageMaker's, 100 items each.

    As boto3's paginator gives them; making that one reads what every service can page, on each cold start.
    """
    request["MaxResults"] = 100
    while True:
        page = call(**request)
        yield page
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]


def made(create: Callable[[], object]) -> bool:
    """Call ``create``; False: what it creates is there already."""
    try:
        create()
    except ClientError as error:
        if is_existing(error):
            return False
        raise
    return True


def gone(delete: Callable[[], object]) -> None:
    """Call ``delete``; what is not there is gone."""
    try:
        delete()
    except ClientError as error:
        if not is_missing(error):
            raise
