"""Upload what is missing, then seal the prefix: the manifest is written last, so a prefix that has one is whole."""

from __future__ import annotations

import base64
import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from contracts import hashing, jsonio
from contracts.dataset import (
    BLOBS_PREFIX,
    DATASETS_PREFIX,
    IMAGES_MANIFEST,
    MANIFEST,
    SPLIT_CSV,
    ImportedDataset,
    images_manifest,
)
from contracts.errors import DataError, FactoryError
from cv_factory.operations.reporter import Reporter
from cv_factory.operations.sources import Content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
else:
    S3Client = Any

#: Below this many blobs each is asked for by itself; above, the bucket's blobs are listed once.
_HEAD_AT_MOST = 32
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class Blob:
    """A file to keep below ``blobs/``: where it goes, what it must hash to, and how to read it."""

    key: str
    sha256: str
    path: str
    read: Callable[[], Content]


def prefix(dataset: ImportedDataset) -> str:
    """``datasets/<hash>/``."""
    return f"{DATASETS_PREFIX}{dataset.short_hash}/"


def is_complete(client: S3Client, bucket: str, dataset: ImportedDataset) -> bool:
    """Whether the dataset's manifest is there."""
    return _exists(client, bucket, prefix(dataset) + MANIFEST)


def upload(client: S3Client, bucket: str, blobs: Sequence[Blob], reporter: Reporter) -> tuple[int, int]:
    """Upload the blobs that the bucket has not got; (files, bytes) sent.

    S3 checks each body against its SHA-256. Run again after a failure, it sends only what is still missing.

    Raises:
        FactoryError: a file could not be sent; nothing was sealed.
        DataError: a file changed after it was checked.
    """
    wanted = {blob.key: blob for blob in blobs}
    missing = [wanted[key] for key in sorted(wanted.keys() - _present(client, bucket, list(wanted)))]
    if not missing:
        return 0, 0
    sent = size = 0
    with (
        reporter.phase("Uploading images", len(missing)) as advance,
        ThreadPoolExecutor(min(16, 4 * (os.cpu_count() or 1)), thread_name_prefix="upload") as pool,
    ):

        def send(blob: Blob) -> int:
            count = _send(client, bucket, blob)
            advance(1)
            return count

        futures = [pool.submit(send, blob) for blob in missing]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        finished = [future for future in futures if future.done() and not future.cancelled()]
        failures = [error for future in finished if (error := future.exception())]
        sent = len(finished) - len(failures)
        size = sum(future.result() for future in finished if not future.exception())
        if failures:
            raise _failed(failures[0], sent, len(missing), bucket)
    return sent, size


def _send(client: S3Client, bucket: str, blob: Blob) -> int:
    data = blob.read().data
    if hashing.of_bytes(data) != blob.sha256:
        raise DataError(
            f"{blob.path} changed while it was being imported", "Import again when nobody writes to the folder."
        )
    suffix = PurePosixPath(blob.key).suffix
    client.put_object(
        Bucket=bucket,
        Key=BLOBS_PREFIX + blob.key,
        Body=data,
        ContentType=_TYPES.get(suffix, "application/octet-stream"),
        ChecksumSHA256=base64.b64encode(bytes.fromhex(blob.sha256)).decode(),
    )
    return len(data)


def _failed(error: BaseException, sent: int, total: int, bucket: str) -> BaseException:
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, FactoryError) or not isinstance(error, OSError | BotoCoreError | ClientError):
        return error
    return FactoryError(
        f"uploading to s3://{bucket}/{BLOBS_PREFIX} failed after {sent} of {total} images: {error}",
        "Nothing was published: no dataset names these images yet. Is the disk full (of the local SageMaker: df -h), or"
        " the network gone? Run the same command again; it goes on with what is missing.",
    )


def _present(client: S3Client, bucket: str, keys: Sequence[str]) -> set[str]:
    """Which of ``keys`` lie below ``blobs/``."""
    if len(keys) <= _HEAD_AT_MOST:
        return {key for key in keys if _exists(client, bucket, BLOBS_PREFIX + key)}
    found: set[str] = set()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=BLOBS_PREFIX):
        found.update(item["Key"][len(BLOBS_PREFIX) :] for item in page.get("Contents", []))
    return found.intersection(keys)


def _exists(client: S3Client, bucket: str, key: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def seal(client: S3Client, bucket: str, dataset: ImportedDataset) -> bool:
    """Write the dataset's three files, the manifest last; False when another import sealed the same dataset first.

    Raises:
        FactoryError: a write failed; without a manifest the prefix counts as not there.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    where = prefix(dataset)
    files: Mapping[str, tuple[bytes, str]] = {
        IMAGES_MANIFEST: (jsonio.canonical(images_manifest(dataset)).encode(), "application/json"),
        SPLIT_CSV: (_split_csv(dataset), "text/csv"),
    }
    try:
        for name, (body, kind) in files.items():
            client.put_object(Bucket=bucket, Key=where + name, Body=body, ContentType=kind)
        client.put_object(
            Bucket=bucket, Key=where + MANIFEST, Body=jsonio.canonical(dataset.to_json()).encode(),
            ContentType="application/json", IfNoneMatch="*",
        )  # fmt: skip
    except ClientError as error:
        if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
            return False
        raise _unsealed(bucket, where, error) from None
    except BotoCoreError as error:
        raise _unsealed(bucket, where, error) from None
    return True


def _unsealed(bucket: str, where: str, error: Exception) -> FactoryError:
    return FactoryError(
        f"writing s3://{bucket}/{where} failed: {error}",
        "Without its manifest the prefix counts as not there. Run the same command again.",
    )


def _split_csv(dataset: ImportedDataset) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "split"))
    writer.writerows((image.path, image.split) for image in dataset.images)
    return text.getvalue().encode()
