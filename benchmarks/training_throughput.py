"""Images per CPU second of Preprocess and of Train's loop, on drawn 300 x 300 pictures; no download, no accuracy.

CPU seconds are user and system time of this process: wall time on a shared machine says more of the others. Train
counts every training image of every epoch; imports and the export, which do not grow with the data, are not in it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from contracts import hashing, jsonio
from contracts.dataset import TRAIN, VALIDATION, ImportedDataset, ImportedImage, blob_key
from contracts.errors import FactoryError
from inference.images import Limits
from training import dataset, hardware, recipes
from training.job import StopRequest
from training.preprocess import preprocess
from training.recipes import Recipe

SIZE = 300
CLASSES = ("blurred", "sharp")


def write_images(folder: Path, count: int) -> None:
    """An imported dataset of ``count`` training and a few validation and test images of two classes."""
    generator = np.random.default_rng(0)
    splits = [*["train"] * count, *["validation"] * 8, *["test"] * 8]
    images = []
    for number, split in enumerate(splits):
        label = CLASSES[number % 2]
        noise = Image.fromarray(generator.integers(0, 256, (SIZE // 6, SIZE // 6), np.uint8)).resize((SIZE, SIZE))
        picture = noise.filter(ImageFilter.GaussianBlur(6)) if label == "blurred" else noise
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        path, sha256 = f"{label}/{number:05d}.png", hashing.of_bytes(stream.getvalue())
        key = blob_key(sha256, path)
        file = folder / "images" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(stream.getvalue())
        images.append(ImportedImage(path, key, label, len(stream.getvalue()), sha256, SIZE, SIZE, "L", split))
    manifest = ImportedDataset(
        source="drawn",
        image_root="s3://benchmark/blobs/",
        classes=CLASSES,
        positive_class=CLASSES[0],
        protocol="random",
        test_share=0.25,
        seed=0,
        split_id="drawn",
        slice_columns=(),
        images=tuple(sorted(images, key=lambda image: image.path)),
    )
    jsonio.write(folder / "imported/manifest.json", manifest.to_json())


def measure(recipe: Recipe, count: int, epochs: int, folder: Path) -> dict[str, Any]:
    """CPU seconds of both steps for ``count`` training images."""
    write_images(folder, count)
    started, begun = time.process_time(), time.monotonic()
    preprocess(folder / "imported", folder / "images", folder / "prepared", recipe, Limits(1_000_000, SIZE * SIZE), 0.0)
    prepared_cpu, prepared_wall = time.process_time() - started, time.monotonic() - begun

    from training import fit  # torch: not in the time of preprocess

    fit.configure(hardware.cpus())
    data = dataset.read(folder / "prepared")
    training = fit.Training(
        replace(recipe, epochs=epochs),
        data.manifest,
        data.split(TRAIN),
        data.split(VALIDATION),
        seed=0,
        fingerprint="0",
        folder=folder / "checkpoints",
        stop=StopRequest(),
    )
    started, begun = time.process_time(), time.monotonic()
    training.run()
    train_cpu, train_wall = time.process_time() - started, time.monotonic() - begun
    return {
        "preprocess": _figures(count + 16, prepared_cpu, prepared_wall),
        "train": _figures(count // recipe.batch_size * recipe.batch_size * epochs, train_cpu, train_wall),
    }


def _figures(images: int, cpu: float, wall: float) -> dict[str, float]:
    return {
        "images": images,
        "cpu_seconds": round(cpu, 2),
        "wall_seconds": round(wall, 2),
        "images_per_cpu_second": round(images / cpu, 1),
    }


def main() -> int:
    """The command; starts itself again when the process lacks the environment of the training image."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_throughput", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="few images: a minute on two cores")
    parser.add_argument("--recipe", default="quick")
    options = parser.parse_args()
    if hardware.untuned():
        os.execve(  # noqa: S606 (the same program)
            sys.executable,
            [sys.executable, "-m", "benchmarks.training_throughput", *sys.argv[1:]],
            {**os.environ, **hardware.ENVIRONMENT},
        )
    try:
        recipe = recipes.resolve(options.recipe)
        with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
            # All the recipe's epochs: it may train at several sizes, and the figure is their mean.
            found = measure(recipe, 128 if options.quick else 1024, recipe.epochs, Path(folder))
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    load = os.getloadavg()[0]
    print(
        json.dumps(
            {
                "benchmark": "training_throughput",
                "recipe": recipe.name,
                "threads": hardware.cpus(),
                "load": load,
                **found,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
