"""``data_quality.json``: what Preprocess checked, and what it found in the images and their attributes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from contracts.dataset import SPLITS, Dropped, ImportedDataset, ImportedImage
from inference.images import Pixels


class PixelStatistics:
    """Mean and standard deviation of all pixels and the spread of the images' brightness, on the scale 0…255."""

    def __init__(self) -> None:
        self._brightness: list[float] = []
        self._squares = 0.0

    def add(self, pixels: Pixels) -> None:
        """Count one image; all images have the same size."""
        values = pixels.astype(np.float64)
        self._brightness.append(float(values.mean()))
        self._squares += float(np.square(values).mean())

    def to_json(self) -> dict[str, float] | None:
        """Figures with three decimals, or None when there was no image."""
        if not self._brightness:
            return None
        brightness = np.asarray(self._brightness)
        mean = float(brightness.mean())
        variance = self._squares / len(brightness) - mean**2
        darkest, brightest = np.percentile(brightness, (1, 99))
        figures = {
            "mean": mean,
            "std": max(variance, 0.0) ** 0.5,
            "image_brightness_p1": float(darkest),
            "image_brightness_p99": float(brightest),
        }
        return {name: round(value, 3) for name, value in figures.items()}


def report(
    imported: ImportedDataset,
    kept: Sequence[ImportedImage],
    dropped: Sequence[Dropped],
    pixels: Mapping[str, PixelStatistics],
) -> dict[str, Any]:
    """The content of ``data_quality.json`` for the images of one instance."""
    by_split = {split: [image for image in kept if image.split == split] for split in SPLITS}
    widths = np.asarray([image.width for image in kept] or [0])
    heights = np.asarray([image.height for image in kept] or [0])
    return {
        "dataset_hash": imported.hash,
        "protocol": imported.protocol,
        "images": {
            split: {
                "count": len(images),
                "by_class": _counts(image.label for image in images),
                "groups": len({image.group for image in images if image.group}),
                "by_slice": {
                    column: _counts(image.slices.get(column, "") for image in images)
                    for column in imported.slice_columns
                },
                "pixels": pixels[split].to_json(),
            }
            for split, images in by_split.items()
        },
        "width": {"min": int(widths.min()), "median": float(np.median(widths)), "max": int(widths.max())},
        "height": {"min": int(heights.min()), "median": float(np.median(heights)), "max": int(heights.max())},
        "modes": _counts(image.mode for image in kept),
        "same_content_in_two_splits": _shared(kept, "sha256"),
        "same_group_in_two_splits": _shared(kept, "group"),
        "dropped": [asdict(item) for item in dropped],
    }


def _counts(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _shared(images: Sequence[ImportedImage], attribute: str) -> list[str]:
    """Values of ``attribute`` that occur in more than one split."""
    splits = defaultdict(set)
    for image in images:
        splits[getattr(image, attribute)].add(image.split)
    return sorted(value for value, found in splits.items() if value and len(found) > 1)
