"""The shipped bundle without any server: decode, resize, model and encode in a plain loop, in a process of its own."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving.rivals import ROOT


def measure(model: Path, bodies: Sequence[bytes], seconds: float) -> float:
    """CPU milliseconds an image."""
    plan = json.dumps([base64.b64encode(body).decode() for body in bodies])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.loop", str(model), str(seconds)], input=plan, text=True,
        stdout=subprocess.PIPE, cwd=ROOT, check=True,
    )  # fmt: skip
    return float(done.stdout)


def main() -> None:
    import numpy as np
    import onnxruntime  # type: ignore[import-untyped]

    from contracts import bundle
    from inference import images

    model, seconds = Path(sys.argv[1]), float(sys.argv[2])
    bodies = [base64.b64decode(text) for text in json.load(sys.stdin)]
    spec = bundle.read(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model / bundle.MODEL, options, providers=["CPUExecutionProvider"])
    limits = images.Limits(10_000_000, 25_000_000)
    mean, std = (np.asarray(values, np.float32).reshape(1, -1, 1, 1) for values in (spec.mean, spec.std))
    count, used, until = 0, 0.0, 0.0
    for index in range(10**9):
        if index == 20:  # warm
            used, until, count = time.process_time(), time.monotonic() + seconds, 0
        pixels = images.load(bodies[index % len(bodies)], spec.color_mode, spec.input_size, limits)
        batch = (pixels.transpose(2, 0, 1)[None].astype(np.float32) - mean) / std
        logits = session.run([bundle.OUTPUT_NAME], {bundle.INPUT_NAME: batch})[0][0] / spec.temperature
        powers = np.exp(logits - logits.max())
        shares = (powers / powers.sum()).tolist()
        best = shares.index(max(shares))
        answer = {"label": spec.classes[best], "confidence": shares[best]}
        answer["probabilities"] = dict(zip(spec.classes, shares, strict=True))
        json.dumps(answer).encode()
        count += 1
        if index > 20 and time.monotonic() > until:
            break
    print((time.process_time() - used) / count * 1000)


if __name__ == "__main__":
    main()
