"""An input object as the bodies of requests: whole, record by record, or as many records as fit."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_CHUNK = 64 * 1024


class BadInput(Exception):
    """An input that cannot be sent; the message says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """A downloaded input."""

    path: Path
    compressed: bool = False

    def open(self) -> BinaryIO | gzip.GzipFile:
        return gzip.GzipFile(self.path) if self.compressed else self.path.open("rb")

    def chunks(self) -> Iterator[bytes]:
        """The whole content, piece by piece.

        Raises:
            BadInput: it is no gzip file, although the job says so.
        """
        try:
            with self.open() as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise BadInput(f"CompressionType is Gzip, and the object is no gzip file: {error}") from None


#: The body of a request: bytes, or an input that is streamed.
Payload = bytes | Source


def cut(source: Source, *, lines: bool, several: bool, limit: int | None) -> Iterator[Payload]:
    """The payloads of an input, in order.

    ``lines``: each line is a record, without its end; else all of it is one. ``several``: a payload holds as many
    records as fit, a line each. ``limit``: bytes of a payload at most; None: no limit, what is not cut is streamed.

    Raises:
        BadInput: a record is larger than the limit, or the input is no gzip file.
    """
    if limit is None and (several or not lines):
        yield source
    elif not lines:
        yield _whole(source, limit)
    elif several and limit is not None:
        yield from _batches(_records(source, limit), limit)
    else:
        yield from _records(source, limit)


def _whole(source: Source, limit: int | None) -> bytes:
    content = bytearray()
    for chunk in source.chunks():
        content += chunk
        if limit is not None and len(content) > limit:
            raise _too_large(limit)
    return bytes(content)


def _records(source: Source, limit: int | None) -> Iterator[bytes]:
    rest = b""
    for chunk in source.chunks():
        *whole, rest = (rest + chunk).split(b"\n")
        for record in whole:
            if limit is not None and len(record) > limit:
                raise _too_large(limit)
            yield record
        if limit is not None and len(rest) > limit:
            raise _too_large(limit)
    if rest:
        yield rest


def _batches(records: Iterator[bytes], limit: int) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for record in records:
        if batch and size + 1 + len(record) > limit:
            yield b"\n".join(batch)
            batch, size = [], 0
        size += len(record) + bool(batch)
        batch.append(record)
    if batch:
        yield b"\n".join(batch)


def _too_large(limit: int) -> BadInput:
    return BadInput(f"Too much data for max payload size ({limit} bytes)")
