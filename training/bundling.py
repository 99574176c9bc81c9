"""A trained network -> the sealed bundle: graphs, temperatures, golden requests, weights (:mod:`contracts.bundle`)."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save
from torch import nn

from contracts import bundle, jsonio
from contracts.bundle import BundleSpec, Calibration
from contracts.dataset import PreparedDataset
from inference.predictor import Predictor
from training import calibration, export, model, quantise
from training.dataset import Pixels, Split
from training.recipes import Recipe

#: Golden requests in a bundle, and what an answer's probabilities may differ by on another machine. Integer arithmetic
#: is exact, but processors without VNNI instructions saturate some sums (ONNX Runtime, "Quantize ONNX models").
GOLDEN_IMAGES = 8
GOLDEN_TOLERANCE = {bundle.FLOAT32: 2e-3, bundle.INT8: 0.1}

_BATCH = 32


def assemble(
    folder: Path,
    network: nn.Module,
    recipe: Recipe,
    manifest: PreparedDataset,
    train: Split,
    validation: Split,
    *,
    source_hash: str,
    threads: int,
) -> BundleSpec:
    """Export ``network`` into ``folder``, as it is and quantised, fit each graph's temperature, and seal.

    Args:
        network: the averaged weights, on any device.
        train: what the ranges of the quantised graph are measured on.
        validation: what the temperatures are fitted on; a few of its images become the golden requests.
        threads: for the graph's arithmetic here; the answer does not depend on it beyond rounding.
    """
    folder.mkdir(parents=True, exist_ok=True)
    channels = 1 if manifest.color_mode == "L" else 3
    export.to_onnx(export.Served(network, recipe.views), channels, recipe.input_size, folder / bundle.MODEL)
    state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    jsonio.write_bytes(folder / bundle.WEIGHTS, save(state, {"architecture": recipe.architecture}))
    spec = BundleSpec(
        classes=manifest.classes,
        positive_class=manifest.positive_class,
        input_size=recipe.input_size,
        color_mode=manifest.color_mode,
        mean=(model.MEAN,) * channels,
        std=(model.STD,) * channels,
        temperature=1.0,
        thresholds={},
        dataset_hash=manifest.dataset_hash,
        source_hash=source_hash,
        recipe=recipe.name,
        protocol=manifest.protocol,
        licence=manifest.licence,
        micro_batch=recipe.micro_batch,
        micro_batch_ms=recipe.micro_batch_ms,
    )
    # Without its hash the bundle is not yet one: nobody reads it but this function.
    jsonio.write(folder / bundle.SPEC, spec.to_json())
    temperature, golden = _calibrated(folder, manifest, validation, bundle.FLOAT32, threads)
    spec = replace(spec, temperature=temperature)
    expected = {bundle.FLOAT32: golden}
    reason = quantise.to_int8(folder / bundle.MODEL, folder / bundle.INT8_MODEL, spec, train)
    if reason:
        print(f"WARNING: the bundle has no int8 graph: {reason}", flush=True)
    else:
        jsonio.write(folder / bundle.SPEC, replace(spec, int8=Calibration(1.0, {})).to_json())
        temperature, golden = _calibrated(folder, manifest, validation, bundle.INT8, threads)
        spec = replace(spec, int8=Calibration(temperature, {}))
        expected[bundle.INT8] = golden
    jsonio.write(folder / bundle.GOLDEN, expected)
    return bundle.seal(folder, spec)


def _calibrated(
    folder: Path, manifest: PreparedDataset, validation: Split, precision: str, threads: int
) -> tuple[float, dict[str, object]]:
    """The temperature of one of the unsealed bundle's graphs, and its golden requests."""
    predictor = Predictor(folder, threads, verify=False, precision=precision)
    logits = np.concatenate([predictor.logits(validation.batch(rows)) for rows in _batches(len(validation))])
    number = {label: index for index, label in enumerate(manifest.classes)}
    labels = np.asarray([number[image.label] for image in validation.images], np.int64)
    temperature = calibration.fit_temperature(logits, labels, _observations(manifest, validation))
    one = Predictor(folder, 1, verify=False, precision=precision)
    one.spec = replace(one.spec, temperature=temperature)
    return temperature, _golden(one, validation.batch(_chosen(labels)))


def _observations(manifest: PreparedDataset, validation: Split) -> int:
    """Independent observations in the validation split: its groups, or its images when groups do not count."""
    if manifest.protocol != "group":
        return len(validation)
    return len({image.group or image.path for image in validation.images})


def _batches(count: int) -> list[range]:
    return [range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH)]


def _chosen(labels: NDArray[np.int64]) -> list[int]:
    """Rows of the golden images: the first of each class in turn, at most :data:`GOLDEN_IMAGES`."""
    by_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    turns = max(len(rows) for rows in by_class)
    rows = [int(rows[turn]) for turn in range(turns) for rows in by_class if turn < len(rows)]
    return rows[:GOLDEN_IMAGES]


def _golden(predictor: Predictor, pixels: Pixels) -> dict[str, object]:
    """Requests as an application sends them, with the answers; images have the network's size already."""
    cases = []
    for image in pixels:
        data = _png(image)
        (answer,) = predictor.predict([data])
        cases.append(
            {
                "request": {"image": base64.b64encode(data).decode()},
                "predicted_label": answer.label,
                "probabilities": {name: round(value, 6) for name, value in answer.probabilities.items()},
            }
        )
    return {"tolerance": GOLDEN_TOLERANCE[predictor.precision], "cases": cases}


def _png(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(stream, "PNG")
    return stream.getvalue()
