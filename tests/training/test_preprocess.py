"""The step Preprocess: what it writes, what it leaves out, what it refuses; and reading what it wrote."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from contracts import hashing, jsonio
from contracts.dataset import PreparedDataset
from contracts.errors import ContractError
from inference import images
from inference.images import Limits
from tests.training import shapes
from tests.training.conftest import ARGUMENTS, run_preprocess
from training import dataset

LIMITS = Limits(1 << 20, 1_000_000)


def output(base: Path) -> Path:
    return base / "processing/output/dataset"


def message(base: Path) -> str:
    return (base / "output/message").read_text()


def test_pixels_are_what_the_endpoint_will_see(tmp_path: Path) -> None:
    imported = shapes.write_imported(tmp_path)
    assert run_preprocess(tmp_path) == 0
    prepared = dataset.read(output(tmp_path))
    files = {image.path: tmp_path / "processing/input/images" / image.key for image in imported.images}
    for name in ("train", "validation"):
        split = prepared.split(name)
        assert [image.path for image in split.images] == sorted(
            image.path for image in imported.images if image.split == name
        )
        batch = split.batch(range(len(split)))
        assert batch.shape == (len(split), 32, 32, 1)
        for pixels, image in zip(batch, split.images, strict=True):
            np.testing.assert_array_equal(pixels, images.load(files[image.path].read_bytes(), "L", 32, LIMITS))


def test_the_test_split_keeps_its_original_files(tmp_path: Path) -> None:
    imported = shapes.write_imported(tmp_path)
    assert run_preprocess(tmp_path) == 0
    found = {image.path: data for image, data in dataset.read(output(tmp_path)).files()}
    assert set(found) == {image.path for image in imported.images if image.split == "test"}
    for image in imported.images:
        if image.split == "test":
            assert hashing.of_bytes(found[image.path]) == image.sha256


def test_attributes_and_classes_go_through(tmp_path: Path) -> None:
    imported = shapes.write_imported(tmp_path, soft=True)
    assert run_preprocess(tmp_path) == 0
    manifest = dataset.read(output(tmp_path)).manifest
    assert (manifest.dataset_hash, manifest.classes, manifest.positive_class) == (
        imported.hash,
        ("disk", "frame"),
        "disk",
    )
    assert (manifest.protocol, manifest.licence, manifest.color_mode) == ("group", "CC0-1.0", "L")
    by_path = {image.path: image for image in imported.images}
    assert len(manifest.images) == len(imported.images)
    for image in manifest.images:
        before = by_path[image.path]
        assert (image.label, image.group, image.target, image.slices) == (
            before.label, before.group, before.target, before.slices,
        )  # fmt: skip


def test_one_colour_image_makes_colour_shards(tmp_path: Path) -> None:
    shapes.write_imported(tmp_path, channels=3)
    assert run_preprocess(tmp_path) == 0
    prepared = dataset.read(output(tmp_path))
    assert prepared.manifest.color_mode == "RGB"
    assert prepared.split("train").batch([0]).shape == (1, 32, 32, 3)


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    hashes = []
    for name in ("one", "two"):
        shapes.write_imported(tmp_path / name)
        assert run_preprocess(tmp_path / name) == 0
        hashes.append({path.name: hashing.of_file(path) for path in output(tmp_path / name).iterdir()})
    assert hashes[0] == hashes[1]
    assert {"manifest.json", "data_quality.json", "train-0-0.npy", "validation-0-0.npy", "test-0-0.tar"} == set(
        hashes[0]
    )


def test_bad_files_are_left_out_with_the_reason(tmp_path: Path) -> None:
    good = shapes.png(shapes.draw(0, np.random.default_rng(5)))
    replaced = {
        "disk/train-000.png": b"",
        "frame/train-001.png": good,
        "frame/test-002.png": good[:-40],
    }
    imported = shapes.write_imported(tmp_path, replaced=replaced)
    truncated = next(image for image in imported.images if image.path == "frame/test-003.png")
    (tmp_path / "processing/input/images" / truncated.key).unlink()
    arguments = [*ARGUMENTS[:3], "0.1", *ARGUMENTS[4:]]
    assert run_preprocess(tmp_path, arguments) == 0
    manifest = dataset.read(output(tmp_path)).manifest
    dropped = {item.path: item.reason for item in manifest.dropped}
    assert set(dropped) == {*replaced, "frame/test-003.png"}
    assert dropped["frame/train-001.png"] == "changed since it was imported: its hash differs"
    assert dropped["frame/test-003.png"].startswith("cannot be read")
    assert not {image.path for image in manifest.images} & set(dropped)
    quality = jsonio.read(output(tmp_path) / "data_quality.json")
    assert {item["path"] for item in quality["dropped"]} == set(dropped)
    assert quality["images"]["train"]["by_class"] == {"disk": 23, "frame": 23}


def test_an_image_that_does_not_decode_is_left_out(tmp_path: Path) -> None:
    imported = shapes.write_imported(tmp_path)
    broken = imported.to_json()
    image = broken["images"][0]
    data = b"no image at all"
    image["sha256"] = hashing.of_bytes(data)
    (tmp_path / "processing/input/images" / image["key"]).write_bytes(data)
    jsonio.write(tmp_path / "processing/input/dataset/manifest.json", broken)
    assert run_preprocess(tmp_path, [*ARGUMENTS[:3], "0.1", *ARGUMENTS[4:]]) == 0
    (dropped,) = dataset.read(output(tmp_path)).manifest.dropped
    assert dropped.path == image["path"]
    assert dropped.reason.startswith("bad_image: ")


def test_too_many_bad_files_are_refused_and_named(tmp_path: Path) -> None:
    shapes.write_imported(tmp_path, replaced={"disk/train-000.png": b"", "disk/train-001.png": b""})
    assert run_preprocess(tmp_path) == 1
    assert "2 of 76 images cannot be used; at most 1.0% may be left out" in message(tmp_path)
    assert "disk/train-000.png" in message(tmp_path)
    assert not (output(tmp_path) / "manifest.json").exists()


def test_limits_are_the_arguments(tmp_path: Path) -> None:
    shapes.write_imported(tmp_path)
    assert run_preprocess(tmp_path, [*ARGUMENTS[:5], "1500", *ARGUMENTS[6:]]) == 1
    assert "too_many_pixels" in message(tmp_path)


def test_a_class_without_a_training_image_is_refused(tmp_path: Path) -> None:
    imported = shapes.write_imported(tmp_path).to_json()
    imported["classes"] = ["cross", *imported["classes"]]
    jsonio.write(tmp_path / "processing/input/dataset/manifest.json", imported)
    assert run_preprocess(tmp_path) == 1
    assert "class 'cross' has no usable training image" in message(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--recipe", "quick"], 2, "--bad-file-share"),
        ([*ARGUMENTS[:3], "2", *ARGUMENTS[4:]], 2, "'2' is not from 0 to 1"),
        (["--recipe", "quickly", *ARGUMENTS[2:]], 2, "there is no recipe 'quickly'"),
    ],
)
def test_wrong_arguments_are_a_message_not_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    shapes.write_imported(tmp_path)
    assert run_preprocess(tmp_path, arguments) == code
    assert says in message(tmp_path)
    assert "Traceback" not in capsys.readouterr().err


def test_a_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    imported = shapes.write_imported(tmp_path).to_json()
    jsonio.write(tmp_path / "processing/input/dataset/manifest.json", {**imported, "format_version": 9})
    assert run_preprocess(tmp_path) == 1
    assert "format version 9" in message(tmp_path)


# --- several instances ------------------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """What two instances, each with every second file, put into one S3 prefix."""
    merged = tmp_path / "merged"
    merged.mkdir()
    for instance in range(2):
        base = tmp_path / f"algo-{instance + 1}"
        imported = shapes.write_imported(base)
        for index, key in enumerate(sorted(image.key for image in imported.images)):
            if index % 2 != instance:
                (base / "processing/input/images" / key).unlink()
        hosts = {"current_host": f"algo-{instance + 1}", "hosts": ["algo-1", "algo-2"]}
        (base / "config").mkdir()
        (base / "config/resourceconfig.json").write_text(json.dumps(hosts))
        assert run_preprocess(base) == 0
        shutil.copytree(output(base), merged, dirs_exist_ok=True)
    return merged


def test_parts_are_merged_into_the_whole(parts: Path, tmp_path: Path) -> None:
    shapes.write_imported(tmp_path / "whole")
    assert run_preprocess(tmp_path / "whole") == 0
    whole, merged = dataset.read(output(tmp_path / "whole")), dataset.read(parts)
    for name in ("train", "validation"):
        one, two = whole.split(name), merged.split(name)
        assert [image.path for image in one.images] == [image.path for image in two.images]
        np.testing.assert_array_equal(one.batch(range(len(one))), two.batch(range(len(two))))
    assert {image.path: data for image, data in whole.files()} == {image.path: data for image, data in merged.files()}


def test_a_missing_part_is_a_gap(parts: Path) -> None:
    (parts / "part-1.json").unlink()
    with pytest.raises(ContractError, match=r"1 parts of 2; part-1\.json is missing"):
        dataset.read(parts)


def test_an_image_that_no_part_has_is_a_gap(parts: Path) -> None:
    part = jsonio.read(parts / "part-0.json")
    part["images"].pop()
    jsonio.write(parts / "part-0.json", part)
    with pytest.raises(ContractError, match="the parts hold 75 images, 0 of them twice; the imported dataset has 76"):
        dataset.read(parts)


def test_an_image_in_two_parts_is_refused(parts: Path) -> None:
    one, two = (jsonio.read(parts / f"part-{number}.json") for number in range(2))
    two["images"][0] = one["images"][0]
    jsonio.write(parts / "part-1.json", two)
    with pytest.raises(ContractError, match="1 of them twice"):
        dataset.read(parts)


def test_parts_of_two_datasets_are_refused(parts: Path) -> None:
    part = jsonio.read(parts / "part-1.json")
    jsonio.write(parts / "part-1.json", {**part, "dataset_hash": "other"})
    with pytest.raises(ContractError, match="do not belong together"):
        dataset.read(parts)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "copy"))


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "validation-0-0.npy").unlink()
    with pytest.raises(ContractError, match=r"lacks validation-0-0\.npy"):
        dataset.read(folder)


def test_a_changed_shard_is_found(folder: Path) -> None:
    shard = folder / "train-0-0.npy"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ContractError, match="its hash differs"):
        dataset.read(folder)


def test_an_archive_without_an_image_is_found(folder: Path) -> None:
    with tarfile.open(folder / "test-0-0.tar", "w"):
        pass
    with pytest.raises(ContractError, match="lacks 12 images"):
        list(dataset.read(folder, verify=False).files())


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="Run Preprocess again"):
        dataset.read(tmp_path)


def test_large_splits_are_cut_into_shards(tmp_path: Path) -> None:
    imported = shapes.write_imported(tmp_path)
    writer = dataset.Writer(tmp_path / "out", imported, input_size=8, color_mode="L", shard_bytes=5 * 64)
    chosen = [image for image in imported.images if image.split == "train"]
    writer.pixels("train", ((image, np.full((8, 8, 1), row, np.uint8)) for row, image in enumerate(chosen)))
    manifest: PreparedDataset = writer.finish([])
    assert [shard.count for shard in manifest.shards] == [5] * 9 + [3]
    split = dataset.read(tmp_path / "out").split("train")
    assert split.batch([0, 7, 47])[:, 0, 0, 0].tolist() == [0, 7, 47]
