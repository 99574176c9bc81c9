"""Images in S3 are indexed where they are: read once, copied never."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import hashing
from contracts.dataset import images_manifest
from contracts.errors import DataError, UsageError
from cv_factory.operations.data import checks
from tests.cv_factory.data.conftest import Import
from tests.cv_factory.helpers import Cloud, encoded

BUCKET = "shapes-local-data-123456789012"
SOURCE = "s3://camera-roll/line 1/"


@pytest.fixture
def roll(cloud: Cloud) -> Any:
    """A bucket with 12 pictures of each of two classes, the first 6 with a group."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="camera-roll", CreateBucketConfiguration={"LocationConstraint": cloud.region})
    for number, label in enumerate(("good", "schräg")):
        for n in range(12):
            s3.put_object(Bucket="camera-roll", Key=f"line 1/{label}/{n:03d}.png", Body=encoded(100 * number + n))
    table = "path,group\n" + "\n".join(f"good/{n:03d}.png,g{n % 3}" for n in range(6))
    s3.put_object(Bucket="camera-roll", Key="line 1/attributes.csv", Body=table.encode())
    return s3


def test_indexed_in_place(bring: Import, roll: Any, cloud: Cloud) -> None:
    data = bring(SOURCE).dataset
    assert data.image_root == SOURCE and data.source == SOURCE
    assert cloud.keys(BUCKET, "blobs/") == []
    assert [image.key for image in data.images] == [image.path for image in data.images]
    for image in data.images:
        answer = roll.get_object(Bucket="camera-roll", Key="line 1/" + image.path)
        assert image.sha256 == hashing.of_bytes(answer["Body"].read())
        assert image.version == answer["ETag"].strip('"')
    assert images_manifest(data)[0] == {"prefix": SOURCE}
    assert {image.group for image in data.images} == {"", "g0", "g1", "g2"}


def test_prefix_with_and_without_slash_is_one_source(bring: Import, roll: Any) -> None:
    assert bring(SOURCE).uri == bring(SOURCE.rstrip("/")).uri


def test_unchanged_objects_are_read_once(bring: Import, roll: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bring(SOURCE)
    monkeypatch.setattr(checks, "facts_of", lambda *_: pytest.fail("an unchanged object was read again"))
    assert bring(SOURCE).uri == first.uri


def test_changed_object_is_another_dataset_with_the_same_split(bring: Import, roll: Any) -> None:
    first = bring(SOURCE)
    roll.put_object(Bucket="camera-roll", Key="line 1/good/000.png", Body=encoded(4711))
    second = bring(SOURCE)
    assert second.uri != first.uri
    assert {i.path: i.split for i in second.dataset.images} == {i.path: i.split for i in first.dataset.images}


def test_version_id_of_a_versioned_bucket(bring: Import, roll: Any) -> None:
    roll.put_bucket_versioning(Bucket="camera-roll", VersioningConfiguration={"Status": "Enabled"})
    version = roll.put_object(Bucket="camera-roll", Key="line 1/good/new.png", Body=encoded(4712))["VersionId"]
    (image,) = [image for image in bring(SOURCE).dataset.images if image.path == "good/new.png"]
    assert image.version == version


def test_broken_object_and_foreign_format_are_left_out(bring: Import, roll: Any) -> None:
    roll.put_object(Bucket="camera-roll", Key="line 1/good/broken.png", Body=b"text")
    roll.put_object(Bucket="camera-roll", Key="line 1/good/scan.tif", Body=b"text")
    roll.put_object(Bucket="camera-roll", Key="line 1/good/.hidden.png", Body=b"text")
    result = bring(SOURCE, bad_file_share=0.2)
    assert [item.path for item in result.dataset.dropped] == ["good/broken.png", "good/scan.tif"]


@pytest.mark.parametrize(
    ("source", "kind", "headline"),
    [
        ("s3://camera-roll/nothing-here", DataError, "nothing below"),
        ("s3://no-such-bucket/x", DataError, "no bucket no-such-bucket"),
        ("s3://Bad_Name/x", UsageError, "not a bucket name"),
    ],
)
def test_wrong_address(bring: Import, roll: Any, source: str, kind: type[Exception], headline: str) -> None:
    with pytest.raises(kind, match=headline):
        bring(source)


def test_empty_class_and_deep_image(bring: Import, roll: Any) -> None:
    roll.put_object(Bucket="camera-roll", Key="line 1/bent/", Body=b"")
    with pytest.raises(DataError, match="'bent' has no image"):
        bring(SOURCE)
    roll.put_object(Bucket="camera-roll", Key="line 1/val/good/x.png", Body=encoded(1))
    with pytest.raises(DataError, match="lies deeper"):
        bring(SOURCE)
