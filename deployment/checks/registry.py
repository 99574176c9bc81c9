"""Images of the account's own registry, as ECR's API has them: the manifest, the configuration, the scan."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts.errors import ContractError
from deployment import aws

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
#: What a push leaves for one image. Source: CNCF Distribution, "Image Manifest V 2, Schema 2".
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
#: An image's configuration has some kilobytes; a registry that answers with more than this many is not believed.
_MAX_CONFIG_BYTES = 4 * 1024**2
#: Seconds for the connection and for each read of the configuration.
_TIMEOUT = 20


@dataclass(frozen=True, slots=True)
class Image:
    """An image by digest; ``manifest`` is the text whose SHA-256 the digest is."""

    repository: str
    digest: str
    manifest: str


def find(ecr: ECRClient, account_id: str, repository: str, *, digest: str = "", tag: str = "") -> Image | None:
    """The image with this digest or tag; None where the repository, or the registry, has none."""
    wanted: Any = {"imageDigest": digest} if digest else {"imageTag": tag}
    try:
        answer = ecr.batch_get_image(registryId=account_id, repositoryName=repository, imageIds=[wanted])
    except ClientError as error:
        if aws.error_code(error) == "RepositoryNotFoundException":
            return None
        raise
    for found in answer.get("images", []):
        return Image(repository, found["imageId"].get("imageDigest", ""), found["imageManifest"])
    return None


def is_intact(image: Image) -> bool:
    """Is the manifest the one that the digest names?"""
    return "sha256:" + hashlib.sha256(image.manifest.encode()).hexdigest() == image.digest


def platform(ecr: ECRClient, account_id: str, image: Image) -> str:
    """``os/architecture`` of an image, from its configuration: a manifest of one image does not name it.

    Raises:
        ContractError: a list of images or another media type, or a configuration that is not what the manifest says.
    """
    manifest = _json(image.manifest, "the manifest")
    kind = manifest.get("mediaType")
    if kind != MANIFEST_TYPE:
        what = "a list of images" if "manifests" in manifest else f"a manifest of type {kind}"
        raise ContractError(f"the digest names {what}; SageMaker takes one Docker image, {MANIFEST_TYPE}")
    config = manifest.get("config")
    digest = config.get("digest") if isinstance(config, Mapping) else None
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ContractError("the manifest names no configuration")
    value = _json(_config(ecr, account_id, image.repository, digest), "the image's configuration")
    return f"{value.get('os')}/{value.get('architecture')}"


def _config(ecr: ECRClient, account_id: str, repository: str, digest: str) -> bytes:
    """The configuration's bytes. ECR gives a signed URL for it, as for any blob that a pull fetches."""
    try:
        answer = ecr.get_download_url_for_layer(registryId=account_id, repositoryName=repository, layerDigest=digest)
    except ClientError as error:
        if aws.error_code(error) in ("LayersNotFoundException", "LayerInaccessibleException"):
            raise ContractError(f"the registry has no configuration {digest}") from None
        raise
    url = answer["downloadUrl"]
    if not url.startswith(("https://", "http://")):
        raise ContractError(f"the registry names {url.partition(':')[0]!r} for a download, which is no web address")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310  the scheme is checked above
            data: bytes = response.read(_MAX_CONFIG_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise ContractError(f"the registry answered {error.code} for the configuration {digest}") from None
    if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
        raise ContractError(f"the configuration {digest} has another content")
    return data


def _json(data: str | bytes, what: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ContractError(f"{what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ContractError(f"{what} is no JSON object")
    return value


@dataclass(frozen=True, slots=True)
class Scan:
    """What the last scan of an image says.

    Attributes:
        status: ECR's word, empty where the image was never scanned.
        description: ECR's sentence, or empty.
        counts: severity -> number of findings; empty: the scan found nothing.
    """

    status: str
    description: str
    counts: Mapping[str, int]


def scan(ecr: ECRClient, account_id: str, image: Image) -> Scan:
    """The image's last scan, basic or enhanced. One page is enough: each has all counts."""
    try:
        answer = ecr.describe_image_scan_findings(
            registryId=account_id,
            repositoryName=image.repository,
            imageId={"imageDigest": image.digest},
            maxResults=1,
        )
    except ClientError as error:
        if aws.error_code(error) == "ScanNotFoundException":
            return Scan("", "", {})
        raise
    status = answer.get("imageScanStatus", {})
    counts = dict(answer.get("imageScanFindings", {}).get("findingSeverityCounts", {}))
    return Scan(
        str(status.get("status", "")),
        str(status.get("description", "")),
        {str(severity): count for severity, count in counts.items()},
    )
