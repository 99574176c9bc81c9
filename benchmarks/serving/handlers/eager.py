"""What one would write for the stock toolkit: the shipped network in PyTorch, eager, one thread a worker."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.serving import bundles
from contracts import bundle


def model_fn(model_dir: str) -> Any:
    torch.set_num_threads(1)
    return bundles.eager(Path(model_dir)), bundle.read(Path(model_dir), verify=False)


def input_fn(data: bytes, content_type: str) -> Any:
    return Image.open(io.BytesIO(data)).convert("L")


def predict_fn(image: Any, model: Any) -> Any:
    network, spec = model
    pixels = np.asarray(image.resize((spec.input_size, spec.input_size), Image.Resampling.BILINEAR), np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy((pixels - spec.mean[0]) / spec.std[0])[None, None])
        return torch.softmax(logits / spec.temperature, 1), spec.classes


def output_fn(prediction: Any, accept: str) -> str:
    probabilities, classes = prediction
    return json.dumps(dict(zip(classes, probabilities[0].tolist(), strict=True)))
