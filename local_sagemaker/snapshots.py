"""How moto's backends become bytes and come back.

pickle alone stumbles over locks, weak dictionaries, local factories, private keys; the few reducers below close that. S3
bodies are named, not stored, and the thousand managed policies of AWS are taken from moto again.

A snapshot is unpickled only when it is a regular file of this user that nobody else may read or write, and only classes of
moto and plain values come out of it.
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
    """A snapshot that this user has not written, or that holds what a snapshot never holds."""


#: What a snapshot may name: the classes of these packages, and single names. Nothing else is ever looked up.
_MODULES = {"moto", "collections", "datetime", "decimal", "uuid", "dateutil", "ipaddress"}
_NAMES = {
    "builtins": {"set", "frozenset", "bytearray", "complex", "range", "slice", "object", "dict", "list", "tuple", "str", "int"},
    "copyreg": {"_reconstructor", "__newobj__"},
    "requests.structures": {"CaseInsensitiveDict", "LookupDict"},
    "werkzeug.datastructures.structures": {"MultiDict"},
    "operator": {"attrgetter", "itemgetter"},
}


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


def make_default_dict(factory: Factory, items: dict[Any, Any]) -> Any:
    found: defaultdict[Any, Any] = defaultdict(factory)
    found.update(items)
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


_MAKERS = {
    maker.__name__: maker for maker in (make_default_dict, make_weak_dict, make_lock, make_key, make_aws_policy, Factory)
}


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
        if kind is defaultdict:
            factory = obj.default_factory
            if isinstance(factory, type) or factory is None:
                return NotImplemented
            return make_default_dict, (Factory.like(factory), dict(obj))
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

    def find_class(self, module: str, name: str) -> Any:
        if module == __name__ and name in _MAKERS:
            return _MAKERS[name]
        if name in _NAMES.get(module, ()):
            return super().find_class(module, name)
        if module.split(".")[0] in _MODULES and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise Untrusted(f"a snapshot never names {module}.{name}")


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
    """Raises: Untrusted; or whatever pickle says about damaged data."""
    return _Unpickler(io.BytesIO(data), blobs).load()


def read_own(file: Path) -> bytes:
    """The content of a file that only this user could have written.

    Raises:
        Untrusted: another's file, a link, or one that others may read or write.
    """
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(handle, "rb") as stream:
        status = os.fstat(handle)
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
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(data)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem
