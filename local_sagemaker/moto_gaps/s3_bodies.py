"""Bodies of S3 objects in files instead of memory.

moto keeps each body in a spooled temporary file of its own and pickles it with the key. Here a key holds a
:class:`~local_sagemaker.blobs.Blob`; snapshots name the blob, so they stay small whatever the buckets hold.
"""

from __future__ import annotations

import threading
from typing import Any

from moto.s3.models import FakeKey

from local_sagemaker.blobs import Blob, BlobStore

#: Left out of snapshots: a lock cannot be stored, the buffer is not used.
_NOT_STORED = ("lock", "_value_buffer")


def install(blobs: BlobStore) -> None:
    """Let moto's keys hold blobs of this store."""

    def get_value(self: Any) -> bytes:
        return blobs.read(self.blob)

    def set_value(self: Any, value: bytes | str | Blob) -> None:
        if not isinstance(value, Blob):
            value = blobs.write(value.encode() if isinstance(value, str) else value)
        self._value_buffer = None
        self.blob = value
        self.contentsize = value.size

    def etag(self: Any) -> str:
        return f'"{self._etag or self.blob.md5}"'

    def dispose(self: Any, garbage: bool = False) -> None:
        self.disposed = True

    def get_state(self: Any) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in _NOT_STORED}

    def set_state(self: Any, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._value_buffer = None
        self.lock = threading.Lock()

    replacements: dict[str, Any] = {
        "value": property(get_value, set_value), "etag": property(etag), "dispose": dispose,
        "__getstate__": get_state, "__setstate__": set_state, "__del__": lambda self: None,
    }  # fmt: skip
    for name, replacement in replacements.items():
        setattr(FakeKey, name, replacement)
