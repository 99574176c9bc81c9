"""The step Evaluate on flat grey images and bundles made by hand: what it reads, and running it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts import bundle, hashing, jsonio
from contracts.dataset import ImportedDataset, ImportedImage, PreparedDataset
from tests.inference import tiny
from training import dataset, evaluate, job

GATE = ("--gate-min", "balanced_accuracy=0.7", "--champion-margin", "0.03")
#: A bundle whose answer turns at a grey value: P(light) is 0.5 there. The default turns at 127.5.
STEEP = 40.0


@dataclass(frozen=True)
class Item:
    """An image of one grey value; its number makes its content unlike that of any other."""

    value: int
    label: str
    split: str = "test"
    group: str = ""
    target: float | None = None
    slices: Mapping[str, str] = field(default_factory=dict)
    number: int = -1


def items(count: int = 60, *, wrong: int = 0, split: str = "test", first: int = 0, **more: Any) -> list[Item]:
    """Half dark and half light images, of which the last ``wrong`` have the other label."""
    found = []
    for index in range(count):
        light = index % 2 == 1
        label = "light" if light != (index >= count - wrong) else "dark"
        value = 140 + index % 100 if light else 110 - index % 100
        found.append(Item(value, label, split, number=first + index, **more))
    return found


def both_splits(**more: Any) -> list[Item]:
    """A few images to have been trained on, before those of the test split."""
    return [*items(4, split="train", first=9000), *items(4, split="validation", first=9100), *items(**more)]


def write_dataset(folder: Path, chosen: Sequence[Item], **changes: Any) -> PreparedDataset:
    """A prepared dataset, as Preprocess writes it; ``changes`` are fields of the imported one."""
    files = folder.with_name(folder.name + "-files")
    files.mkdir(parents=True, exist_ok=True)
    imported, paths = [], {}
    for index, item in enumerate(chosen):
        number = item.number if item.number >= 0 else index
        data = tiny.picture(item.value, size=(8 + number % 97, 8 + number // 97))
        path = f"{item.label}/{number:05}.png"
        (files / f"{number}.png").write_bytes(data)
        paths[path] = files / f"{number}.png"
        imported.append(
            ImportedImage(
                path, path, item.label, len(data), hashing.of_bytes(data), 8, 8, "L", item.split,
                item.group, item.target, item.slices,
            )
        )  # fmt: skip
    values: dict[str, Any] = {
        "source": "tiny",
        "image_root": "s3://bucket/blobs/",
        "classes": tiny.CLASSES,
        "positive_class": "light",
        "protocol": "random",
        "test_share": 0.25,
        "seed": 0,
        "split_id": "x",
        "slice_columns": tuple(sorted({name for item in chosen for name in item.slices})),
        "images": tuple(imported),
        "licence": "CC BY-NC-SA 4.0",
        **changes,
    }
    whole = ImportedDataset(**values)
    writer = dataset.Writer(folder, whole, input_size=8, color_mode="L")
    for split in ("train", "validation"):
        of_split = [image for image in imported if image.split == split]
        blank = np.zeros((8, 8, 1), np.uint8)
        writer.pixels(split, ((image, blank) for image in of_split))
    writer.files("test", ((image, paths[image.path]) for image in imported if image.split == "test"))
    return writer.finish([])


class Step:
    """``/opt/ml`` of a processing job below ``base``."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.model, self.dataset, self.champion = (
            base / "processing/input" / name for name in ("model", "dataset", "champion")
        )
        self.output = base / "processing/output/evaluation"
        self.manifest: PreparedDataset | None = None

    def prepare(self, chosen: Sequence[Item] | None = None, **changes: Any) -> PreparedDataset:
        self.manifest = write_dataset(self.dataset, both_splits() if chosen is None else chosen, **changes)
        return self.manifest

    def train(self, *, turn: float = 127.5, **changes: Any) -> str:
        """Put a bundle that turns at ``turn`` where Train's goes; its hash."""
        assert self.manifest is not None
        return write_model(self.model, self.manifest, turn=turn, **changes)

    def no_champion(self) -> None:
        jsonio.write(self.champion / evaluate.NO_CHAMPION, {})

    def crown(self, manifest: PreparedDataset | None = None, **changes: Any) -> str:
        """Put a champion beside; its hash."""
        of = manifest or self.manifest
        assert of is not None
        jsonio.write(self.champion / evaluate.CHAMPION_DATASET, of.to_json())
        return write_model(self.champion, of, **changes)

    def run(self, *arguments: str) -> int:
        """The exit code."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SAGEMAKER_BASE_DIR", str(self.base))
            return job.run(lambda: evaluate.main(arguments or GATE), job.MESSAGE)

    @property
    def message(self) -> str:
        return (self.base / "output/message").read_text()

    @property
    def found(self) -> Any:
        return json.loads((self.output / "evaluation.json").read_text())

    def text(self, name: str) -> str:
        return (self.output / name).read_text()


def write_model(folder: Path, manifest: PreparedDataset, *, turn: float = 127.5, **changes: Any) -> str:
    """``model.tar.gz`` of a bundle for ``manifest``."""
    # m = (value - 127.5) / 127.5; the logit of "light" is STEEP * (m - m(turn)).
    slope = STEEP / 2
    shift = slope * (turn - 127.5) / 127.5
    values: dict[str, Any] = {
        "weights": (-slope, slope),
        "bias": (shift, -shift),
        "classes": manifest.classes,
        "positive_class": manifest.positive_class,
        "dataset_hash": manifest.dataset_hash,
        "protocol": manifest.protocol,
        "licence": manifest.licence,
        **changes,
    }
    unpacked = folder.with_name(folder.name + "-unpacked")
    spec = tiny.write_bundle(unpacked, **values)
    tiny.write_archive(folder / bundle.ARCHIVE, unpacked)
    return spec.bundle_hash


def p_light(value: float, turn: float = 127.5) -> float:
    """What such a bundle answers for a flat image."""
    return float(1 / (1 + np.exp(-STEEP * (value - turn) / 127.5)))


def vars_of(item: Item) -> dict[str, Any]:
    return {name: getattr(item, name) for name in Item.__dataclass_fields__}
