"""How moto's backends become bytes and come back.

pickle alone stumbles over locks, weak dictionaries, local factories and private keys; the few reducers below close
that. S3 bodies are named, not stored, and the thousand managed policies of AWS are taken from moto again.

Unpickling runs what the bytes say. So a snapshot is read only when it is a regular file of this user that nobody else
may read or write: who can make such a file can run programs as this user anyway.
"""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import stat
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_sagemaker.blobs import Blob, BlobStore


class Untrusted(Exception):
    """A snapshot that others than this user may have written."""


class Factory:
    """A default_factory that can be stored, in place of the local functions that moto uses."""

    def __init__(self, kind: type, inner: Factory | None) -> None:
        self.kind = kind
        self.inner = inner

    def __call__(self) -> Any:
        return defaultdict(self.inner) if self.inner is not None else self.kind()

    @classmethod
    def like(cls, factory: Callable[[], Any]) -> Factory:
        """One that makes the same empty containers."""
        if isinstance(factory, Factory):
            return factory
        sample = factory()
        inner = sample.default_factory if isinstance(sample, defaultdict) else None
        return cls(type(sample), cls.like(inner) if inner is not None else None)


def make_default_dict(kind: type[defaultdict[Any, Any]], factory: Callable[[], Any] | None) -> Any:
    found = kind.__new__(kind)
    found.default_factory = factory
    return found


def make_weak_dict(items: dict[Any, Any]) -> Any:
    return weakref.WeakValueDictionary(items)


def make_lock(reentrant: bool) -> Any:
    return threading.RLock() if reentrant else threading.Lock()


def make_key(pem: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem, password=None)


def make_aws_policy(account_id: str, region: str, name: str, attachments: int) -> Any:
    """A managed policy of AWS, as moto loads it when it makes an IAM backend."""
    from moto.iam.models import AWSManagedPolicy

    policy = AWSManagedPolicy.from_data(name, account_id, region, _aws_policies()[name])
    policy.attachment_count = attachments
    return policy


@functools.cache
def _aws_policies() -> dict[str, Any]:
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.blobs: set[str] = set()

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Blob):
            self.blobs.add(obj.name)
            return (obj.name, obj.size, obj.md5)
        return None

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if isinstance(obj, defaultdict):  # moto's factories are local functions, its subclasses have other signatures
            factory = obj.default_factory
            if factory is not None and not isinstance(factory, type):
                factory = Factory.like(factory)
            return make_default_dict, (kind, factory), getattr(obj, "__dict__", None), None, iter(list(obj.items()))
        if kind is weakref.WeakValueDictionary:
            return make_weak_dict, (dict(obj),)
        if kind.__module__ in ("_thread", "threading") and kind.__name__ in ("lock", "RLock"):
            return make_lock, (kind.__name__ == "RLock",)
        if kind.__name__ == "AWSManagedPolicy":
            return make_aws_policy, (obj.account_id, obj.partition, obj.name, obj.attachment_count)
        if kind.__module__.startswith("cryptography.") and hasattr(obj, "private_bytes"):
            return make_key, (_pem(obj),)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, blobs: BlobStore) -> None:
        super().__init__(file)
        self._blobs = blobs

    def persistent_load(self, pid: Any) -> Any:
        return self._blobs.restore(*pid)


def dump(value: Any) -> tuple[bytes, set[str]]:
    """The bytes of ``value`` and the names of the blobs in it.

    Raises:
        Exception: whatever pickle says about a value that cannot be stored.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    pickler.dump(value)
    return buffer.getvalue(), pickler.blobs


def load(data: bytes, blobs: BlobStore) -> Any:
    """Raises: Exception: whatever pickle says about damaged data."""
    return _Unpickler(io.BytesIO(data), blobs).load()


def read_own(file: Path) -> bytes:
    """The content of a file that only this user could have written.

    Raises:
        Untrusted: another's file, a link, or one that others may read or write.
    """
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise Untrusted(f"{file} must be a file of this user with mode 600")
        return stream.read()


def write_own(file: Path, data: bytes) -> None:
    """Replace a file in one step; mode 600.

    Raises:
        OSError: the disk is full; the old file stays.
    """
    temporary = file.with_name(file.name + ".new")
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(data)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem
