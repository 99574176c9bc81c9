"""Where raw images come from: a folder, S3, or the sample. Each source lists what there is and reads one image.

Layout: ``<root>/<class name>/<image>`` and, optionally, ``<root>/attributes.csv``. A source does not judge contents; it
refuses only a layout from which labels cannot be told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from contracts.dataset import IMAGE_SUFFIXES, Dropped
from contracts.errors import DataError
from contracts.s3uri import S3Uri

#: Suffixes of image formats that are not read; such a file is certainly meant to be an image.
FOREIGN_SUFFIXES = frozenset({".avif", ".bmp", ".dng", ".gif", ".heic", ".heif", ".jp2", ".svg", ".tif", ".tiff"})
#: Top folders of data sets that were split already; their names are no classes.
SPLIT_NAMES = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})


@dataclass(frozen=True, slots=True)
class Content:
    """An image's bytes, and the S3 version id or ETag they were read under (empty for files)."""

    data: bytes
    version: str = ""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One file that claims to be an image.

    Attributes:
        path: ``<class>/<file>``, Unicode NFC.
        size: bytes.
        stamp: changes whenever the content may have changed; empty: always read it again.
        read: the bytes; raises OSError or DataError when it cannot.
    """

    path: str
    label: str
    size: int
    stamp: str
    read: Callable[[], Content]
    group: str = ""
    target: float | None = None
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """Everything a source lists.

    Attributes:
        identity: names the source in manifests and in the split's identity; the same on every machine.
        classes: name -> number of files; a class may be empty here.
        bad: files that claim to be images and cannot be, known without opening them.
        ignored: other files, left alone.
        in_place: the images stay where they are, below this prefix; None: they are copied.
        positive_class: what the source itself calls positive, or empty.
        notice: what a person must be told about the data's terms, or empty.
    """

    identity: str
    classes: Mapping[str, int]
    images: tuple[SourceImage, ...]
    slice_columns: tuple[str, ...] = ()
    bad: tuple[Dropped, ...] = ()
    ignored: tuple[str, ...] = ()
    in_place: S3Uri | None = None
    positive_class: str = ""
    licence: str = ""
    notice: str = ""


def open_source(text: str, base: Path, client: Callable[[str], Any]) -> Source:
    """List the source that ``text`` names: ``elpv``, ``s3://bucket/prefix`` or a folder (relative to ``base``).

    ``client`` makes a boto3 client by service name; only S3 sources call it.

    Raises:
        DataError: there is no such source, or its layout gives no labels.
    """
    if not text:
        raise DataError(
            "no data source is set", "Set data.source in factory.yaml: elpv, ./folder or s3://bucket/prefix."
        )
    if text == "elpv":
        from cv_factory.operations.sources import elpv

        return elpv.scan()
    if text.startswith("s3://"):
        from cv_factory.operations.sources import s3

        return s3.scan(S3Uri.parse(text), client("s3"))
    from cv_factory.operations.sources import folder

    return folder.scan(base / Path(text).expanduser(), identity(text, base))


def identity(text: str, base: Path) -> str:
    """The name of a source in manifests: a folder's path relative to ``base`` where it lies below it, else absolute."""
    if text == "elpv":
        return text
    if text.startswith("s3://"):
        return str(S3Uri.parse(text).as_prefix)
    resolved = (base / Path(text).expanduser()).resolve()
    root = base.resolve()
    return resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else resolved.as_posix()


def kind(name: str) -> str:
    """``image``, ``foreign`` (an image format that is not read) or ``other``, by the file's suffix."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return "image"
    return "foreign" if suffix in FOREIGN_SUFFIXES else "other"


def foreign(path: str) -> Dropped:
    """The entry of a file in an image format that is not read."""
    suffix = PurePosixPath(path).suffix.lower()
    return Dropped(path, f"{suffix} is not read; convert it to {', '.join(sorted(IMAGE_SUFFIXES))}")


def no_classes(where: str, loose: int) -> DataError:
    """The error of a source in which no image lies in a class folder."""
    found = f"; {loose} images lie directly in it" if loose else ""
    return DataError(
        f"{where} has no class folders{found}",
        "Put the images of each class into a folder of its own: <folder>/<class name>/<image>.",
    )


def too_deep(where: str, path: str) -> DataError:
    """The error of an image below a class folder's own folders."""
    top = PurePosixPath(path).parts[0]
    hint = (
        f"{top!r} looks like a split, not a class. cv-factory cuts the split itself: put all images of a class into one"
        " folder, and use the column group of attributes.csv to keep images together."
        if top.lower() in SPLIT_NAMES
        else "Move it up into its class folder, or import the folder below."
    )
    return DataError(f"{where}: {path} lies deeper than <class name>/<image>", hint)
