"""S3 for the server's own work, without HTTP: what SageMaker itself downloads and uploads around a job.

Files given to a job are its own copies: whatever the job does to them, the stored object stays as it is. With a
``role_arn`` each object is read or written as that role; without one, as the server itself.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from local_sagemaker.blobs import Blob, BlobStore
from local_sagemaker.iam.access import Access, Denied
from local_sagemaker.state import State


class ObjectError(Exception):
    """An S3 object that cannot be read or written; the message names its URI."""


class NotFound(ObjectError):
    """No such bucket or object."""


class Forbidden(ObjectError):
    """The role may not; the message is AWS's sentence."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object in a listing; ``size`` in bytes, ``etag`` without quotes."""

    key: str
    size: int
    etag: str


def split(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` as (bucket, key); the key may be empty.

    Raises:
        ObjectError: no S3 URI.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise ObjectError(f"{uri!r} is not an S3 URI (s3://bucket/key)")
    return bucket, key


def relative_path(key: str, prefix: str) -> str:
    """Where the object ``key`` lies below the folder into which ``prefix`` is downloaded.

    As SageMaker does: below ``a/b`` (or ``a/b/``) the object ``a/b/c`` is ``c``; the object ``a/bc``, which the plain
    string prefix ``a/b`` matches too, is ``bc``.
    """
    if key.startswith(prefix) and (not prefix or prefix.endswith("/")) and key != prefix:
        return key[len(prefix) :]
    if key.startswith(prefix + "/"):
        return key[len(prefix) + 1 :]
    return key[prefix.rfind("/") + 1 :]


class Objects:
    """Objects in the buckets of one account."""

    def __init__(self, account_id: str, blobs: BlobStore, state: State, access: Access) -> None:
        self._account_id = account_id
        self._blobs = blobs
        self._state = state
        self._access = access

    def exists(self, uri: str, *, role_arn: str | None = None) -> bool:
        self._demand(role_arn, "s3:GetObject", uri)
        try:
            return self._find(uri) is not None
        except NotFound:
            return False

    def read(self, uri: str, *, role_arn: str | None = None) -> bytes:
        """Raises: NotFound, Forbidden."""
        self._demand(role_arn, "s3:GetObject", uri)
        return self._blobs.read(self._blob(uri))

    def list(self, prefix_uri: str, *, role_arn: str | None = None) -> list[ObjectInfo]:
        """Every object whose key starts with the plain string prefix, by key.

        Raises:
            NotFound: no such bucket.
            Forbidden: the role may not list it.
        """
        self._demand_listing(role_arn, prefix_uri)
        return [ObjectInfo(key, found.size, found.blob.md5) for key, found in self._matching(prefix_uri)]

    def download_file(self, uri: str, path: Path, *, role_arn: str | None = None) -> None:
        """Raises: NotFound, Forbidden; ObjectError: the file cannot be written."""
        self._demand(role_arn, "s3:GetObject", uri)
        self._export(self._blob(uri), path, uri)

    def download_prefix(
        self, uri: str, folder: Path, *, shard: tuple[int, int] = (0, 1), role_arn: str | None = None
    ) -> int:
        """Download what a plain string prefix matches below ``folder``; returns the number of files.

        ``shard`` (index, count): only every count-th object, as ShardedByS3Key deals them out.

        Raises:
            NotFound: no such bucket. A prefix that matches nothing gives 0.
            Forbidden: the role may not.
        """
        self._demand_listing(role_arn, uri)
        bucket, prefix = split(uri)
        index, count = shard
        number = 0
        for key, found in self._matching(uri)[index::count]:
            if key.endswith("/"):  # consoles make such empty objects as folders
                continue
            self._demand(role_arn, "s3:GetObject", f"s3://{bucket}/{key}")
            self._export(
                found.blob, _below(folder, relative_path(key, prefix), f"s3://{bucket}/{key}"), f"s3://{bucket}/{key}"
            )
            number += 1
        return number

    def download_manifest(
        self, uri: str, folder: Path, shard: tuple[int, int] = (0, 1), *, role_arn: str | None = None
    ) -> int:
        """Download what a manifest lists (``[{"prefix": "s3://…"}, "relative/key", …]``); returns the number of files.

        Raises:
            NotFound: the manifest or an object of it.
            ObjectError: no such manifest.
            Forbidden: the role may not.
        """
        index, count = shard
        mine = self.read_manifest(uri, role_arn=role_arn)[index::count]
        for found, name in mine:
            self._demand(role_arn, "s3:GetObject", found)
            self._export(self._blob(found), _below(folder, name, found), found)
        return len(mine)

    def read_manifest(self, uri: str, *, role_arn: str | None = None) -> builtins.list[tuple[str, str]]:
        """URI and relative name of each object that a manifest lists, by name.

        Raises:
            NotFound: there is no such object.
            ObjectError: it is no manifest.
            Forbidden: the role may not read it.
        """
        base, names = _parse_manifest(self.read(uri, role_arn=role_arn), uri)
        return [(base + name, name) for name in sorted(names)]

    def upload_file(self, path: Path, uri: str, *, role_arn: str | None = None) -> None:
        """Raises: NotFound: no such bucket. Forbidden. OSError: the disk is full."""
        self._demand(role_arn, "s3:PutObject", uri)
        self._put(uri, self._blobs.write_file(path))

    def upload_folder(self, folder: Path, uri: str, *, role_arn: str | None = None) -> int:
        """Upload every file below ``folder`` to ``uri`` + its relative path; returns the number. Links are followed."""
        base = uri if uri.endswith("/") else uri + "/"
        number = 0
        for root, folders, files in os.walk(folder, followlinks=True):
            folders.sort()
            for name in sorted(files):
                path = Path(root, name)
                if path.is_file():
                    self.upload_file(path, base + path.relative_to(folder).as_posix(), role_arn=role_arn)
                    number += 1
        return number

    def write(self, uri: str, data: bytes, *, role_arn: str | None = None) -> None:
        """Raises: NotFound: no such bucket. Forbidden. OSError: the disk is full."""
        self._demand(role_arn, "s3:PutObject", uri)
        self._put(uri, self._blobs.write(data))

    def _demand(self, role_arn: str | None, action: str, uri: str) -> None:
        bucket, key = split(uri)
        try:
            self._access.object(role_arn, action, bucket, key)
        except Denied as error:
            raise Forbidden(error.message) from None

    def _demand_listing(self, role_arn: str | None, uri: str) -> None:
        bucket, prefix = split(uri)
        try:
            self._access.object(role_arn, "s3:ListBucket", bucket, "", prefix)
        except Denied as error:
            raise Forbidden(error.message) from None

    def _put(self, uri: str, blob: Blob) -> None:
        bucket, key = split(uri)
        self._bucket(bucket)
        with self._missing(uri), self._state.using("s3"):
            self._backend().put_object(bucket, key, blob)
        self._state.changed("s3", "sqs", "sns")  # the bucket's notifications

    def _blob(self, uri: str) -> Blob:
        found = self._find(uri)
        if found is None:
            raise NotFound(f"No such object: {uri}")
        blob: Blob = found.blob
        return blob

    def _find(self, uri: str) -> Any:
        from moto.s3.models import FakeKey

        bucket, key = split(uri)
        found = self._bucket(bucket).keys.get(key)
        return found if isinstance(found, FakeKey) else None

    def _matching(self, uri: str) -> builtins.list[tuple[str, Any]]:
        from moto.s3.models import FakeKey

        bucket, prefix = split(uri)
        keys = self._bucket(bucket).keys
        names = sorted(name for name in list(dict.keys(keys)) if name.startswith(prefix))
        found = ((name, keys.get(name)) for name in names)
        return [(name, key) for name, key in found if isinstance(key, FakeKey)]

    def _export(self, blob: Blob, path: Path, uri: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._blobs.export(blob, path)
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            raise ObjectError(f"{uri} cannot be a file here: another object needs {path} as a folder") from error

    def _bucket(self, name: str) -> Any:
        with self._missing(f"s3://{name}"):
            return self._backend().get_bucket(name)

    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[self._account_id]["aws"]

    @contextlib.contextmanager
    def _missing(self, uri: str) -> Iterator[None]:
        from moto.s3.exceptions import MissingBucket

        try:
            yield
        except MissingBucket:
            raise NotFound(f"No such bucket: {uri}") from None


def _below(folder: Path, name: str, uri: str) -> Path:
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        raise ObjectError(f"{uri}: the key leads out of the download folder")
    return folder / name


def _parse_manifest(data: bytes, uri: str) -> tuple[str, list[str]]:
    try:
        entries = json.loads(data)
        base = entries[0]["prefix"]
        names = entries[1:]
        split(base)
        if not all(isinstance(name, str) and name for name in names):
            raise TypeError
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ObjectError):
        raise ObjectError(f'{uri} is no manifest: expected [{{"prefix": "s3://bucket/…"}}, "key", …]') from None
    return base, names
