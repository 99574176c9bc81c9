"""The two datasets: what ``data import`` freezes (imported) and what ``preprocess`` makes of it (prepared).

Imported dataset, below ``s3://<data bucket>/datasets/<hash>/``:

- ``manifest.json``: an :class:`ImportedDataset`; written last, so a prefix that has it is complete;
- ``images.manifest``: SageMaker's ManifestFile form, ``[{"prefix": "s3://…/"}, "key", …]``, that names each image of
  the three splits once (``CreateProcessingJob``, ``S3DataType``);
- ``split.csv``: ``path,split`` for people.

The images themselves lie content-addressed below ``blobs/`` of the data bucket
(``<first two of sha256>/<sha256>.<ext>``), or stay where they are when S3 data is indexed in place. Two datasets that
differ in one image share all other blobs.

Prepared dataset, the output ``dataset`` of Preprocess:

- ``manifest.json``: a :class:`PreparedDataset`, written last;
- ``<split>-<instance>-<number>.npy``: pixels, ``(N, S, S, C) uint8``, already decoded and resized by
  ``inference.images`` (train and validation);
- ``test-<instance>-<number>.tar``: the original files of the test split, because evaluation sends requests;
- ``data_quality.json``: what was checked and what was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from contracts import hashing
from contracts.errors import ContractError
from contracts.s3uri import S3Uri

FORMAT_VERSION = 1

MANIFEST = "manifest.json"
IMAGES_MANIFEST = "images.manifest"
SPLIT_CSV = "split.csv"
DATA_QUALITY = "data_quality.json"
ATTRIBUTES_CSV = "attributes.csv"

DATASETS_PREFIX = "datasets/"
BLOBS_PREFIX = "blobs/"
SPLITS_PREFIX = "splits/"

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

#: Reserved columns of ``attributes.csv``; every other column is a slice.
RESERVED_COLUMNS = ("path", "group", "target")

IMAGE_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


@dataclass(frozen=True, slots=True)
class ImportedImage:
    """One image of an imported dataset.

    Attributes:
        path: relative to the source root, ``<class name>/<file>``, with forward slashes.
        key: relative to the dataset's ``image_root``.
        label: the class.
        size: bytes.
        sha256: of the file's bytes; for S3 data indexed in place it is read once at import.
        width, height: pixels.
        mode: ``L`` or ``RGB``, what the file decodes to.
        split: train, validation or test.
        group: images of one group never lie in two splits (protocol ``group``); empty: a group of its own.
        target: probability of the positive class, two classes only; None: 1 or 0 by ``label``.
        slices: attribute -> value.
        version: the S3 version id or ETag when indexed in place, else empty; checked again by preprocess.
    """

    path: str
    key: str
    label: str
    size: int
    sha256: str
    width: int
    height: int
    mode: str
    split: str
    group: str = ""
    target: float | None = None
    slices: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """An image that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportedDataset:
    """What ``data import`` froze. ``classes`` are sorted; ``images`` are sorted by path."""

    source: str
    image_root: str
    classes: tuple[str, ...]
    positive_class: str | None
    protocol: str
    test_share: float
    seed: int
    split_id: str
    slice_columns: tuple[str, ...]
    images: tuple[ImportedImage, ...]
    dropped: tuple[Dropped, ...] = ()
    licence: str = ""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ImportedDataset:
        _check_version(value)
        try:
            return cls(
                source=value["source"],
                image_root=value["image_root"],
                classes=tuple(value["classes"]),
                positive_class=value["positive_class"],
                protocol=value["protocol"],
                test_share=value["test_share"],
                seed=value["seed"],
                split_id=value["split_id"],
                slice_columns=tuple(value["slice_columns"]),
                images=tuple(ImportedImage(**image) for image in value["images"]),
                dropped=tuple(Dropped(**item) for item in value["dropped"]),
                licence=value["licence"],
            )
        except (KeyError, TypeError) as error:
            raise ContractError(f"the dataset's manifest is incomplete: {error}") from None

    @property
    def hash(self) -> str:
        """SHA-256 over everything in the manifest; names the dataset's prefix (first 20 characters)."""
        return hashing.of_value(self.to_json())

    @property
    def short_hash(self) -> str:
        return self.hash[: hashing.SHORT]


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """One image of a prepared dataset; ``index`` is its place in the shard (row, or member of the tar)."""

    path: str
    sha256: str
    label: str
    group: str
    target: float | None
    slices: Mapping[str, str]
    shard: str
    index: int


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a prepared dataset."""

    file: str
    split: str
    count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PreparedDataset:
    """What ``preprocess`` wrote.

    Attributes:
        dataset_hash: of the :class:`ImportedDataset`.
        input_size: pixels of the square that train and validation images were resized to.
        color_mode: ``L`` or ``RGB``; ``L`` when every image of the dataset is grey. Shards have 1 or 3 channels.
        instances: instances that wrote shards; ``train`` fails unless parts 0 … instances-1 are all there.
    """

    dataset_hash: str
    source: str
    protocol: str
    seed: int
    classes: tuple[str, ...]
    positive_class: str | None
    input_size: int
    color_mode: str
    slice_columns: tuple[str, ...]
    shards: tuple[Shard, ...]
    images: tuple[PreparedImage, ...]
    dropped: tuple[Dropped, ...]
    licence: str = ""
    instances: int = 1
    format_version: int = FORMAT_VERSION

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PreparedDataset:
        _check_version(value)
        try:
            return cls(
                dataset_hash=value["dataset_hash"],
                source=value["source"],
                protocol=value["protocol"],
                seed=value["seed"],
                classes=tuple(value["classes"]),
                positive_class=value["positive_class"],
                input_size=value["input_size"],
                color_mode=value["color_mode"],
                slice_columns=tuple(value["slice_columns"]),
                shards=tuple(Shard(**shard) for shard in value["shards"]),
                images=tuple(PreparedImage(**image) for image in value["images"]),
                dropped=tuple(Dropped(**item) for item in value["dropped"]),
                licence=value["licence"],
                instances=value["instances"],
            )
        except (KeyError, TypeError) as error:
            raise ContractError(f"the prepared dataset's manifest is incomplete: {error}") from None

    def split_of(self) -> dict[str, str]:
        """Shard file -> split."""
        return {shard.file: shard.split for shard in self.shards}


def blob_key(sha256: str, path: str) -> str:
    """The key below ``blobs/`` of a file with this hash; the suffix is the file's own, in lower case."""
    return f"{sha256[:2]}/{sha256}{PurePosixPath(path).suffix.lower()}"


def images_manifest(dataset: ImportedDataset) -> list[Any]:
    """SageMaker's ManifestFile form of the dataset's images, each key once, in sorted order."""
    keys = sorted({image.key for image in dataset.images})
    return [{"prefix": str(S3Uri.parse(dataset.image_root).as_prefix)}, *keys]


def target_vector(classes: tuple[str, ...], positive: str | None, label: str, target: float | None) -> list[float]:
    """The training target of one image: probabilities over ``classes``, ``(len(classes),)``, that sum to 1."""
    if target is None or positive is None or len(classes) != 2:
        return [1.0 if name == label else 0.0 for name in classes]
    return [target if name == positive else 1.0 - target for name in classes]


def _check_version(value: Mapping[str, Any]) -> None:
    if value.get("format_version") != FORMAT_VERSION:
        raise ContractError(
            f"the manifest has format version {value.get('format_version')!r}; this code reads {FORMAT_VERSION}",
            "Import the data again with this version of cv-factory.",
        )
