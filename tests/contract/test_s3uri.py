"""The one S3 URI parser."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from contracts.errors import UsageError
from contracts.s3uri import S3Uri

buckets = st.from_regex(r"\A[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
keys = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40).filter(lambda key: not key.startswith("/"))


@given(buckets, keys)
def test_what_is_written_is_read_back(bucket: str, key: str) -> None:
    assert S3Uri.parse(str(S3Uri(bucket, key))) == S3Uri(bucket, key)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not an S3 URI"),
        ("bucket/key", "is not an S3 URI"),
        ("https://bucket/key", "is not an S3 URI"),
        ("S3://bucket/key", "is not an S3 URI"),
        ("s3://", "is not a bucket name"),
        ("s3:///key", "is not a bucket name"),
        ("s3://ab/key", "is not a bucket name"),
        ("s3://Bucket/key", "is not a bucket name"),
        ("s3://bucket-/key", "is not a bucket name"),
        ("s3://bu_cket/key", "is not a bucket name"),
        ("s3://bucket\n/key", "is not a bucket name"),
        ("s3://" + "b" * 64, "is not a bucket name"),
    ],
)
def test_what_is_no_s3_uri_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        S3Uri.parse(text)
    assert caught.value.hint


@given(buckets, keys, st.text("abc/", min_size=1, max_size=8))
def test_parts_are_joined_with_exactly_one_slash(bucket: str, key: str, part: str) -> None:
    joined = S3Uri(bucket, key) / part
    head = key.rstrip("/")
    assert joined.key == (f"{head}/{part.lstrip('/')}" if head else part.lstrip("/"))


def test_a_prefix_ends_with_a_slash_and_the_whole_bucket_does_not() -> None:
    assert str(S3Uri("bucket", "a/b").as_prefix) == "s3://bucket/a/b/"
    assert S3Uri("bucket", "a/b/").as_prefix == S3Uri("bucket", "a/b/")
    assert str(S3Uri("bucket").as_prefix) == "s3://bucket/"
    assert S3Uri("bucket", "a/b.txt").name == "b.txt" and S3Uri("bucket", "a/b/").name == "b"
