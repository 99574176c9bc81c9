"""Bodies of S3 objects in files instead of memory.

moto reads each body into memory, keeps it in a spooled temporary file of its own and pickles it with the key. Here a
body is received into a file, checked against the checksums that came with it (moto believes them), and a key holds its
:class:`~local_sagemaker.blobs.Blob`; large objects are sent from the file. Snapshots name the blob, so they stay small
whatever the buckets hold.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import re
import threading
import zlib
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import parse_qs

from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.s3.models import FakeKey, FakeMultipart, MultipartChecksumBuilder, S3Backend
from moto.s3.responses import S3Response
from moto.settings import S3_UPLOAD_PART_MIN_SIZE

from local_sagemaker.blobs import Blob, BlobStore
from local_sagemaker.moto_gaps.patching import put, replace

#: Where the received body waits in the WSGI environment.
_RECEIVED = "local_sagemaker.blob"

#: Left out of snapshots: a lock cannot be stored, the buffer is not used.
_NOT_STORED = ("lock", "_value_buffer")

#: Objects up to this many bytes are sent from memory.
_SMALL = 1 << 20
_CHUNK = 1 << 18

#: Query parameters beside which a PUT stores an object or a part.
_PLAIN_QUERY = {"uploadid", "partnumber", "x-id"}
_SIGNATURE_2 = {"awsaccesskeyid", "signature", "expires"}
_LOOPBACK = re.compile(r"(\d+\.\d+\.\d+\.\d+|localhost)(:\d+)?")
_CHECKSUM_HEADERS = {
    "crc32": "HTTP_X_AMZ_CHECKSUM_CRC32",
    "sha1": "HTTP_X_AMZ_CHECKSUM_SHA1",
    "sha256": "HTTP_X_AMZ_CHECKSUM_SHA256",
}

_how = threading.local()


class Fault(Exception):
    """An error answer of S3."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class FileSlice:
    """Part of a stored body: has a length, can be cut, and yields its bytes once."""

    def __init__(self, file: IO[bytes], start: int, stop: int) -> None:
        self._file = file
        self._start = start
        self._stop = stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, cut: slice) -> FileSlice:
        start, stop, _ = cut.indices(len(self))
        return FileSlice(self._file, self._start + start, self._start + stop)

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._start)
        left = len(self)
        while left > 0 and (chunk := self._file.read(min(left, _CHUNK))):
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._file.close()


def is_object_request(environ: dict[str, Any]) -> bool:
    """A signed request (by header or in the URL) for one object, with the bucket in the path."""
    path: str = environ["PATH_INFO"]
    bucket, _, key = path[1:].partition("/")
    signed = "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", "") or "Signature=" in environ["QUERY_STRING"]
    return (
        bool(bucket and key)
        and signed
        and _LOOPBACK.fullmatch(environ.get("HTTP_HOST", "")) is not None
        and bucket not in ("v20180820", "_local", "moto-api", "latest")
    )


def receive(environ: dict[str, Any], blobs: BlobStore) -> None:
    """If this stores an object or a part, take its body into a file and check it.

    Raises:
        Fault: a checksum does not match.
        ConnectionError: the client went away in the middle.
        OSError: the disk is full.
    """
    if environ["REQUEST_METHOD"] != "PUT" or "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return
    names = {name.lower() for name in parse_qs(environ["QUERY_STRING"], keep_blank_values=True)}
    if not all(name in _PLAIN_QUERY or name.startswith("x-amz-") or name in _SIGNATURE_2 for name in names):
        return
    source: Any = environ["wsgi.input"]
    declared = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    trailers: dict[str, str] = {}
    if declared.startswith("STREAMING-"):
        source = _Dechunked(source, trailers)
        size = int(environ["HTTP_X_AMZ_DECODED_CONTENT_LENGTH"])
    else:
        size = int(environ.get("CONTENT_LENGTH") or 0)
    sums = _Sums(environ)
    with blobs.writer() as writer:
        done = 0
        while chunk := source.read(_CHUNK):
            writer.write(chunk)
            sums.update(chunk)
            done += len(chunk)
        if done != size:
            raise ConnectionError(f"{done} of {size} bytes arrived")
        for name, value in trailers.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        sums.check(environ, writer.sha256(), writer.md5())
        environ[_RECEIVED] = writer.finish()
    environ["wsgi.input"] = io.BytesIO()
    environ["CONTENT_LENGTH"] = "0"


def received(environ: dict[str, Any]) -> Blob | None:
    """The body that :func:`receive` took from this request."""
    return environ.get(_RECEIVED)


def forget(environ: dict[str, Any]) -> None:
    """Let go of the received body. werkzeug's request and its environment hold each other, so they live on for a
    while."""
    environ.pop(_RECEIVED, None)


def joining() -> bool:
    """Is this thread just joining the parts of an upload to an object?"""
    return bool(getattr(_how, "joining", False))


class _Sums:
    """The checksums that a request carries, beside the two that every blob has."""

    def __init__(self, environ: dict[str, Any]) -> None:
        wanted = environ.get("HTTP_X_AMZ_TRAILER", "").lower()
        self._crc32: int | None = 0 if "HTTP_X_AMZ_CHECKSUM_CRC32" in environ or wanted.endswith("-crc32") else None
        sha1 = "HTTP_X_AMZ_CHECKSUM_SHA1" in environ or wanted.endswith("-sha1")
        self._sha1 = hashlib.sha1(usedforsecurity=False) if sha1 else None

    def update(self, chunk: bytes) -> None:
        if self._crc32 is not None:
            self._crc32 = zlib.crc32(chunk, self._crc32)
        if self._sha1 is not None:
            self._sha1.update(chunk)

    def check(self, environ: dict[str, Any], sha256: bytes, md5: bytes) -> None:
        """Compare with what the client says. Raises: Fault."""
        found = {"sha256": sha256}
        if self._crc32 is not None:
            found["crc32"] = self._crc32.to_bytes(4, "big")
        if self._sha1 is not None:
            found["sha1"] = self._sha1.digest()
        for name, value in found.items():
            said = environ.get(_CHECKSUM_HEADERS[name])
            if said is not None and said != base64.b64encode(value).decode():
                raise Fault("BadDigest", f"The {name.upper()} you specified did not match the calculated checksum.")
        said = environ.get("HTTP_CONTENT_MD5")
        if said is not None and said != base64.b64encode(md5).decode():
            raise Fault("BadDigest", "The Content-MD5 you specified did not match what we received.")
        said = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
        if re.fullmatch(r"[0-9a-f]{64}", said) and said != sha256.hex():
            raise Fault(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )


class _Dechunked:
    """The data of a body in AWS's own chunked encoding; the checksums that follow it go into ``trailers``."""

    def __init__(self, source: Any, trailers: dict[str, str]) -> None:
        self._source = source
        self._trailers = trailers
        self._left = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        if self._left == 0 and not self._ended:
            self._next()
        if self._ended:
            return b""
        chunk: bytes = self._source.read(min(size, self._left))
        if not chunk:
            raise ConnectionError("the body ends inside a chunk")
        self._left -= len(chunk)
        if self._left == 0:
            self._source.readline(4)
        return chunk

    def _next(self) -> None:
        line = self._source.readline(1024)
        try:
            self._left = int(line.split(b";", 1)[0], 16)
        except ValueError:
            raise Fault("IncompleteBody", "The request body is not in the aws-chunked encoding.") from None
        if self._left == 0:
            self._ended = True
            while line := self._source.readline(1024).strip():
                name, _, value = line.decode("latin-1").partition(":")
                self._trailers[name.lower()] = value


@contextlib.contextmanager
def _bodies_as(kind: str) -> Iterator[None]:
    """What ``FakeKey.value`` gives inside this block: ``blob`` or ``file`` instead of the bytes."""
    before, _how.kind = getattr(_how, "kind", ""), kind
    try:
        yield
    finally:
        _how.kind = before


def install(blobs: BlobStore) -> None:
    """Let moto's keys hold blobs of this store."""
    _install_keys(blobs)
    _install_multipart(blobs)

    @replace(S3Response)
    def get_object(self: Any) -> Any:
        with _bodies_as("file"):
            return get_object.original(self)  # type: ignore[attr-defined]

    @replace(S3Backend)
    def copy_object(self: Any, *args: Any, **kwargs: Any) -> None:
        with _bodies_as("blob"):
            copy_object.original(self, *args, **kwargs)  # type: ignore[attr-defined]

    @replace(S3Response)
    def _handle_v4_chunk_signatures(self: Any, body: bytes, content_length: int) -> Any:
        if not body:  # received already
            return b""
        return _handle_v4_chunk_signatures.original(self, body, content_length)  # type: ignore[attr-defined]


def _install_keys(blobs: BlobStore) -> None:
    def get_value(self: Any) -> Any:
        kind = getattr(_how, "kind", "")
        if kind == "blob":
            return self.blob
        if kind == "file" and self.blob.size > _SMALL:
            return FileSlice(blobs.open(self.blob), 0, self.blob.size)
        return blobs.read(self.blob)

    def set_value(self: Any, value: bytes | str | Blob) -> None:
        if not isinstance(value, Blob):
            value = blobs.write(value.encode() if isinstance(value, str) else value)
        if self._value_buffer is not None:
            self._value_buffer.close()
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
        put(FakeKey, name, replacement)


def _install_multipart(blobs: BlobStore) -> None:
    @replace(FakeMultipart)
    def complete(self: Any, body: Iterator[tuple[int, str]]) -> tuple[Blob, str, Any]:
        """Join the parts file by file. moto joins them in memory, twice."""
        checksum = MultipartChecksumBuilder(
            self.metadata.get("x-amz-checksum-algorithm"), self.metadata.get("x-amz-checksum-type")
        )
        md5s = hashlib.md5(usedforsecurity=False)
        parts: list[Any] = []
        for number, etag in body:
            part = self.parts.get(number)
            if part is None or part.etag.strip('"') != etag.strip('"'):
                raise InvalidPart
            if parts and parts[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
                raise EntityTooSmall
            md5s.update(bytes.fromhex(part.etag.strip('"')))
            checksum.addPart(part.value)
            parts.append(part)
        if not parts:
            raise MalformedXML
        with blobs.writer() as writer:
            for part in parts:
                with blobs.open(part.blob) as file:
                    while chunk := file.read(_CHUNK):
                        writer.write(chunk)
            whole = writer.finish()
        return whole, f"{md5s.hexdigest()}-{len(parts)}", checksum.build()

    @replace(S3Backend)
    def complete_multipart_upload(self: Any, *args: Any, **kwargs: Any) -> Any:
        _how.joining = True
        try:
            key = complete_multipart_upload.original(self, *args, **kwargs)  # type: ignore[attr-defined]
        finally:
            _how.joining = False
        if key is not None:
            key.multipart = None  # moto keeps every part beside the whole
        return key
