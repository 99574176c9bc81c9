"""Writes ``golden/<env>.json`` again, after a wanted change: ``python tests/pipeline_definition/update_golden.py``.

The shipped ``factory.yaml`` is the input. The source hash is a fixed one, so an edit of the training code changes none.
"""

from __future__ import annotations

import json
from pathlib import Path

import pipeline_definition
from contracts import jsonio, settings, source

GOLDEN = Path(__file__).with_name("golden")
FACTORY = source.root() / settings.DEFAULT_FILE
SOURCE_HASH = "5ca1ab1e" * 8


def render(env: str) -> str:
    """The definition of ``env`` as it is committed: for people to read and to compare."""
    text = pipeline_definition.build(settings.load(FACTORY, env), source_hash=SOURCE_HASH)
    return jsonio.pretty(json.loads(text))


if __name__ == "__main__":
    for name in settings.environments(FACTORY):
        jsonio.write_bytes(GOLDEN / f"{name}.json", render(name).encode())
        print(f"written: {GOLDEN / name}.json")
