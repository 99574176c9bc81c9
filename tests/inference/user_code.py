"""Servers for user modules that a test writes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.inference.conftest import ServerProcess

Start = Callable[..., ServerProcess]
DOCUMENT = {"Content-Type": "application/json"}


def write(base: Path, text: str, *, name: str = "inference.py", **files: str) -> None:
    code = base / "model" / "code"
    code.mkdir(parents=True, exist_ok=True)
    for file, content in {name: text, **files}.items():
        (code / file).parent.mkdir(parents=True, exist_ok=True)
        (code / file).write_text(textwrap.dedent(content))


#: Functions of every stage, which say what they got.
STAGES = """
    import json
    def model_fn(model_dir):
        return {"dir": model_dir}
    def input_fn(data, content_type):
        return [type(data).__name__, bytes(data).decode() if not isinstance(data, str) else data, content_type]
    def predict_fn(data, model):
        return [*data, model["dir"]]
    def output_fn(prediction, accept):
        return json.dumps([*prediction, accept]), "application/json"
"""


@pytest.fixture
def serve(tmp_path: Path, start_server: Start) -> Callable[..., ServerProcess]:
    """A ready server with a module."""

    def start(text: str, *, name: str = "inference.py", files: dict[str, str] | None = None, **environment: str) -> Any:
        write(tmp_path, text, name=name, **(files or {}))
        server = start_server(tmp_path, **environment)
        server.wait_until_ready()
        return server

    return start


def post(server: ServerProcess, body: Any, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return server.request("POST", "/invocations", body, **headers)
