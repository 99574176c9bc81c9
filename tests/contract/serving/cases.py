"""User modules and requests: what the stock toolkit was asked, and what our server is asked.

``difference`` names the entry of :data:`inference.user.differences.DIFFERENCES` by which our answer is another one;
``ours`` is then what it must be: status, and the error's code or the body.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np

JSON, CSV, NPY, NPZ = "application/json", "text/csv", "application/x-npy", "application/x-npz"

MODULES = {
    "defaults": """
def model_fn(model_dir): return 2
def predict_fn(data, model): return data * model
""",
    "stages": """
import json
def model_fn(model_dir): return "model"
def input_fn(data, content_type):
    return [type(data).__name__, data if isinstance(data, str) else bytes(data).decode("latin-1"), content_type]
def predict_fn(data, model): return [*data, model]
def output_fn(prediction, accept): return json.dumps([*prediction, accept]), "application/json"
""",
    "returns": """
import numpy
def model_fn(model_dir): return None
def transform_fn(model, data, content_type, accept):
    return {
        "str": "text", "bytes": b"\\x00\\xff", "bytearray": bytearray(b"ab"),
        "dict": {"a": [1, "\\u00e9"]}, "list": [1, 2],
        "none": None, "number": 3, "tuple": ("body", "text/x-mine"), "tuple dict": ({"a": 1}, "application/json"),
        "nan": float("nan"), "set": {1}, "nan text": ('{"a": NaN}', "application/json"), "empty": "",
    }[bytes(data).decode()]
""",
    "context": """
order = []
def pre_model_fn(model_dir, context): order.append("pre")
def model_fn(model_dir, context=None):
    order.append("model")
    return sorted(context.system_properties)
def model_warmup_fn(model_dir, model, context): order.append("warm-up")
def input_fn(data, content_type, context):
    return [context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes"), len(context.get_request_id(0)) > 8,
            context.get_request_header(0, "no such header")]
def predict_fn(data, model, context):
    context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", "answered")
    context.set_response_status(code=201, phrase="Made")
    return {"order": order, "data": data, "properties": model, "batch": context.system_properties["batch_size"],
            "server": context.system_properties["server_name"], "gpu": context.system_properties["gpu_id"],
            "name": context.model_name, "processors": len(context.request_processor)}
def output_fn(prediction, accept, context):
    import json
    return json.dumps(prediction)
""",
    "errors": """
from sagemaker_inference import errors
class Mine(errors.BaseInferenceToolkitError):
    def __init__(self): super().__init__(422, "not like this", "Unprocessable")
def model_fn(model_dir): return None
def input_fn(data, content_type):
    text = bytes(data).decode()
    if text == "mine": raise Mine
    if text == "generic": raise errors.GenericInferenceToolkitError(429)
    if text == "value": raise ValueError("bad value, secret-1")
    if text == "format": raise errors.UnsupportedFormatError(content_type)
    return text
def predict_fn(data, model):
    if data == "memory": raise MemoryError
    if data == "runtime": raise RuntimeError("secret-2")
    if data == "recursion":
        def deeper(): return deeper()
        return deeper()
    return data
""",
    "arity": """
def model_fn(model_dir): return None
def input_fn(data, content_type): return bytes(data).decode()
def predict_fn(data, model, device="cpu"): return device
def output_fn(prediction, accept): return prediction
""",
    "keyword": """
def model_fn(model_dir): return None
def transform_fn(model, data, content_type, accept, *, context): return context.get_request_header(0, "X-Mine")
""",
    "coroutine": """
def model_fn(model_dir): return None
async def transform_fn(model, data, content_type, accept): return "awaited"
""",
    "broken": """
def model_fn(model_dir): raise RuntimeError("no weights, secret-3")
def predict_fn(data, model): return data
""",
    "imports": """
import json
from sagemaker_inference import content_types, decoder, default_inference_handler, encoder
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
def model_fn(model_dir): return DefaultInferenceHandler()
def transform_fn(model, data, content_type, accept):
    array = decoder.decode(data, content_type)
    again = model.default_input_fn(data, content_type)
    body, chosen = model.default_output_fn(array * 2, accept)
    return encoder.encode(again, content_types.CSV) + "|" + body + "|" + chosen
""",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    name: str
    module: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"
    path: str = "/invocations"
    difference: str = ""
    ours: tuple[int, Any] = (0, None)


def npy(value: Any, **named: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, **named)
    return stream.getvalue()


def made(module: str, body: bytes, content_type: str = "", accept: str = "", **named: Any) -> Case:
    headers = {**({"Content-Type": content_type} if content_type else {}), **({"Accept": accept} if accept else {})}
    headers.update(named.pop("headers", {}))
    name = named.pop("name", "") or f"{module}: {body[:24]!r} {content_type} {accept}".strip()
    return Case(name, module, body, headers, **named)


def different(key: str, status: int, answer: Any) -> dict[str, Any]:
    return {"difference": key, "ours": (status, answer)}


MATRIX = np.array([[1, 2], [3, 4]])
CASES = [
    # The default decoders and encoders.
    made("defaults", b"[[1, 2], [3, 4]]", JSON),
    made("defaults", b"[[1, 2], [3, 4]]", JSON, JSON),
    made("defaults", b"[[1, 2], [3, 4]]", JSON, CSV),
    made("defaults", b"[[1, 2], [3, 4]]", JSON, NPY),
    made("defaults", b"[1.5, 2]", JSON, "*/*"),
    made("defaults", b"3", JSON),
    made("defaults", b'"ab"', JSON, **different("errors", 500, "internal")),
    made("defaults", b"1,2\n3,4", CSV),
    made("defaults", b"1.5,2\n3,4", CSV, CSV, **different("bodies", 500, "internal")),  # columns of two types
    made("defaults", npy(MATRIX), NPY, name="defaults: npy"),
    made("defaults", npy(MATRIX.T), NPY, name="defaults: npy in Fortran order"),
    made("defaults", npy(np.array([1.5, 2.5], np.float32)), NPY, CSV, name="defaults: npy float32 to csv"),
    made("defaults", b"[1]", JSON, "text/html, text/csv, application/json"),
    made("defaults", b"[1]", JSON, "application/json, text/csv"),
    made("defaults", b"[1]", JSON, headers={"accept": CSV}, name="defaults: accept in lower case"),
    made("defaults", b"[1]", headers={"content-type": JSON}, name="defaults: content-type in lower case"),
    made("defaults", b"[1]", "application/json; charset=utf-8", **different("parameters", 200, b"[2]")),
    made("defaults", b"[1]", JSON, "application/json;q=0.9, text/csv;q=0.1", **different("accept", 200, b"[2]")),
    made("defaults", b"[1]", JSON, "application/*", **different("accept", 200, b"[2]")),
    made(
        "defaults", b"[1]", headers={"CONTENT-TYPE": JSON}, name="defaults: CONTENT-TYPE",
        **different("names", 200, b"[2]"),
    ),
    made(
        "defaults", b"[1]", headers={"ContentTypeX": JSON}, name="defaults: ContentTypeX",
        **different("names", 415, "unsupported_media_type"),
    ),
    made("defaults", b"{", JSON, **different("errors", 400, "bad_json")),
    made("defaults", b"\xff\xfe", JSON, **different("errors", 400, "bad_json")),
    made("defaults", b"[" * 100_000, JSON, name="defaults: deep JSON", **different("errors", 400, "bad_json")),
    made("defaults", b"[1]", "text/x-unknown", **different("errors", 415, "unsupported_media_type")),
    made("defaults", b"[1]", **different("errors", 415, "unsupported_media_type")),
    made("defaults", b"[1]", JSON, "text/html", **different("errors", 406, "not_acceptable")),
    made("defaults", b"[NaN]", JSON, **different("nan", 500, "internal")),
    made(
        "defaults", npy(np.array([1, None], object), allow_pickle=True), NPY, name="defaults: pickled npy",
        **different("pickle", 400, "bad_request"),
    ),
    made("defaults", b"", method="GET", name="GET /invocations", **different("errors", 405, "method_not_allowed")),
    made(
        "defaults", b"", method="GET", path="/models", name="GET /models",
        **different("management", 404, "not_found"),
    ),
    made("defaults", b"", method="GET", path="/ping", name="GET /ping"),
    # What the user's functions are given.
    made("stages", b'{"a": 1}', JSON),
    made("stages", b"1,2", CSV, CSV),
    made("stages", b"\x00\xff", "application/octet-stream"),
    made("stages", "é".encode(), "text/plain"),
    made("stages", "é".encode(), JSON),
    made("stages", b"x"),
    made("stages", b"", "text/plain"),
    made(
        "stages", b"x", "multipart/form-data; boundary=b",
        **different(
            "multipart", 200, b'["bytearray", "x", "multipart/form-data; boundary=b", "model", "application/json"]'
        ),
    ),
    made("stages", b"x", "a/b", "text/html;q=0.5, */*"),
    made("stages", b"x", "a/b", headers={"X-Other": "1"}),
    # What they may return.
    *(
        made("returns", word.encode(), "a/b", accept, name=f"returns: {word} {accept}".strip())
        for word in ("str", "bytes", "bytearray", "dict", "list", "none", "number", "tuple", "tuple dict", "empty")
        for accept in ("", "text/x-asked")
    ),
    made("returns", b"nan", "a/b", **different("nan", 500, "internal")),
    made("returns", b"nan text", "a/b", **different("nan", 500, "internal")),
    made("returns", b"set", "a/b", **different("errors", 500, "internal")),
    made("context", b"x", "a/b", headers={"X-Amzn-SageMaker-Custom-Attributes": "asked"}),
    made("errors", b"fine", "a/b"),
    made("errors", b"mine", "a/b", **different("bodies", 422, "bad_request")),
    made("errors", b"generic", "a/b", **different("bodies", 429, "bad_request")),
    made("errors", b"value", "a/b", **different("errors", 400, "bad_request")),
    made("errors", b"format", "a/b", **different("errors", 415, "unsupported_media_type")),
    made("errors", b"memory", "a/b", **different("errors", 507, "out_of_memory")),
    made("errors", b"runtime", "a/b", **different("bodies", 500, "internal")),
    made("errors", b"recursion", "a/b", **different("bodies", 500, "internal")),
    made("arity", b"x", "a/b", **different("arity", 200, b"cpu")),
    made("keyword", b"x", "a/b", headers={"X-Mine": "seen"}, **different("arity", 200, b"seen")),
    made("coroutine", b"x", "a/b", **different("coroutines", 200, b"awaited")),
    made("imports", b"[[1, 2], [3, 4]]", JSON, JSON),
]  # fmt: skip
