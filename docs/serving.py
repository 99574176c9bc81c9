"""Writes ``docs/serving.md``: what the server does for user modules, and where it differs from the stock toolkit."""

from __future__ import annotations

import json

from contracts import openapi
from inference.user.differences import DIFFERENCES

_HEAD = """# The server

{written}
The serving container answers `POST /invocations`, `GET /ping` and `GET /execution-parameters` on port 8080. What an
application sends and gets is in [For the application developer](application-developer.md), and for machines in
[openapi.json](openapi.json). Limits are the `serving` section of [the settings](settings.md).

## Code of your own

A bundle with `code/inference.py` is served by that module, as the SageMaker Inference Toolkit would serve it:
`model_fn`, `input_fn`, `predict_fn` and `output_fn`, or `transform_fn`; also `pre_model_fn` and `model_warmup_fn`;
each with the context as one more argument or without. `code/requirements.txt` is installed with pip when the server
starts, and a failure ends the start. The image has numpy, Pillow and ONNX Runtime, but neither SciPy nor boto3, which
AWS's own images have: the server needs none of them, so a module that does names them there. `SAGEMAKER_PROGRAM` names
another file. Beside one of our bundles a module without `model_fn` changes only what it defines:

```text
def output_fn(answer, accept):
    return answer.predictions[0].label, "text/plain"
```

A module is called by one thread at a time in each process; `CVF_THREADS` allows more. A bundle without `code/` has as
many threads as the container has processors. `SAGEMAKER_MODEL_SERVER_WORKERS` above 1 starts that many processes
below a supervisor, which replaces one that dies.

## Differences from the toolkit

All of them on purpose. `make serving-fixtures` records the toolkit's own answers, and a test compares ours with each.

| the toolkit | this server | why |
| --- | --- | --- |
"""

_TAIL = """
## Which graph answers

`CVF_PRECISION` is `float32` or `int8`: a bundle of ours has both graphs, each with its own temperature and
thresholds. A package carries what its evaluation chose ([training](training.md#float32-and-int8)), so nobody has to
set it; a bundle without that graph ends the start.

A bundle may ask for micro-batches (`micro_batch` and `micro_batch_ms` of its recipe): images of requests that wait at
the same time go through the network together, each request with its own answer and its own error. It pays for
networks whose cost is reading their weights. None of the shipped recipes asks for it.

The network runs on a GPU when the installed ONNX Runtime can use one, else on the CPU. The shipped image has the
CPU's package: for a GPU, replace `onnxruntime` by the nearest release of `onnxruntime-gpu` (it follows some time later)
in `requirements/inference.txt`, with its hashes, and build on a base image with the CUDA and cuDNN that it names
(`make images BASE=…`). Without them it says so in the log and goes on on the CPU. No GPU has
been used here.

## What it writes

One JSON line a request on stdout, which SageMaker keeps in `/aws/sagemaker/Endpoints/<name>`; `serving.log_share`
says for which share of the requests. Never a part of an image, nor custom attributes:

```json
{"event":"request","id":"5d2f…","status":200,"bytes":48211,"ms":7.9,"decode_ms":3.1,"model_ms":4.2,"encode_ms":0.1,"label":"whole","confidence":0.994}
```

CloudWatch Logs metric filters make metrics of such lines: `{ $.event = "request" && $.status = 503 }`, or
`$.model_ms` as a value.

With `CVF_METRICS_PORT` set, `GET /metrics` on that port is a Prometheus page: requests by status, times as
histograms, predictions by label, confidence, queue, memory, of all processes together. It is for a laptop and for
one's own hosting: SageMaker reaches port 8080 only.
"""


def page(written: str) -> str:
    """``docs/serving.md``; ``written`` is the line that says who writes it."""
    rows = "\n".join(f"| {one.toolkit} | {one.ours} | {one.why} |" for one in DIFFERENCES.values())
    return _HEAD.format(written=written) + rows + "\n" + _TAIL


def openapi_file() -> str:
    """``docs/openapi.json``."""
    return json.dumps(openapi.document(), indent=2) + "\n"
