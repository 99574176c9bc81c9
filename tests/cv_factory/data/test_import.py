"""``data import``: what lands in the bucket, what a second import does, and what an interruption leaves."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from contracts import hashing
from contracts.dataset import SPLITS, ImportedDataset, images_manifest
from contracts.errors import DataError, FactoryError
from cv_factory.operations.data import checks, publish
from cv_factory.operations.data.importing import Imported, import_data, latest
from tests.cv_factory.data.conftest import Import
from tests.cv_factory.helpers import Cloud, Heard, encoded, make_settings

BUCKET = "shapes-local-data-123456789012"


def manifest(cloud: Cloud, result: Imported) -> ImportedDataset:
    body = cloud.client("s3").get_object(Bucket=BUCKET, Key=result.uri.key + "manifest.json")["Body"].read()
    return ImportedDataset.from_json(json.loads(body))


def age(folder: Path) -> None:
    """Make the files an hour old: what has just been written is never trusted to be unchanged."""
    then = time.time() - 3600
    for file in folder.rglob("*.*"):
        os.utime(file, (then, then))


def test_folder_lands_content_addressed_with_manifest_and_split(bring: Import, photos: Any, cloud: Cloud) -> None:
    root = photos()
    result = bring()
    data = manifest(cloud, result)
    assert data == result.dataset
    assert str(result.uri) == f"s3://{BUCKET}/datasets/{data.hash[:20]}/"
    assert data.classes == ("cat", "dog") and data.source == "photos"
    assert data.image_root == f"s3://{BUCKET}/blobs/"
    assert {image.split for image in data.images} == set(SPLITS)
    for image in data.images:
        body = cloud.client("s3").get_object(Bucket=BUCKET, Key="blobs/" + image.key)["Body"].read()
        assert body == (root / image.path).read_bytes()
        assert hashing.of_bytes(body) == image.sha256 and image.size == len(body)
        assert (image.width, image.height, image.mode) == (8, 6, "RGB")
    listed = cloud.client("s3").get_object(Bucket=BUCKET, Key=result.uri.key + "images.manifest")["Body"].read()
    assert json.loads(listed) == images_manifest(data)
    text = cloud.client("s3").get_object(Bucket=BUCKET, Key=result.uri.key + "split.csv")["Body"].read().decode()
    assert {row["path"]: row["split"] for row in csv.DictReader(io.StringIO(text))} == {
        i.path: i.split for i in data.images
    }
    assert result.sheet.read_bytes().startswith(b"\x89PNG")
    assert result.created and result.sent == (24, sum(image.size for image in data.images))


def test_protocol_group_without_groups_says_so(bring: Import, photos: Any, heard: Heard) -> None:
    root = photos()
    bring()
    assert "No image has a group" in str(heard)
    (root / "attributes.csv").write_text("path,group\ncat/000.png,g\n", encoding="utf-8")
    heard.lines.clear()
    bring()
    assert "No image has a group" not in str(heard)


def test_second_import_of_the_same_folder_reads_and_writes_nothing(
    bring: Import, photos: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(photos())
    first = bring()
    monkeypatch.setattr(checks, "facts_of", lambda *_: pytest.fail("an unchanged file was decoded again"))
    second = bring()
    assert (second.created, second.sent, second.uri) == (False, (0, 0), first.uri)


def test_one_changed_image_is_a_new_prefix_and_one_upload_and_the_split_stays(
    bring: Import, photos: Any, cloud: Cloud
) -> None:
    root = photos()
    age(root)
    first = bring()
    before = cloud.keys(BUCKET, first.uri.key)
    (root / "cat" / "003.png").write_bytes(encoded(999))
    second = bring()
    assert second.uri != first.uri and second.created and second.sent[0] == 1
    assert cloud.keys(BUCKET, first.uri.key) == before and manifest(cloud, first) == first.dataset
    assert {i.path: i.split for i in second.dataset.images} == {i.path: i.split for i in first.dataset.images}


def test_file_replaced_within_the_same_second_is_noticed(bring: Import, photos: Any) -> None:
    root = photos()
    first = bring()
    file = root / "cat" / "000.png"
    status = file.stat()
    data = bytearray(encoded(4242))
    data += b"\0" * (status.st_size - len(data)) if len(data) < status.st_size else b""
    file.write_bytes(bytes(data))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert bring().uri != first.uri


def test_moved_image_keeps_its_split(bring: Import, photos: Any) -> None:
    root = photos()
    first = {i.sha256: i.split for i in bring().dataset.images}
    (root / "cat" / "000.png").rename(root / "dog" / "was-a-cat.png")
    assert {i.sha256: i.split for i in bring().dataset.images} == first


def test_new_images_are_assigned_and_old_ones_stay(bring: Import, photos: Any, heard: Heard) -> None:
    root = photos()
    first = {i.path: i.split for i in bring().dataset.images}
    for number in range(8):
        (root / "cat" / f"new{number}.png").write_bytes(encoded(5000 + number))
    second = {i.path: i.split for i in bring().dataset.images}
    assert first.items() <= second.items() and len(second) == len(first) + 8
    assert "8 new groups or images were assigned" in str(heard)


def test_another_seed_or_protocol_is_another_split_said_aloud(bring: Import, photos: Any, heard: Heard) -> None:
    photos()
    first = bring()
    heard.lines.clear()
    second = bring(seed=7)
    assert second.dataset.split_id != first.dataset.split_id and second.uri != first.uri
    assert f"Another split of this source exists: {first.dataset.split_id}" in str(heard)
    assert bring(protocol="random").dataset.split_id not in (first.dataset.split_id, second.dataset.split_id)
    assert bring().uri == first.uri  # the first split is as it was


def test_groups_slices_and_targets_come_from_attributes_csv(bring: Import, photos: Any) -> None:
    root = photos({"defect": 12, "fine": 12})
    rows = [
        f"{label}/{n:03d}.png,part{n % 6},{0.9 if label == 'defect' else 0.1},line{n % 2}"
        for label in ("defect", "fine")
        for n in range(12)
    ]
    (root / "attributes.csv").write_text("\ufeffpath,group,target,line\n" + "\n".join(rows) + "\n", encoding="utf-8")
    data = bring(positive_class="defect").dataset
    splits_of: dict[str, set[str]] = {}
    for image in data.images:
        splits_of.setdefault(image.group, set()).add(image.split)
        assert image.target == (0.9 if image.label == "defect" else 0.1)
    assert all(len(found) == 1 for found in splits_of.values()) and len(splits_of) == 6
    assert data.slice_columns == ("line",) and data.images[1].slices == {"line": "line1"}
    assert data.positive_class == "defect"


def test_rarer_class_is_the_positive_one_and_many_classes_have_none(bring: Import, photos: Any) -> None:
    photos({"good": 12, "scratch": 6})
    assert bring().dataset.positive_class == "scratch"


def test_many_classes(bring: Import, photos: Any) -> None:
    photos({"a": 5, "b": 6, "c": 7})
    data = bring().dataset
    assert data.classes == ("a", "b", "c") and data.positive_class is None


def test_interrupted_upload_leaves_no_manifest_and_goes_on(
    bring: Import, photos: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos()
    send, sent = publish._send, []

    def fail_later(*args: Any) -> int:
        if len(sent) >= 10:
            raise KeyboardInterrupt
        sent.append(args)
        return send(*args)

    with monkeypatch.context() as patch:
        patch.setattr(publish, "_send", fail_later)
        with pytest.raises(KeyboardInterrupt):
            bring()
    assert cloud.keys(BUCKET, "datasets/") == []
    there = len(cloud.keys(BUCKET, "blobs/"))
    assert 10 <= there < 24
    result = bring()
    assert result.created and result.sent[0] == 24 - there
    assert len(cloud.keys(BUCKET, "blobs/")) == 24


def test_full_disk_of_the_store_publishes_nothing_and_says_so(
    bring: Import, photos: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.s3.models import FakeKey

    photos()
    stored, keep = [], FakeKey.value.fset

    def full(self: Any, value: Any) -> None:
        if "/blobs/" in f"/{self.name}":
            if len(stored) >= 5:
                raise OSError(28, "No space left on device")
            stored.append(self.name)
        keep(self, value)

    with monkeypatch.context() as patch:
        patch.setattr(FakeKey, "value", FakeKey.value.setter(full))
        with pytest.raises(FactoryError, match=r"failed after [0-9]+ of 24 images") as error:
            bring()
    assert "full" in error.value.hint and "Run the same command again" in error.value.hint
    assert cloud.keys(BUCKET, "datasets/") == []
    assert bring().created


def test_write_of_the_manifest_that_fails_leaves_no_complete_prefix(
    bring: Import, photos: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.s3.models import FakeKey

    photos()
    keep = FakeKey.value.fset

    def full(self: Any, value: Any) -> None:
        if self.name.endswith("images.manifest"):
            raise OSError(28, "No space left on device")
        keep(self, value)

    with monkeypatch.context() as patch:
        patch.setattr(FakeKey, "value", FakeKey.value.setter(full))
        with pytest.raises(FactoryError, match=r"writing s3://.*datasets/.* failed") as error:
            bring()
    assert "counts as not there" in error.value.hint
    assert not [key for key in cloud.keys(BUCKET, "datasets/") if key.endswith("manifest.json")]


def test_file_that_changes_between_check_and_upload_is_refused(
    bring: Import, photos: Any, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photos()
    upload = publish.upload

    def change_then_upload(*args: Any) -> tuple[int, int]:
        (root / "cat" / "005.png").write_bytes(encoded(31337))
        return upload(*args)

    with monkeypatch.context() as patch:
        patch.setattr(publish, "upload", change_then_upload)
        with pytest.raises(DataError, match=r"cat/005\.png changed while"):
            bring()
    assert cloud.keys(BUCKET, "datasets/") == []


def test_two_imports_at_once_agree_on_the_split(photos: Any, bring: Import, tmp_path: Path, cloud: Cloud) -> None:
    photos({"cat": 30, "dog": 30})
    results: list[Imported] = []
    settings = make_settings(tmp_path)

    def run(number: int) -> None:
        state = tmp_path / f"state{number}"
        results.append(
            import_data("photos", settings=settings, base=tmp_path, state=state, client=cloud.client, reporter=Heard())
        )

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3 and len({result.uri for result in results}) == 1
    assert sum(result.created for result in results) == 1


def test_non_ascii_names_work(bring: Import, photos: Any, cloud: Cloud) -> None:
    root = photos({"Öl": 6, "水": 6})
    (root / "水" / "写真 1.png").write_bytes(encoded(77))
    # the file system may hold a decomposed name, and the table a composed one
    (root / "Öl" / "u\u0308ber.png").write_bytes(encoded(78))
    (root / "attributes.csv").write_text("path,line\nÖl/über.png,nord\n", encoding="utf-8")
    data = manifest(cloud, bring())
    by_path = {image.path: image for image in data.images}
    assert "水/写真 1.png" in by_path and by_path["Öl/über.png"].slices == {"line": "nord"}


def test_latest_finds_what_was_imported_and_says_how_when_nothing_was(
    bring: Import, photos: Any, tmp_path: Path, cloud: Cloud
) -> None:
    photos()
    settings = make_settings(tmp_path)
    with pytest.raises(FactoryError, match="not imported yet") as error:
        latest(settings, tmp_path, cloud.client)
    assert "cv-factory data import ./photos" in error.value.hint
    result = bring()
    assert latest(settings, tmp_path, cloud.client) == (result.uri, result.dataset.hash)
    assert latest(settings, tmp_path / "photos" / "..", cloud.client)[0] == result.uri


def test_missing_bucket_says_what_makes_it(tmp_path: Path, photos: Any, cloud: Cloud, heard: Heard) -> None:
    photos()
    with pytest.raises(FactoryError, match="there is no bucket shapes-local-data") as error:
        import_data(
            "photos",
            settings=make_settings(tmp_path),
            base=tmp_path,
            state=tmp_path / "s",
            client=cloud.client,
            reporter=heard,
        )
    assert "cv-factory local up" in error.value.hint


def test_damaged_index_is_only_a_cache(bring: Import, photos: Any, tmp_path: Path) -> None:
    photos()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "images.sqlite").write_bytes(b"no database at all" * 100)
    assert bring().created
