"""Content hashes. Everything that is named by content uses SHA-256 in lower-case hexadecimal."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from contracts import jsonio

#: Characters of a hash that go into S3 prefixes and resource names (80 bits).
SHORT = 20


def of_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_value(value: Any) -> str:
    """The hash of a JSON value: independent of key order and white space."""
    return of_bytes(jsonio.canonical(value).encode())
