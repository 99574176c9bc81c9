"""A bundle made by hand, for tests: the mean intensity of the image decides. No torch.

Its graph: mean over channels and pixels of the normalised image, m; logits = weights * m + bias, with normalisation
(pixel - 127.5) / 127.5. With the default weights (-4, 4) a black image is "dark" and a white one is "light" with
probability 1 / (1 + exp(-8)).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save
from PIL import Image

from contracts import archives, bundle
from contracts.bundle import BundleSpec

CLASSES = ("dark", "light")


def make_spec(**changes: object) -> BundleSpec:
    values: dict[str, object] = {
        "classes": CLASSES,
        "positive_class": "light",
        "input_size": 8,
        "color_mode": "L",
        "mean": (127.5,),
        "std": (127.5,),
        "temperature": 1.0,
        "thresholds": {},
        "dataset_hash": "d" * 64,
        "source_hash": "s" * 64,
        "recipe": "tiny",
        "protocol": "random",
    }
    return BundleSpec(**{**values, **changes})  # type: ignore[arg-type]


def write_model(
    path: Path,
    *,
    channels: int = 1,
    size: int = 8,
    weights: Sequence[float] = (-4.0, 4.0),
    bias: Sequence[float] | None = None,
    names: tuple[str, str] = (bundle.INPUT_NAME, bundle.OUTPUT_NAME),
) -> None:
    image, logits = names
    classes = len(weights)
    nodes = [
        helper.make_node("ReduceMean", [image, "axes"], ["m"], keepdims=0),
        helper.make_node("Reshape", ["m", "column"], ["c"]),
        helper.make_node("Mul", ["c", "weights"], ["w"]),
        helper.make_node("Add", ["w", "bias"], [logits]),
    ]
    constants = {
        "axes": np.array([1, 2, 3], np.int64),
        "column": np.array([-1, 1], np.int64),
        "weights": np.asarray(weights, np.float32)[None],
        "bias": np.asarray(bias if bias is not None else [0.0] * classes, np.float32)[None],
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(image, TensorProto.FLOAT, ["n", channels, size, size])],
        [helper.make_tensor_value_info(logits, TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    checker.check_model(model)
    save(model, path)


def write_bundle(
    folder: Path,
    *,
    weights: Sequence[float] = (-4.0, 4.0),
    bias: Sequence[float] | None = None,
    members: Mapping[str, bytes] | None = None,
    **changes: object,
) -> BundleSpec:
    """A sealed bundle in ``folder``; ``changes`` are fields of its spec."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = make_spec(**changes)
    write_model(folder / bundle.MODEL, channels=spec.channels, size=spec.input_size, weights=weights, bias=bias)
    for name, data in (members or {}).items():
        (folder / name).write_bytes(data)
    return bundle.seal(folder, spec)


def write_archive(path: Path, folder: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        archives.pack_folder(file, folder)


def picture(value: int, *, size: tuple[int, int] = (12, 9), mode: str = "L", format_: str = "PNG") -> bytes:
    """A flat image of one grey value."""
    stream = io.BytesIO()
    Image.new("L", size, value).convert(mode).save(stream, format_)
    return stream.getvalue()


def light_probability(value: float, *, temperature: float = 1.0) -> float:
    """What the default bundle must answer for a flat image."""
    return float(1 / (1 + np.exp(-8 * (value - 127.5) / 127.5 / temperature)))
