"""A user module with a small network in ONNX Runtime: a JPEG in, probabilities out, about 5 ms of one core."""

import io
import json
import os
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from PIL import Image


def model_fn(model_dir: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = os.path.join(model_dir, "net.onnx")  # noqa: PTH118 - plain, as a user writes it
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def input_fn(data: bytes, content_type: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"), np.float32)[None, None] / 255


def predict_fn(data: Any, model: Any) -> Any:
    return model.run(None, {"image": data})[0]


def output_fn(prediction: Any, accept: str) -> str:
    return json.dumps({"logits": prediction.tolist()})
