"""What is served in the benchmark: images, a bundle of the shipped network, and a small network of about 5 ms.

The images are generated, so that the benchmark needs no data; the bundle comes from the product's own steps, trained
for one epoch: its weights are of no use, its cost is the shipped network's.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import steps
from contracts import bundle
from contracts.dataset import TEST, TRAIN, VALIDATION, ImportedDataset, ImportedImage, blob_key
from training import recipes

RECIPE = "quick"
SIDE = 300
NET = "net.onnx"

_SPLITS = {TRAIN: 64, VALIDATION: 16, TEST: 8}


def jpegs(count: int, seed: int = 0) -> list[bytes]:
    """Grey JPEG files of 300 x 300 pixels: smooth shapes with some noise, about 20 kB each, two kinds in turn."""
    numbers = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    found = []
    for index in range(count):
        period, turn = numbers.uniform(4, 12), numbers.uniform(0, 6)
        wave = np.sin(period * (columns if index % 2 else rows) * 6.28 + turn)
        pixels = 128 + 60 * wave + numbers.normal(0, 12, (SIDE, SIDE))
        file = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
        found.append(file.getvalue())
    return found


def shipped(folder: Path) -> Path:
    """A bundle of the shipped network in ``folder/model``; made once."""
    if (folder / "model" / bundle.SPEC).exists():
        return folder / "model"
    shutil.rmtree(folder, ignore_errors=True)
    content: dict[str, bytes] = {}
    images: list[ImportedImage] = []
    for seed, (split, count) in enumerate(_SPLITS.items()):
        for index, data in enumerate(jpegs(count, seed)):
            path = f"{split}/{index}.jpg"
            content[path] = data
            sha256 = hashlib.sha256(data).hexdigest()
            label = "stripes" if index % 2 else "bars"
            images.append(
                ImportedImage(
                    path, blob_key(sha256, path), label, len(data), sha256, SIDE, SIDE, "L", split, path, None, {}
                )
            )
    data_set = ImportedDataset(
        source="generated",
        image_root="s3://benchmark/blobs/",
        classes=("bars", "stripes"),
        positive_class="stripes",
        protocol="random",
        test_share=0.1,
        seed=0,
        split_id="benchmark",
        slice_columns=(),
        images=tuple(images),
    )
    steps.write_dataset(folder, data_set, content)
    steps.preprocess_and_train(folder, {"recipe": RECIPE, "seed": "0", "epochs": "1"})
    return folder / "model"


def small(folder: Path) -> Path:
    """A bundle with a network of a few layers in ``folder/model``: what remains is decoding and the server."""
    import torch
    from torch import nn

    from training import export

    model = folder / "model"
    model.mkdir(parents=True)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    )
    export.to_onnx(export.Served(network, 1), 1, 64, model / bundle.MODEL)
    bundle.seal(
        model,
        bundle.BundleSpec(
            classes=("bars", "stripes"), positive_class="stripes", input_size=64, color_mode="L", mean=(127.0,),
            std=(128.0,), temperature=1.0, thresholds={}, dataset_hash="0" * 64, source_hash="0" * 64, recipe="small",
            protocol="random",
        ),
    )  # fmt: skip
    return model


def net(folder: Path) -> Path:
    """A model folder with a convolutional network that takes about 5 ms for an image of 300 x 300; made once."""
    import torch
    from torch import nn

    file = folder / NET
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for inside, outside in ((1, 32), (32, 64), (64, 96), (96, 128)):
            layers += [nn.Conv2d(inside, outside, 3, stride=2, padding=1), nn.ReLU()]
        network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 2)).eval()
        torch.onnx.export(
            network, (torch.zeros(1, 1, SIDE, SIDE),), file, input_names=["image"], dynamo=True, external_data=False
        )
    return folder


def eager(model_dir: Path) -> Any:
    """The shipped network of a bundle in PyTorch, with the views that the bundle averages."""
    from safetensors.torch import load_file

    from training import model
    from training.export import Served

    spec = bundle.read(model_dir, verify=False)  # a user module lies in it
    recipe = recipes.resolve(spec.recipe)
    network = model.build(recipe, len(spec.classes), spec.channels)
    network.load_state_dict(load_file(model_dir / bundle.WEIGHTS))
    return Served(network, recipe.views).eval()
