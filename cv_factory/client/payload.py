"""Requests: an image as it is, and JSON only where a request is more than that (a URL, a batch)."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts import invocation
from contracts.errors import DataError, UsageError
from cv_factory.client.errors import PayloadTooLargeError

#: An image file's bytes, its path, or (a string that begins with ``https://``) a URL that the endpoint fetches itself.
Image = bytes | str | Path

#: Bytes of a real-time request's body. Source: service model of SageMaker Runtime, InvokeEndpoint, BodyBlob.
MAX_PAYLOAD_BYTES = 6_291_456
URL_START = "https://"

_JPEG, _PNG, _RIFF, _WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"WEBP"


@dataclass(frozen=True, slots=True)
class Payload:
    """A request's body and its content type."""

    body: bytes
    content_type: str


def content_type(data: bytes) -> str:
    """The content type by an image's first bytes; ``application/x-image`` where they tell nothing."""
    if data.startswith(_JPEG):
        return "image/jpeg"
    if data.startswith(_PNG):
        return "image/png"
    if data[:4] == _RIFF and data[8:12] == _WEBP:
        return "image/webp"
    return invocation.ANY_IMAGE


def is_url(image: Image) -> bool:
    return isinstance(image, str) and image.startswith(URL_START)


def single(image: Image, limit: int) -> Payload:
    """The request for one image.

    Raises:
        DataError: the file cannot be read.
        PayloadTooLargeError: it has more than ``limit`` bytes.
    """
    if isinstance(image, str) and is_url(image):
        return for_url(image)
    data = _read(image, limit)
    if len(data) > limit:
        raise _too_large(image, len(data), limit)
    return Payload(data, content_type(data))


def for_url(url: str) -> Payload:
    """The request for an image that the endpoint fetches.

    Raises:
        UsageError: not an https URL.
    """
    if not url.startswith(URL_START):
        raise UsageError(f"{url!r} is no https URL", "The endpoint fetches images by https only.")
    return Payload(json.dumps({"image_url": url}).encode(), invocation.JSON)


def batch(images: Sequence[Image], limit: int) -> Payload:
    """The one request for several images: JSON, so each image becomes base64 and a third larger.

    Raises:
        DataError: a file cannot be read.
        PayloadTooLargeError: the document has more than ``limit`` bytes.
    """
    instances: list[dict[str, str]] = []
    files = 0
    for image in images:
        if isinstance(image, str) and is_url(image):
            instances.append({"image_url": image})
            continue
        data = _read(image, limit)
        files += len(data)
        if files > limit:  # base64 only adds to it
            break
        instances.append({"image": base64.b64encode(data).decode()})
    body = json.dumps({"instances": instances}, separators=(",", ":")).encode()
    if files > limit or len(body) > limit:
        raise PayloadTooLargeError(
            f"the batch of {len(images)} images is too large for one request: {files:,} bytes or more of images,"
            f" and base64 adds a third; at most {limit:,} bytes are allowed",
            "Send fewer at once, or one by one as they are: predict_many.",
        )
    return Payload(body, invocation.JSON)


def _read(image: Image, limit: int) -> bytes:
    """The image's bytes; of a file at most one more than ``limit``."""
    if isinstance(image, bytes):
        return image
    try:
        with Path(image).open("rb") as file:
            data = file.read(limit + 1)
            if len(data) > limit:
                raise _too_large(image, Path(image).stat().st_size, limit)
            return data
    except OSError as error:
        raise DataError(f"{image} cannot be read: {error.strerror or error}") from None


def _too_large(image: Image, size: int, limit: int) -> PayloadTooLargeError:
    what = "the image" if isinstance(image, bytes) else str(image)
    return PayloadTooLargeError(
        f"{what} has {size:,} bytes; a request may have at most {limit:,}",
        "Make it smaller: the model sees fewer pixels anyway. As base64 in JSON it would be a third larger still.",
    )
