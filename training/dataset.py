"""Writing and reading prepared datasets (:mod:`contracts.dataset`). Only numpy, no torch.

One instance writes ``manifest.json``. Of n instances each writes ``part-<instance>.json``, a manifest of its own
shards; readers merge the parts and fail on a gap. Shards are plain ``.npy`` files, read as memory maps; the same images
give the same bytes.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts import archives, hashing, jsonio
from contracts.dataset import (
    MANIFEST,
    TEST,
    Dropped,
    ImportedDataset,
    ImportedImage,
    PreparedDataset,
    PreparedImage,
    Shard,
)
from contracts.errors import ContractError, DataError

Pixels = NDArray[np.uint8]

#: A shard is closed when it has this many bytes of pixels or of files.
SHARD_BYTES = 128 * 1024 * 1024
#: At most this many members in one tar, half of what ``contracts.archives`` unpacks.
TAR_MEMBERS = 5_000

_RERUN = "Run Preprocess again; its output is complete only when it has ended well."


class Writer:
    """Writes one instance's part of a prepared dataset into ``folder``: images in, manifest last.

    Args:
        imported: the dataset that the images are of.
        color_mode: ``L`` or ``RGB``.
        instance: the number of this instance, from 0, of ``instances``.
    """

    def __init__(
        self,
        folder: Path,
        imported: ImportedDataset,
        *,
        input_size: int,
        color_mode: str,
        instance: int = 0,
        instances: int = 1,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._imported = imported
        self._input_size = input_size
        self._color_mode = color_mode
        self._instance = instance
        self._instances = instances
        self._shard_bytes = shard_bytes
        self._shards: list[Shard] = []
        self._images: list[PreparedImage] = []

    def pixels(self, split: str, items: Iterable[tuple[ImportedImage, Pixels]]) -> None:
        """Write the images of a split, ``(S, S, C) uint8`` each, as ``.npy`` shards."""
        pending: list[tuple[ImportedImage, Pixels]] = []
        for item in items:
            pending.append(item)
            if len(pending) * item[1].nbytes >= self._shard_bytes:
                self._close_pixels(split, pending)
                pending = []
        if pending:
            self._close_pixels(split, pending)

    def files(self, split: str, items: Iterable[tuple[ImportedImage, Path]]) -> None:
        """Write the original files of a split as uncompressed tar archives; members are named by the image's path."""
        pending: list[tuple[ImportedImage, Path]] = []
        size = 0
        for image, path in items:
            pending.append((image, path))
            size += image.size
            if size >= self._shard_bytes or len(pending) >= TAR_MEMBERS:
                self._close_files(split, pending)
                pending, size = [], 0
        if pending:
            self._close_files(split, pending)

    def finish(self, dropped: Sequence[Dropped]) -> PreparedDataset:
        """Write the manifest, after which the part is complete."""
        imported = self._imported
        manifest = PreparedDataset(
            dataset_hash=imported.hash,
            source=imported.source,
            protocol=imported.protocol,
            seed=imported.seed,
            classes=imported.classes,
            positive_class=imported.positive_class,
            input_size=self._input_size,
            color_mode=self._color_mode,
            slice_columns=imported.slice_columns,
            shards=tuple(self._shards),
            images=tuple(self._images),
            dropped=tuple(dropped),
            licence=imported.licence,
            instances=self._instances,
        )
        value = manifest.to_json()
        if self._instances > 1:
            value["imported_images"] = len(imported.images)
        jsonio.write(self._folder / manifest_name(self._instance, self._instances), value)
        return manifest

    def _close_pixels(self, split: str, items: Sequence[tuple[ImportedImage, Pixels]]) -> None:
        path = self._next(split, "npy")
        # np.save writes the header without a time; the array is C-contiguous, so bytes depend on the pixels alone.
        np.save(path, np.stack([pixels for _, pixels in items]), allow_pickle=False)
        self._add(split, path, [image for image, _ in items])

    def _close_files(self, split: str, items: Sequence[tuple[ImportedImage, Path]]) -> None:
        path = self._next(split, "tar")
        ordered = sorted(items, key=lambda item: item[0].path)
        with path.open("wb") as file:
            archives.pack(file, {image.path: source for image, source in ordered}, compress=False)
        self._add(split, path, [image for image, _ in ordered])

    def _next(self, split: str, suffix: str) -> Path:
        number = sum(shard.split == split for shard in self._shards)
        return self._folder / f"{split}-{self._instance}-{number}.{suffix}"

    def _add(self, split: str, path: Path, images: Sequence[ImportedImage]) -> None:
        self._shards.append(Shard(path.name, split, len(images), hashing.of_file(path)))
        self._images.extend(
            PreparedImage(
                image.path, image.sha256, image.label, image.group, image.target, image.slices, path.name, index
            )
            for index, image in enumerate(images)
        )


def manifest_name(instance: int, instances: int) -> str:
    """``manifest.json`` of a single instance, ``part-<instance>.json`` of one among several."""
    return MANIFEST if instances == 1 else f"part-{instance}.json"


@dataclass(frozen=True)
class Split:
    """The images of one split whose pixels are in shards; row ``i`` of every array is ``images[i]``."""

    images: tuple[PreparedImage, ...]
    arrays: Mapping[str, Pixels]

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rows: Iterable[int]) -> Pixels:
        """Pixels of some images, ``(N, S, S, C) uint8``, copied out of the memory maps."""
        return np.stack([self.arrays[self.images[row].shard][self.images[row].index] for row in rows])


@dataclass(frozen=True)
class Prepared:
    """A prepared dataset in a folder; shards are opened when they are asked for."""

    folder: Path
    manifest: PreparedDataset

    def split(self, name: str) -> Split:
        """The pixels of a split that lies in ``.npy`` shards.

        Raises:
            ContractError: a shard is not what the manifest says.
        """
        manifest = self.manifest
        channels = 1 if manifest.color_mode == "L" else 3
        arrays: dict[str, Pixels] = {}
        for shard in manifest.shards:
            if shard.split != name:
                continue
            array = np.load(self.folder / shard.file, mmap_mode="r", allow_pickle=False)
            expected = (shard.count, manifest.input_size, manifest.input_size, channels)
            if array.shape != expected or array.dtype != np.uint8:
                raise ContractError(
                    f"{shard.file} is {array.dtype} {array.shape}; the manifest says uint8 {expected}", _RERUN
                )
            arrays[shard.file] = array
        return Split(tuple(image for image in manifest.images if image.shard in arrays), arrays)

    def files(self, name: str = TEST) -> Iterator[tuple[PreparedImage, bytes]]:
        """The images of a split that lies in ``.tar`` shards, with their original bytes, one at a time.

        Raises:
            ContractError: an archive lacks an image that the manifest names.
        """
        for shard in self.manifest.shards:
            if shard.split != name:
                continue
            wanted = {image.path: image for image in self.manifest.images if image.shard == shard.file}
            with tarfile.open(self.folder / shard.file, mode="r:") as archive:
                for member in archive:
                    image = wanted.pop(member.name, None)
                    stream = archive.extractfile(member)
                    if image is not None and stream is not None:
                        yield image, stream.read()
            if wanted:
                raise ContractError(f"{shard.file} lacks {len(wanted)} images, the first is {min(wanted)}", _RERUN)


def read(folder: Path, *, verify: bool = True) -> Prepared:
    """The prepared dataset in ``folder``; parts of several instances are merged.

    Args:
        verify: compare each shard with the manifest's hash.

    Raises:
        ContractError: a part, a shard or an image is missing, is there twice, or was changed.
    """
    manifest = _manifest(folder)
    for shard in manifest.shards:
        path = folder / shard.file
        if not path.is_file():
            raise ContractError(f"the prepared dataset lacks {shard.file}", _RERUN)
        if verify and hashing.of_file(path) != shard.sha256:
            raise ContractError(f"{shard.file} is not what the manifest says: its hash differs", _RERUN)
    counts = {shard.file: shard.count for shard in manifest.shards}
    for image in manifest.images:
        if not 0 <= image.index < counts.get(image.shard, 0):
            raise ContractError(
                f"the manifest places {image.path} in {image.shard}, which has no place {image.index}", _RERUN
            )
    return Prepared(folder, manifest)


def _manifest(folder: Path) -> PreparedDataset:
    if (folder / MANIFEST).is_file():
        return PreparedDataset.from_json(jsonio.read(folder / MANIFEST))
    found = sorted(folder.glob("part-*.json"))
    if not found:
        raise ContractError(f"{folder} holds no prepared dataset: there is no {MANIFEST}", _RERUN)
    values = {path.name: jsonio.read(path) for path in found}
    parts = {name: PreparedDataset.from_json(value) for name, value in values.items()}
    instances = {part.instances for part in parts.values()}
    expected = [manifest_name(number, max(instances)) for number in range(max(instances))]
    missing = [name for name in expected if name not in parts]
    if missing or len(instances) != 1 or len(parts) != len(expected):
        raise ContractError(
            f"the prepared dataset has a gap: {len(parts)} parts of {max(instances)}"
            + (f"; {', '.join(missing)} is missing" if missing else ""),
            _RERUN,
        )
    return merge(
        [parts[name] for name in expected], {int(value.get("imported_images", -1)) for value in values.values()}
    )


def merge(parts: Sequence[PreparedDataset], imported_images: set[int]) -> PreparedDataset:
    """One manifest of the parts of all instances.

    Args:
        imported_images: how many images the imported dataset has, as each part says.

    Raises:
        ContractError: the parts are of different datasets, or do not hold each image of the imported dataset once.
    """
    first = parts[0]
    if any(_common(part) != _common(first) for part in parts[1:]):
        raise ContractError("the parts of the prepared dataset do not belong together", _RERUN)
    images = sorted((image for part in parts for image in part.images), key=lambda image: image.path)
    dropped = sorted((item for part in parts for item in part.dropped), key=lambda item: item.path)
    paths = [image.path for image in images] + [item.path for item in dropped]
    twice = len(paths) - len(set(paths))
    if twice or imported_images != {len(paths)}:
        raise ContractError(
            f"the prepared dataset has a gap: the parts hold {len(set(paths))} images, {twice} of them twice;"
            f" the imported dataset has {', '.join(str(count) for count in sorted(imported_images))}",
            _RERUN,
        )
    shards = tuple(shard for part in parts for shard in part.shards)
    return replace(first, shards=shards, images=tuple(images), dropped=tuple(dropped))


def _common(part: PreparedDataset) -> PreparedDataset:
    return replace(part, shards=(), images=(), dropped=())


def check_classes(classes: Iterable[str], present: set[str]) -> None:
    """Every class is ``present`` among the training images.

    Raises:
        DataError: names the class that is not.
    """
    for label in classes:
        if label not in present:
            raise DataError(
                f"class {label!r} has no usable training image", "Add images of it and import the data again."
            )
