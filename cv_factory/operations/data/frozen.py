"""The frozen split: ``splits/<id>/split.csv`` of the data bucket. Rows are only ever added, by conditional writes.

A row names a unit and its split: ``group`` for a whole group, else ``path`` and ``sha256`` of an image (either finds it
again: an image that moves to another class folder, or changes its content, keeps its split).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts import hashing, jsonio
from contracts.dataset import SPLIT_CSV, SPLITS, SPLITS_PREFIX
from contracts.errors import ContractError, DataError
from contracts.s3uri import S3Uri
from cv_factory.operations.data import split as splits
from cv_factory.operations.data.split import Item, Unit
from deployment import aws

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from contracts.settings import Data
else:
    S3Client = Data = Any

SPLIT_JSON = "split.json"
LATEST_JSON = "dataset.json"
_COLUMNS = ("group", "path", "sha256", "split")
_ATTEMPTS = 10
#: What S3 answers when another writer was faster (PutObject, conditional writes).
_LOST = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a split that split; any other value is another split."""

    source: str
    protocol: str
    test_share: float
    validation_share: float
    seed: int

    @classmethod
    def of(cls, source: str, data: Data) -> Identity:
        return cls(source, data.protocol, data.test_share, data.validation_share, data.seed)

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def id(self) -> str:
        return hashing.of_value(self.to_json())[: hashing.SHORT]

    @property
    def prefix(self) -> str:
        return f"{SPLITS_PREFIX}{self.id}/"

    def __str__(self) -> str:
        cut = "whole groups only" if self.protocol == splits.GROUP else "images at random"
        return (
            f"protocol {self.protocol} ({cut}), test {self.test_share:g}, validation {self.validation_share:g},"
            f" seed {self.seed}"
        )


@dataclass(frozen=True, slots=True)
class Frozen:
    """``split_of``: path -> split. ``added`` units are new; ``first`` says that the split itself is."""

    split_of: Mapping[str, str]
    added: int
    first: bool


def freeze(client: S3Client, bucket: str, identity: Identity, items: Sequence[Item]) -> Frozen:
    """The split of every item: known units keep theirs, new ones are assigned and written before this returns.

    Two imports at once cannot disagree: the slower one reads the other's rows and assigns only what is still new.

    Raises:
        DataError: a class would be missing from a split (nothing is written then).
        ContractError: the file in S3 is not what this code writes.
    """
    members = splits.units(items, identity.protocol)
    share = splits.shares(identity.test_share, identity.validation_share)
    for _ in range(_ATTEMPTS):
        text, etag = _read(client, bucket, identity.prefix + SPLIT_CSV)
        rows = _parse(text)
        fixed, known = _match(rows, members)
        answer = splits.assign(items, identity.protocol, share, identity.seed, fixed)
        new = sorted((unit for unit in answer if unit not in known), key=lambda unit: (unit.group, unit.path))
        if not new or _write(client, bucket, identity, rows, {unit: answer[unit] for unit in new}, etag):
            return Frozen(
                {item.path: answer[unit] for unit, content in members.items() for item in content},
                len(set(new) - set(fixed)),
                not rows,
            )
    raise DataError(
        f"s3://{bucket}/{identity.prefix}{SPLIT_CSV} kept changing while the split was written",
        "Other imports of the same source are running. Wait for them, then import again.",
    )


def earlier(client: S3Client, bucket: str, identity: Identity) -> list[Identity]:
    """Other splits of the same source in the bucket."""
    found = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=SPLITS_PREFIX):
        for item in page.get("Contents", []):
            if item["Key"].endswith("/" + SPLIT_JSON) and not item["Key"].startswith(identity.prefix):
                value = aws.read_json(client, S3Uri(bucket, item["Key"]))
                if isinstance(value, dict) and value.get("source") == identity.source:
                    found.append(Identity(**value))
    return found


def _read(client: S3Client, bucket: str, key: str) -> tuple[str, str]:
    """Text and ETag of an object; two empty strings when there is none."""
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
    except client.exceptions.NoSuchKey:
        return "", ""
    return answer["Body"].read().decode("utf-8"), answer["ETag"]


def _parse(text: str) -> list[tuple[str, str, str, str]]:
    if not text:
        return []
    reader = csv.reader(io.StringIO(text, newline=""))
    if tuple(next(reader, ())) != _COLUMNS:
        raise ContractError("the frozen split has other columns than " + ", ".join(_COLUMNS))
    rows = []
    for row in reader:
        if len(row) != len(_COLUMNS) or row[3] not in SPLITS:
            raise ContractError(f"the frozen split, line {reader.line_num}: {','.join(row)!r} is no assignment")
        rows.append((row[0], row[1], row[2], row[3]))
    return rows


def _match(
    rows: Sequence[tuple[str, str, str, str]], members: Mapping[Unit, Sequence[Item]]
) -> tuple[dict[Unit, str], set[Unit]]:
    """Units that have a split already, and those of them that are written just so (by group or path)."""
    by_group: dict[str, str] = {}
    by_path: dict[str, str] = {}
    by_content: dict[str, str] = {}
    for group, path, sha256, split in rows:
        if group:
            by_group.setdefault(group, split)
        else:
            by_path.setdefault(path, split)
            by_content.setdefault(sha256, split)
    fixed: dict[Unit, str] = {}
    known: set[Unit] = set()
    for unit in members:
        exact = by_group.get(unit.group) if unit.group else by_path.get(unit.path)
        found = exact or (None if unit.group else by_content.get(unit.sha256))
        if found:
            fixed[unit] = found
        if exact:
            known.add(unit)
    return fixed, known


def _write(
    client: S3Client,
    bucket: str,
    identity: Identity,
    rows: Sequence[tuple[str, str, str, str]],
    new: Mapping[Unit, str],
    etag: str,
) -> bool:
    """Add rows; False when somebody else wrote meanwhile."""
    from botocore.exceptions import ClientError

    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows)
    writer.writerows((unit.group, unit.path, unit.sha256, split) for unit, split in new.items())
    condition: dict[str, str] = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    if not etag:
        client.put_object(
            Bucket=bucket, Key=identity.prefix + SPLIT_JSON, Body=jsonio.pretty(identity.to_json()).encode(),
            ContentType="application/json",
        )  # fmt: skip
    try:
        client.put_object(
            Bucket=bucket, Key=identity.prefix + SPLIT_CSV, Body=text.getvalue().encode(), ContentType="text/csv",
            **condition,  # type: ignore[arg-type]
        )  # fmt: skip
    except ClientError as error:
        if error.response["Error"]["Code"] in _LOST:
            return False
        raise
    return True
