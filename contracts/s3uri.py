"""The one S3 URI parser of the project."""

from __future__ import annotations

import re
from dataclasses import dataclass

from contracts.errors import UsageError

# Bucket naming rules: Amazon S3 User Guide, "General purpose bucket naming rules".
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class S3Uri:
    """A bucket and a key. ``key`` has no leading slash; a prefix may end with one."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> S3Uri:
        """Read ``s3://bucket/key``.

        Raises:
            UsageError: not an S3 URI, or the bucket's name is not a valid one.
        """
        if not text.startswith("s3://"):
            raise UsageError(f"{text!r} is not an S3 URI", "An S3 URI looks like s3://bucket/prefix.")
        bucket, _, key = text[len("s3://") :].partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise UsageError(
                f"{bucket!r} in {text!r} is not a bucket name",
                "A bucket name has 3 to 63 of a-z, 0-9, dot and hyphen, and starts and ends with a letter or digit.",
            )
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, part: str) -> S3Uri:
        """``uri / "a/b"`` appends to the key with exactly one slash between."""
        head = self.key.rstrip("/")
        tail = part.lstrip("/")
        return S3Uri(self.bucket, f"{head}/{tail}" if head else tail)

    @property
    def as_prefix(self) -> S3Uri:
        """The same URI with a key that ends with a slash (an empty key stays empty)."""
        return self if not self.key or self.key.endswith("/") else S3Uri(self.bucket, self.key + "/")

    @property
    def name(self) -> str:
        """The key's last part."""
        return self.key.rstrip("/").rsplit("/", 1)[-1]
