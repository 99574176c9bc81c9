"""Bodies of S3 objects as files, one per content.

A file is written beside its place and renamed, so it is there whole or not at all. Nobody counts references: a
:class:`Blob` lives in memory as long as an S3 object holds it, and a file goes when no living blob and no stored
snapshot names it (:meth:`BlobStore.collect`). So a killed server finds every body that its last snapshot names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

_CHUNK = 1024 * 1024


class Blob:
    """Some bytes on disk. ``name`` is their SHA-256, ``md5`` what S3 answers as the ETag; both hexadecimal."""

    __slots__ = ("__weakref__", "md5", "name", "size")

    def __init__(self, name: str, size: int, md5: str) -> None:
        self.name = name
        self.size = size
        self.md5 = md5


class Writer:
    """Takes bytes; :meth:`finish` gives the blob, leaving the ``with`` block without it leaves nothing."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._temporary = store.temporary()
        self._file = self._temporary.open("xb", buffering=0)
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, data: bytes | memoryview) -> None:
        """Raises: OSError: the disk is full."""
        view = memoryview(data)
        self._sha256.update(view)
        self._md5.update(view)
        self._size += len(view)
        while view:  # an unbuffered write may take less than all, just before the disk is full
            view = view[self._file.write(view) :]

    def sha256(self) -> bytes:
        return self._sha256.digest()

    def md5(self) -> bytes:
        return self._md5.digest()

    def finish(self) -> Blob:
        self._file.close()
        return self._store.adopt(self._temporary, self._sha256.hexdigest(), self._size, self._md5.hexdigest())


class BlobStore:
    """The folder with the bodies. Safe to use from several threads of one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._living: weakref.WeakValueDictionary[str, Blob] = weakref.WeakValueDictionary()
        self._number = 0
        self._kept: set[str] = set()
        self._incoming = folder / "incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)  # what a killed server was just receiving
        self._incoming.mkdir(parents=True, mode=0o700)
        self._files = {file.name for file in folder.glob("??/*")}
        for prefix in range(256):
            (folder / f"{prefix:02x}").mkdir(exist_ok=True)

    def temporary(self) -> Path:
        with self._lock:
            self._number += 1
            return self._incoming / str(self._number)

    def path(self, blob: Blob) -> Path:
        """The file. Read it only: other objects may share it."""
        return self._folder / blob.name[:2] / blob.name

    def writer(self) -> Writer:
        return Writer(self)

    def write(self, data: bytes | memoryview) -> Blob:
        name = hashlib.sha256(data).hexdigest()
        known = self._known(name)
        if known is not None:
            return known
        temporary = self.temporary()
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        return self.adopt(temporary, name, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())

    def write_file(self, source: Path) -> Blob:
        with source.open("rb") as file, self.writer() as writer:
            copy(file, writer)
            return writer.finish()

    def read(self, blob: Blob) -> bytes:
        return self.path(blob).read_bytes()

    def open(self, blob: Blob) -> IO[bytes]:
        return self.path(blob).open("rb")

    def export(self, blob: Blob, target: Path) -> None:
        """A copy at ``target`` that its owner may change; the file system shares the blocks where it can."""
        shutil.copyfile(self.path(blob), target)

    def adopt(self, temporary: Path, name: str, size: int, md5: str) -> Blob:
        """Put a complete file in its place."""
        with self._lock:
            blob = self._living.get(name)
            if blob is None:
                blob = self._living[name] = Blob(name, size, md5)
            if name in self._files:
                temporary.unlink()
            else:
                temporary.rename(self.path(blob))
                self._files.add(name)
            return blob

    def restore(self, name: str, size: int, md5: str) -> Blob:
        """The blob that a snapshot names."""
        with self._lock:
            blob = self._living.get(name)
            if blob is None:
                blob = self._living[name] = Blob(name, size, md5)
            return blob

    def keep_unknown(self) -> None:
        """A snapshot that cannot be read now may name any of the present files: never remove one of them."""
        with self._lock:
            self._kept |= self._files

    def collect(self, referenced: Collection[str]) -> int:
        """Remove the files that neither a living blob nor the stored snapshot (``referenced``) names; how many."""
        with self._lock:
            dead = self._files.difference(self._living.keys(), referenced, self._kept)
            for name in dead:
                (self._folder / name[:2] / name).unlink(missing_ok=True)
            self._files -= dead
        return len(dead)

    def missing(self) -> list[str]:
        """Names of living blobs without a file: somebody removed it behind the server's back."""
        with self._lock:
            return sorted(name for name in self._living if name not in self._files)

    def _known(self, name: str) -> Blob | None:
        with self._lock:
            return self._living.get(name) if name in self._files else None


def copy(source: Any, writer: Writer, length: int | None = None) -> int:
    """Copy ``length`` bytes (all, when None) from something with ``read`` into ``writer``; returns the number
    copied."""
    done = 0
    while length is None or done < length:
        chunk = source.read(_CHUNK if length is None else min(_CHUNK, length - done))
        if not chunk:
            break
        writer.write(chunk)
        done += len(chunk)
    return done
