"""The step Preprocess: images of an imported dataset -> decoded shards, once for all trainings.

Every file's hash is compared with the manifest's, every image is decoded by ``inference.images``, as the endpoint will
do it, and resized to the recipe's input size. Unusable files are left out with the reason; too many are a failure.
The output's bytes depend on the input and the arguments alone: no times, no order of threads.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from contracts import container, hashing, jsonio
from contracts.dataset import DATA_QUALITY, MANIFEST, SPLITS, TEST, TRAIN, Dropped, ImportedDataset, ImportedImage
from contracts.errors import DataError, UsageError
from inference import images
from inference.images import BadImage, Limits, Pixels
from training import dataset, hardware, job, quality, recipes

#: Images in flight; bounds the memory that decoded images take before they are written.
_CHUNK = 256
_NAMED = 5  # files named in an error


class Preprocessing:
    """Decodes the images of one instance; collects what was kept, what was dropped and how the pixels look."""

    def __init__(self, folder: Path, color_mode: str, size: int, limits: Limits) -> None:
        self._folder = folder
        self._color_mode = color_mode
        self._size = size
        self._limits = limits
        self.kept: list[ImportedImage] = []
        self.dropped: list[Dropped] = []
        self.statistics = {split: quality.PixelStatistics() for split in SPLITS}

    def file(self, image: ImportedImage) -> Path:
        """Where SageMaker put the image's file."""
        return self._folder / image.key

    def decode(self, chosen: Sequence[ImportedImage]) -> Iterator[tuple[ImportedImage, Pixels]]:
        """The usable images of ``chosen`` in order, decoded by all cores, ``(S, S, C) uint8``."""
        with ThreadPoolExecutor(hardware.cpus()) as pool:
            for start in range(0, len(chosen), _CHUNK):
                chunk = chosen[start : start + _CHUNK]
                for image, result in zip(chunk, pool.map(self._decode, chunk), strict=True):
                    if isinstance(result, str):
                        self.dropped.append(Dropped(image.path, result))
                        continue
                    self.kept.append(image)
                    self.statistics[image.split].add(result)
                    yield image, result

    def _decode(self, image: ImportedImage) -> Pixels | str:
        """The pixels, or why the file cannot be used."""
        try:
            data = self.file(image).read_bytes()
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        if hashing.of_bytes(data) != image.sha256:
            return "changed since it was imported: its hash differs"
        try:
            return images.load(data, self._color_mode, self._size, self._limits)
        except BadImage as error:
            return f"{error.code}: {error.message}"


def preprocess(
    source: Path, files: Path, output: Path, recipe: recipes.Recipe, limits: Limits, bad_file_share: float
) -> None:
    """Write the prepared dataset of the imported dataset in ``source`` to ``output``; the manifest is written last.

    Args:
        source: folder with the imported dataset's ``manifest.json``.
        files: folder with the images, each at its key.
        bad_file_share: 0…1; a larger share of unusable files is refused.

    Raises:
        DataError: too many unusable files, or a class without a usable training image.
    """
    started = time.monotonic()
    imported = ImportedDataset.from_json(jsonio.read(source / MANIFEST))
    instance, instances = job.processing_instance()
    color_mode = images.GREY if all(image.mode == images.GREY for image in imported.images) else images.COLOUR
    work = Preprocessing(files, color_mode, recipe.input_size, limits)
    # Sharded by key, an instance has some of the files. Reading the parts finds what none of them had.
    mine = [image for image in imported.images if instances == 1 or work.file(image).is_file()]
    writer = dataset.Writer(
        output,
        imported,
        input_size=recipe.input_size,
        color_mode=color_mode,
        instance=instance,
        instances=instances,
    )
    print(
        f"{len(mine)} images of {len(imported.images)}, {color_mode}, to {recipe.input_size} x {recipe.input_size}",
        flush=True,
    )
    for split in SPLITS:
        chosen = [image for image in mine if image.split == split]
        decoded = work.decode(chosen)
        if split == TEST:
            writer.files(split, ((image, work.file(image)) for image, _ in decoded))
        else:
            writer.pixels(split, decoded)
        print(f"{split}: {sum(image.split == split for image in work.kept)} of {len(chosen)} images", flush=True)
    _check(work, len(mine), bad_file_share)
    if instances == 1:
        dataset.check_classes(imported.classes, {image.label for image in work.kept if image.split == TRAIN})
    name = DATA_QUALITY if instances == 1 else f"data_quality-{instance}.json"
    jsonio.write(output / name, quality.report(imported, work.kept, work.dropped, work.statistics))
    writer.finish(work.dropped)
    print(f"done in {time.monotonic() - started:.1f} s, {len(work.dropped)} files left out", flush=True)


def _check(work: Preprocessing, count: int, bad_file_share: float) -> None:
    for item in work.dropped:
        print(f"left out {item.path}: {item.reason}", flush=True)
    if len(work.dropped) > bad_file_share * count:
        named = "\n".join(f"  {item.path}: {item.reason}" for item in work.dropped[:_NAMED])
        raise DataError(
            f"{len(work.dropped)} of {count} images cannot be used; at most {bad_file_share:.1%} may be left out",
            f"{named}\nRepair or remove the files and import the data again, or raise data.bad_file_share.",
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"preprocess: {message}", self.format_usage().strip())


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to 1")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return value


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step in a processing container."""
    parser = _Parser(prog="python -m training.preprocess", description=__doc__)
    parser.add_argument("--recipe", required=True, help="decides the input size")
    parser.add_argument("--bad-file-share", required=True, type=_share, help="0 to 1")
    parser.add_argument("--max-pixels", required=True, type=_positive)
    parser.add_argument("--max-file-mb", required=True, type=_positive, help="MB of 1,000,000 bytes")
    options = parser.parse_args(arguments)
    preprocess(
        container.local(f"{container.PROCESSING_INPUT}/dataset"),
        container.local(f"{container.PROCESSING_INPUT}/images"),
        container.local(f"{container.PROCESSING_OUTPUT}/dataset"),
        recipes.resolve(options.recipe),
        Limits(options.max_file_mb * 1_000_000, options.max_pixels),
        options.bad_file_share,
    )


if __name__ == "__main__":
    sys.exit(job.run(main, job.MESSAGE))
