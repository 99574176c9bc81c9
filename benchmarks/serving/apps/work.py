"""The handler that ``BENCHMARK_HANDLER`` names, as one function from a body to an answer."""

from __future__ import annotations

import importlib.util
import os
from typing import Any


def load() -> Any:
    """``answer(body) -> str``, with the model loaded."""
    spec = importlib.util.spec_from_file_location("handler", os.environ["BENCHMARK_HANDLER"])
    assert spec is not None and spec.loader is not None
    handler = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(handler)
    model = handler.model_fn(os.environ["BENCHMARK_MODEL"])

    def answer(body: bytes) -> str:
        data = handler.input_fn(body, "application/octet-stream")
        text: str = handler.output_fn(handler.predict_fn(data, model), "application/json")
        return text

    return answer
