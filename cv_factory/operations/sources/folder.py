"""A folder on this machine: ``<folder>/<class name>/<image>``."""

from __future__ import annotations

import os
import stat as modes
import time
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from contracts.dataset import ATTRIBUTES_CSV, Dropped
from contracts.errors import DataError
from cv_factory.operations.sources import Content, Source, SourceImage, attributes, foreign, kind, no_classes, too_deep

#: A file that changed less than this long ago may change again within the same tick of the file system's clock, and
#: its time of change would not tell; it gets no stamp (git calls such an entry "racy").
_RACY_NS = 2_000_000_000


def scan(root: Path, identity: str) -> Source:
    """List a folder. Hidden files are left out, links are followed as long as they stay inside the folder.

    Raises:
        DataError: no such folder, no class folders, images deeper than a class folder, a link that leaves the folder,
            names that are not UTF-8 or equal but for their Unicode form, or a wrong ``attributes.csv``.
    """
    if not root.is_dir():
        raise DataError(
            f"there is no folder {root}",
            "Name a folder with one sub-folder for each class, an s3:// prefix, or elpv for the sample.",
        )
    inside = root.resolve()
    classes: dict[str, int] = {}
    images: dict[str, SourceImage] = {}
    bad: list[Dropped] = []
    ignored: list[str] = []
    loose = 0
    now = time.time_ns()
    for entry in _entries(root, inside):
        if entry.is_dir():
            label = _name(entry, root)
            if label in classes:
                raise _same_name(root / entry.name)
            classes[label] = 0
            for file in _entries(Path(entry.path), inside):
                path = f"{label}/{_name(file, root)}"
                status = file.stat()
                what = kind(file.name)
                if modes.S_ISDIR(status.st_mode):
                    _check_empty(Path(file.path), root, path)
                elif not modes.S_ISREG(status.st_mode) or what == "other":
                    ignored.append(path)
                elif what == "foreign":
                    bad.append(foreign(path))
                elif path in images:
                    raise _same_name(Path(file.path))
                else:
                    stamp = file_stamp(status) if now - status.st_mtime_ns > _RACY_NS else ""
                    images[path] = SourceImage(path, label, status.st_size, stamp, reader(Path(file.path)))
                    classes[label] += 1
        elif entry.name != ATTRIBUTES_CSV:
            loose += kind(entry.name) == "image"
            ignored.append(_name(entry, root))
    if not classes:
        raise no_classes(str(root), loose)
    table = attributes.Table((), {})
    if (root / ATTRIBUTES_CSV).is_file():
        known = {*images, *(item.path for item in bad)}
        table = attributes.parse((root / ATTRIBUTES_CSV).read_bytes(), known, len(classes))
    return Source(
        identity=identity,
        classes=dict(sorted(classes.items())),
        images=tuple(_with(images[path], table) for path in sorted(images)),
        slice_columns=table.slice_columns,
        bad=tuple(sorted(bad, key=lambda item: item.path)),
        ignored=tuple(sorted(ignored)),
    )


def _with(image: SourceImage, table: attributes.Table) -> SourceImage:
    line = table.lines.get(image.path, attributes.NONE)
    return replace(image, group=line.group, target=line.target, slices=line.slices)


def file_stamp(status: os.stat_result) -> str:
    """Size, time of change and inode: equal as long as nobody wrote to the file."""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"


def reader(file: Path) -> Callable[[], Content]:
    """A function that reads ``file``."""
    return lambda: Content(file.read_bytes())


def _entries(folder: Path, inside: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted, without hidden files; a link that leaves ``inside`` is an error."""
    with os.scandir(folder) as found:
        entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_symlink():
            place = Path(entry.path)
            if not place.exists():
                raise DataError(f"{place} is a link to nothing", "Remove it, or put the file there.")
            if not place.resolve().is_relative_to(inside):
                raise DataError(
                    f"{place} is a link that leaves the folder (to {place.resolve()})",
                    "Copy what it points to into the folder, or import the folder it points to.",
                )
    return entries


def _name(entry: os.DirEntry[str], root: Path) -> str:
    try:
        entry.name.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{root} has a file whose name is not UTF-8: {entry.name!r}", "Rename it.") from None
    return unicodedata.normalize("NFC", entry.name)


def _same_name(path: Path) -> DataError:
    return DataError(f"{path} differs from its neighbour only in how the Unicode characters are written", "Rename one.")


def _check_empty(folder: Path, root: Path, path: str) -> None:
    """A class folder's own folder must hold no image."""
    for _, _, names in os.walk(folder):
        for name in names:
            if kind(name) == "image" and not name.startswith("."):
                raise too_deep(str(root), f"{path}/{name}")
