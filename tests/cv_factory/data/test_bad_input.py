"""Bad data: each kind has its own sentence, says what to do, and publishes nothing."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import DataError, FactoryError, RefusedError
from cv_factory.operations.sources import elpv, folder
from tests.cv_factory.data.conftest import Import
from tests.cv_factory.helpers import Cloud, Heard, encoded

BUCKET = "shapes-local-data-123456789012"


def refused(
    bring: Import,
    cloud: Cloud,
    kind: type[FactoryError],
    headline: str,
    *,
    source: str = "photos",
    hint: str,
    **data: Any,
) -> FactoryError:
    """The import fails with this kind of error, headline and hint, and no dataset appears."""
    with pytest.raises(kind, match=headline) as error:
        bring(source, **data)
    assert hint in error.value.hint
    assert cloud.keys(BUCKET, "datasets/") == [] and cloud.keys(BUCKET, "splits/") == []
    return error.value


def huge_png(width: int, height: int) -> bytes:
    """A PNG that claims a size; its one chunk of pixels holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


BAD_FILES = {
    "a text file named .png": ("notes.png", b"this is no picture\n", "JPEG, PNG or WebP"),
    "a truncated JPEG": ("cut.jpg", encoded(1, "JPEG", size=(64, 64))[:700], "truncated or damaged"),
    "a 40,000 x 40,000 PNG": ("huge.png", huge_png(40_000, 40_000), "40000 x 40000"),
    "an empty file": ("nothing.png", b"", "0 bytes"),
    "a format that is not read": ("scan.tiff", b"II*\0", ".tiff is not read"),
    "a file over the size limit": ("big.png", encoded(2) + b"\0" * 2_000_000, "at most 1 MB"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_too_many_bad_files_are_refused_with_the_list(bring: Import, photos: Any, cloud: Cloud, name: str) -> None:
    root = photos()
    file, data, reason = BAD_FILES[name]
    (root / "cat" / file).write_bytes(data)
    error = refused(
        bring, cloud, RefusedError, "1 of 25 files cannot be used", hint="raise data.bad_file_share", max_file_mb=1
    )
    assert f"cat/{file}: " in error.hint and reason in error.hint


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_few_bad_files_are_left_out_aloud(bring: Import, photos: Any, heard: Heard, name: str) -> None:
    root = photos()
    file, data, reason = BAD_FILES[name]
    (root / "cat" / file).write_bytes(data)
    dataset = bring(max_file_mb=1, bad_file_share=0.05).dataset
    (dropped,) = dataset.dropped
    assert dropped.path == f"cat/{file}" and reason in dropped.reason
    assert f"Left out as unusable: cat/{file}" in str(heard)
    assert len(dataset.images) == 24


def test_bad_file_that_was_repaired_is_taken_in(bring: Import, photos: Any) -> None:
    root = photos()
    (root / "cat" / "x.png").write_bytes(b"")
    bring(bad_file_share=0.05)
    (root / "cat" / "x.png").write_bytes(encoded(600))
    assert not bring(bad_file_share=0.05).dataset.dropped


def test_unreadable_image_below_a_tighter_limit_is_checked_again(bring: Import, photos: Any, cloud: Cloud) -> None:
    root = photos()
    (root / "cat" / "wide.png").write_bytes(encoded(601, size=(100, 100)))
    assert len(bring().dataset.images) == 25
    with pytest.raises(RefusedError, match="1 of 25 files") as error:
        bring(max_pixels=5000)
    assert "data.max_pixels" in error.value.hint


def test_same_picture_twice_with_one_label_counts_once(bring: Import, photos: Any, heard: Heard) -> None:
    root = photos()
    (root / "cat" / "again.png").write_bytes((root / "cat" / "003.png").read_bytes())
    (root / "cat" / "other-format.webp").write_bytes(encoded(4, "WEBP", lossless=True))
    dataset = bring().dataset
    assert [(item.path, item.reason) for item in dataset.dropped] == [
        ("cat/again.png", "the same picture as cat/003.png"),
        ("cat/other-format.webp", "the same picture as cat/004.png"),
    ]
    assert "Left out as a duplicate: cat/again.png: the same picture as cat/003.png" in str(heard)


def test_same_picture_with_two_labels_is_refused_with_the_pairs(bring: Import, photos: Any, cloud: Cloud) -> None:
    root = photos()
    for number in (2, 5):
        (root / "dog" / f"copy{number}.png").write_bytes((root / "cat" / f"{number:03d}.png").read_bytes())
    error = refused(bring, cloud, DataError, "2 pictures have two labels", hint="Keep each picture in one class folder")
    assert "cat/002.png = dog/copy2.png" in error.hint and "cat/005.png = dog/copy5.png" in error.hint


def test_one_class_only(bring: Import, photos: Any, cloud: Cloud) -> None:
    photos({"cat": 12})
    refused(bring, cloud, DataError, "has one class only, 'cat'", hint="at least two")


def test_empty_class(bring: Import, photos: Any, cloud: Cloud) -> None:
    (photos() / "bird").mkdir()
    refused(bring, cloud, DataError, "class 'bird' has no image", hint="remove the folder")


def test_class_of_which_no_file_can_be_used(bring: Import, photos: Any, cloud: Cloud) -> None:
    root = photos()
    (root / "bird").mkdir()
    (root / "bird" / "one.png").write_bytes(b"text")
    refused(bring, cloud, DataError, "'bird' has no image; none of its files", hint="Add images", bad_file_share=1.0)


def test_no_class_folders(bring: Import, photos: Any, cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.png").write_bytes(encoded(1))
    refused(
        bring, cloud, DataError, "no class folders; 1 images lie directly", source="flat", hint="<class name>/<image>"
    )


def test_folder_that_is_not_there(bring: Import, cloud: Cloud) -> None:
    refused(bring, cloud, DataError, "there is no folder .*nowhere", source="nowhere", hint="elpv for the sample")


def test_images_that_were_split_by_somebody_else(bring: Import, photos: Any, cloud: Cloud) -> None:
    root = photos()
    (root / "train" / "cat").mkdir(parents=True)
    (root / "train" / "cat" / "x.png").write_bytes(encoded(9))
    error = refused(bring, cloud, DataError, r"train/cat/x\.png lies deeper", hint="'train' looks like a split")
    assert "cv-factory cuts the split itself" in error.hint


def test_hidden_files_and_other_files_are_left_alone(bring: Import, photos: Any, heard: Heard) -> None:
    root = photos()
    (root / ".DS_Store").write_bytes(b"x")
    (root / "cat" / "._000.png").write_bytes(b"x")
    (root / ".git").mkdir()
    (root / "cat" / "notes.txt").write_text("hello", encoding="utf-8")
    result = bring()
    assert len(result.dataset.images) == 24 and not result.dataset.dropped
    assert result.ignored == ("cat/notes.txt",) and "Not images, ignored: cat/notes.txt" in str(heard)


def test_link_that_leaves_the_folder_is_refused_and_one_inside_is_followed(
    bring: Import, photos: Any, cloud: Cloud, tmp_path: Path
) -> None:
    root = photos()
    (tmp_path / "secret.png").write_bytes(encoded(70))
    link = root / "cat" / "link.png"
    link.symlink_to(tmp_path / "secret.png")
    refused(bring, cloud, DataError, r"link\.png is a link that leaves the folder", hint="Copy what it points to")
    link.unlink()
    link.symlink_to(root / "gone.png")
    refused(bring, cloud, DataError, r"link\.png is a link to nothing", hint="Remove it")
    link.unlink()
    (root / "more").mkdir()
    (root / "more" / "m.png").write_bytes(encoded(71))
    link.symlink_to(root / "more" / "m.png")
    with pytest.raises(DataError, match=r"two labels"):
        bring()


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["path,target", "cat/000.png,1.5"], "attributes.csv:2: target '1.5' is not a number from 0 to 1"),
        (["path,target", "cat/000.png,high"], "target 'high' is not a number"),
        (["path,target", "cat/000.png,nan"], "target 'nan' is not a number"),
        (
            ["path,line", "cat/0000.png,a"],
            "attributes.csv:2: there is no image 'cat/0000.png'; did you mean 'cat/000.png'?",
        ),
        (["path,line", "cat/000.png,a", "cat/000.png,b"], "attributes.csv:3: 'cat/000.png' has a line already"),
        (["path,line", "cat/000.png"], "attributes.csv:2: 1 values, but 2 columns"),
    ],
)
def test_wrong_lines_of_attributes_csv(bring: Import, photos: Any, cloud: Cloud, lines: list[str], wanted: str) -> None:
    (photos() / "attributes.csv").write_text("\n".join(lines), encoding="utf-8")
    error = refused(bring, cloud, DataError, r"attributes\.csv has 1 wrong line", hint="target is a number from 0 to 1")
    assert wanted in error.hint


@pytest.mark.parametrize(
    ("text", "headline"),
    [
        (b"file;target\ncat/000.png;1\n", "no column path"),
        (b"path,line,line\n", "two columns have the same name"),
        (b"", "no column path"),
        (b"path\n\xff\xfe", "not UTF-8"),
        (b'path,line\n"cat/000.png,a\n', "not CSV"),
    ],
)
def test_attributes_csv_that_is_no_table(bring: Import, photos: Any, cloud: Cloud, text: bytes, headline: str) -> None:
    (photos() / "attributes.csv").write_bytes(text)
    refused(bring, cloud, DataError, headline, hint="")


def test_target_with_three_classes(bring: Import, photos: Any, cloud: Cloud) -> None:
    root = photos({"a": 5, "b": 5, "c": 5})
    (root / "attributes.csv").write_text("path,target\na/000.png,0.5\n", encoding="utf-8")
    error = refused(bring, cloud, DataError, "1 wrong line", hint="two classes only")
    assert "target is for two classes; there are 3" in error.hint


def test_targets_of_the_other_class_are_noticed(bring: Import, photos: Any, cloud: Cloud) -> None:
    root = photos({"defect": 6, "fine": 12})
    rows = [
        f"{label}/{n:03d}.png,{p}" for label, count, p in (("defect", 6, 0.1), ("fine", 12, 0.9)) for n in range(count)
    ]
    (root / "attributes.csv").write_text("path,target\n" + "\n".join(rows), encoding="utf-8")
    refused(bring, cloud, DataError, "probability of 'defect', but it is lower", hint="Set data.positive_class: fine")
    assert bring(positive_class="fine").dataset.positive_class == "fine"


def test_positive_class_that_is_no_class(bring: Import, photos: Any, cloud: Cloud) -> None:
    photos()
    refused(bring, cloud, DataError, "'bird', which is no class", hint="Classes: cat, dog", positive_class="bird")


def test_positive_class_with_three_classes(bring: Import, photos: Any, cloud: Cloud) -> None:
    photos({"a": 5, "b": 5, "c": 5})
    refused(bring, cloud, DataError, "there are 3 classes", hint="for two classes", positive_class="a")


def test_sample_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="sample images are not installed") as error:
        elpv.scan()
    assert '".[sample]"' in error.value.hint and "CC BY-NC-SA 4.0" in error.value.hint


def test_another_version_of_the_sample_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("images/cell0001.png 1.0 mono\n", encoding="utf-8")
    with pytest.raises(DataError, match="1 labels; 2624 expected"):
        elpv.scan(tmp_path)


def test_sample_has_the_modules_labels_and_licence_of_the_paper() -> None:
    source = elpv.scan()
    assert source.classes == {"defective": 821, "functional": 1803}
    assert len({image.group for image in source.images}) == 44
    kinds = {image.group: image.slices["cell_type"] for image in source.images}
    assert all(kinds[image.group] == image.slices["cell_type"] for image in source.images)
    assert sorted(kinds.values()).count("mono") == 18
    assert sorted({image.target for image in source.images}) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert source.licence == "CC BY-NC-SA 4.0" and "No commercial use" in source.notice


def test_file_just_written_has_no_stamp(photos: Any) -> None:
    assert {image.stamp for image in folder.scan(photos(), "photos").images} == {""}
