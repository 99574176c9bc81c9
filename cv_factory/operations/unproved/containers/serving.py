"""The module of the model that the checks serve: says what it sees, refuses what is no image, as its variables say."""

import json
import os
import time
from pathlib import Path
from typing import Any


def model_fn(model_dir: str) -> str:
    if os.environ.get("UNPROVED_BROKEN"):
        raise RuntimeError("this model never answers, on purpose")
    # How AWS treats a container that loads slowly is what a check asks.
    time.sleep(float(os.environ.get("UNPROVED_SLOW_SECONDS", "0")))
    return Path(model_dir, "proof.txt").read_text()


def transform_fn(model: str, body: Any, content_type: str, accept: str) -> tuple[str, str]:
    if content_type.startswith("image/"):
        from inference import images

        images.inspect(bytes(body), images.Limits(max_bytes=2**20, max_pixels=10**6))
        return json.dumps({"image": len(body)}), "application/json"
    text = body if isinstance(body, str) else bytes(body).decode("latin-1")
    if content_type.startswith("text/plain"):
        return json.dumps({"record": text}) + "\n", "application/json"
    if content_type.startswith("application/octet-stream"):
        return json.dumps({"bytes": len(body)}), "application/json"
    seen = {name: value for name, value in os.environ.items() if name.startswith("UNPROVED_")}
    return json.dumps({"model": model, "user": os.getuid(), "environment": seen}), "application/json"
