"""Images in S3, indexed in place: ``s3://bucket/prefix/<class name>/<image>``. Nothing is copied."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from contracts.dataset import ATTRIBUTES_CSV, Dropped
from contracts.errors import DataError
from contracts.s3uri import S3Uri
from cv_factory.operations.sources import Content, Source, SourceImage, attributes, foreign, kind, no_classes, too_deep

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
else:
    S3Client = Any


def scan(root: S3Uri, client: S3Client) -> Source:
    """List the images below a prefix; one LIST call a thousand objects, no image is read.

    Raises:
        DataError: no such bucket, nothing there, images deeper than a class, or a wrong ``attributes.csv``.
    """
    prefix = root.as_prefix
    classes: dict[str, int] = {}
    images: dict[str, SourceImage] = {}
    bad: list[Dropped] = []
    ignored: list[str] = []
    loose = 0
    table_key = ""
    for item in _objects(prefix, client):
        key = item["Key"][len(prefix.key) :]
        parts = key.split("/")
        if not key or any(part.startswith(".") for part in parts):
            continue
        if len(parts) == 1:
            if key == ATTRIBUTES_CSV:
                table_key = item["Key"]
            else:
                loose += kind(key) == "image"
                ignored.append(key)
            continue
        label = parts[0]
        classes.setdefault(label, 0)
        if parts[-1] == "":  # "folder/", what the console makes for an empty folder
            continue
        if len(parts) > 2:
            if kind(key) == "image":
                raise too_deep(str(prefix), key)
            ignored.append(key)
        elif kind(key) == "other":
            ignored.append(key)
        elif kind(key) == "foreign":
            bad.append(foreign(key))
        else:
            etag = item["ETag"].strip('"')
            read = _reader(client, prefix.bucket, item["Key"], etag)
            images[key] = SourceImage(key, label, item["Size"], f"{item['Size']}-{etag}", read)
            classes[label] += 1
    if not classes:
        raise no_classes(str(prefix), loose)
    table = attributes.Table((), {})
    if table_key:
        by_name = {unicodedata.normalize("NFC", key): key for key in (*images, *(item.path for item in bad))}
        data = client.get_object(Bucket=prefix.bucket, Key=table_key)["Body"].read()
        parsed = attributes.parse(data, by_name.keys(), len(classes))
        table = attributes.Table(parsed.slice_columns, {by_name[name]: line for name, line in parsed.lines.items()})
    return Source(
        identity=str(prefix),
        classes=dict(sorted(classes.items())),
        images=tuple(
            replace(images[key], group=line.group, target=line.target, slices=line.slices)
            for key in sorted(images)
            for line in (table.lines.get(key, attributes.NONE),)
        ),
        slice_columns=table.slice_columns,
        bad=tuple(bad),
        ignored=tuple(ignored),
        in_place=prefix,
    )


def _objects(prefix: S3Uri, client: S3Client) -> list[Any]:
    from botocore.exceptions import ClientError

    found: list[Any] = []
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key):
            found.extend(page.get("Contents", []))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "NoSuchBucket":
            raise DataError(f"there is no bucket {prefix.bucket}", "Check the name, and --env.") from None
        raise
    if not found:
        raise DataError(f"there is nothing below {prefix}", f"List it: aws s3 ls {prefix}")
    return found


def _reader(client: S3Client, bucket: str, key: str, etag: str) -> Callable[[], Content]:
    """Reads the very object that was listed; a newer one under the same key is an error of S3 (412)."""

    def read() -> Content:
        answer = client.get_object(Bucket=bucket, Key=key, IfMatch=f'"{etag}"')
        version = answer.get("VersionId", "")
        return Content(answer["Body"].read(), version if version not in ("", "null") else etag)

    return read
