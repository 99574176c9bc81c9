"""Defects of the stock toolkit, each seen there, that are none on our server."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inference.conftest import ServerProcess
from tests.inference.user_code import DOCUMENT, STAGES, Start, post, serve, write

__all__ = ["serve"]  # a fixture


class Bomb:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("/tmp/unpickled-by-a-request"),)


def test_nothing_is_unpickled(serve: Callable[..., ServerProcess]) -> None:
    mark = Path("/tmp/unpickled-by-a-request")
    mark.unlink(missing_ok=True)
    server = serve(
        """
        from sagemaker_inference import decoder
        def model_fn(model_dir): return 2
        def input_fn(data, content_type):
            return decoder.decode(data, content_type)
        def predict_fn(data, model): return data
        """
    )
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()], object), allow_pickle=True)
    for body in (stream.getvalue(), pickle.dumps(Bomb())):
        status, _, answer = post(server, body, Content_Type="application/x-npy")
        assert (status, json.loads(answer)["error"]["code"]) == (400, "bad_request")
    assert not mark.exists()


def header_of(shape: str) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


PLAIN = "def model_fn(model_dir): return 2\ndef predict_fn(data, model): return data * model"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    base = tmp_path_factory.mktemp("ml")
    write(base, PLAIN)
    server = ServerProcess(base)
    server.wait_until_ready()
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", DOCUMENT, 400, "bad_json"),
        (b"\xff\xfe", DOCUMENT, 400, "bad_json"),
        (b"[" * 100_000, DOCUMENT, 400, "bad_json"),
        (b"[" * 40 + b"1" + b"]" * 40, DOCUMENT, 400, "bad_json"),
        (b"[[1], [2, 3]]", DOCUMENT, 400, "bad_request"),
        (b"1,2\n3", {"Content-Type": "text/csv"}, 400, "bad_request"),
        (header_of("(1000000000000,)"), {"Content-Type": "application/x-npy"}, 400, "bad_request"),
        (header_of("(-1,)"), {"Content-Type": "application/x-npy"}, 400, "bad_request"),
        (b"PK\x03\x04", {"Content-Type": "application/x-npz"}, 400, "bad_request"),
        (b"x", {"Content-Type": "text/x-unknown"}, 415, "unsupported_media_type"),
        (b"[1]", {"Content-Type": "application/json; charset=utf-16"}, 415, "unsupported_media_type"),
        (b"[1]", {}, 415, "unsupported_media_type"),
        (b"[1]", {"ContentTypeX": "application/json"}, 415, "unsupported_media_type"),
        (b"[1]", {**DOCUMENT, "Accept": "text/html"}, 406, "not_acceptable"),
        (b"[1]", {**DOCUMENT, "Accept": "application/json;q=0"}, 406, "not_acceptable"),
        (b"[NaN]", DOCUMENT, 500, "internal"),
        (b"[1e999]", DOCUMENT, 500, "internal"),
    ],
)
def test_an_error_has_its_own_status_and_no_traceback(
    plain: ServerProcess, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answered, received, text = post(plain, body, **headers)
    assert (answered, json.loads(text)["error"]["code"]) == (status, code)
    assert received["content-type"] == "application/json"
    assert b"Traceback" not in text and b"Error" not in text
    assert plain.request("GET", "/ping")[0] == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_a_405(plain: ServerProcess, method: str) -> None:
    assert plain.request(method, "/invocations")[0] == 405


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/models"), ("POST", "/models?url=http://a"), ("DELETE", "/models/model")]
)
def test_nobody_manages_models_through_the_port_of_the_requests(plain: ServerProcess, method: str, path: str) -> None:
    assert plain.request(method, path)[0] == 404
    assert post(plain, b"[1]", **DOCUMENT)[0] == 200


def test_a_secret_in_an_exception_does_not_reach_the_client(serve: Callable[..., ServerProcess]) -> None:
    server = serve(
        """
        def model_fn(model_dir): return 2
        def input_fn(data, content_type):
            if data == "bad":
                raise ValueError("secret-1 " + data)
            return data
        def predict_fn(data, model): raise RuntimeError("secret-2")
        """
    )
    for body, status in ((b"bad", 400), (b"good", 500)):
        answered, headers, text = post(server, body, **DOCUMENT)
        assert answered == status and b"secret" not in text and "secret" not in str(headers)


def test_nan_in_a_text_of_the_users_own_is_refused(serve: Callable[..., ServerProcess]) -> None:
    server = serve(
        """
        import json
        def model_fn(model_dir): return 2
        def transform_fn(model, data, content_type, accept):
            return json.dumps({"value": float(data)}), accept
        """
    )
    assert post(server, b"NaN", Content_Type="text/plain")[0] == 500
    status, _, text = post(server, b"1", Content_Type="text/plain")
    assert (status, text) == (200, b'{"value": 1.0}')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def model_fn(model_dir): raise RuntimeError('no weights')", "no weights"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("def predict_fn(data, model): return 1", "no model_fn"),
        ("def model_fn(): return 1", "model_fn() cannot be called"),
        ("def model_fn(a, b, c): return 1", "model_fn(a, b, c) cannot be called"),
        (
            "def model_fn(d): return 1\ndef transform_fn(a, b, c, d): return 1\ndef input_fn(a, b): return 1",
            "transform_fn cannot be used together with input_fn",
        ),
        ("def model_fn(d): return 1\ndef model_warmup_fn(d, m): raise OSError('cold')", "cold"),
        ("def model_fn(d): raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_module_that_cannot_serve_ends_the_start(tmp_path: Path, start_server: Start, text: str, says: str) -> None:
    write(tmp_path, text)
    server = start_server(tmp_path)
    assert server.wait() == 1
    assert any(line.startswith("inference.server: ") and says in line for line in server.errors)


def test_a_program_that_is_not_there_ends_the_start(tmp_path: Path, start_server: Start) -> None:
    write(tmp_path, STAGES)
    server = start_server(tmp_path, SAGEMAKER_PROGRAM="src/other.py")
    assert server.wait() == 1
    assert "has no src/other.py" in server.errors[-1]


def test_a_program_in_a_folder_is_found(serve: Callable[..., ServerProcess]) -> None:
    server = serve(STAGES, name="src/serve.py", SAGEMAKER_PROGRAM="src/serve.py")
    assert post(server, b"x", Content_Type="a/b")[0] == 200


def test_ping_is_503_until_the_warm_up_is_done(tmp_path: Path, start_server: Start) -> None:
    write(
        tmp_path,
        """
        import time, pathlib
        def model_fn(model_dir): return pathlib.Path(model_dir) / "go"
        def model_warmup_fn(model_dir, go):
            while not go.exists():
                time.sleep(0.01)
        def transform_fn(a, b, c, d): return "ok"
        """,
    )
    server = start_server(tmp_path)
    for method, path in (("GET", "/ping"), ("POST", "/invocations")):
        assert server.request(method, path, b"x" if method == "POST" else None)[0] == 503
    (tmp_path / "model" / "go").touch()
    server.wait_until_ready()
    assert post(server, b"x")[0] == 200


def test_a_start_that_takes_too_long_ends(tmp_path: Path, start_server: Start) -> None:
    write(tmp_path, "import time\ndef model_fn(d): time.sleep(600)")
    server = start_server(tmp_path, SAGEMAKER_STARTUP_TIMEOUT="1")
    assert server.wait() == 1
    assert "not loaded within 1 s" in server.errors[-1]


@pytest.mark.parametrize(
    "variable",
    [
        "SAGEMAKER_MODEL_SERVER_TIMEOUT",
        "SAGEMAKER_MODEL_SERVER_WORKERS",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB",
        "SAGEMAKER_STARTUP_TIMEOUT",
    ],
)
def test_a_number_that_is_none_is_one_line(tmp_path: Path, start_server: Start, variable: str) -> None:
    server = start_server(tmp_path, **{variable: "many"})
    assert server.wait() == 2
    assert len(server.errors) == 1 and variable in server.errors[0]


def test_several_models_are_refused_and_not_half_served(tmp_path: Path, start_server: Start) -> None:
    server = start_server(tmp_path, SAGEMAKER_MULTI_MODEL="true")
    assert server.wait() == 2 and "SAGEMAKER_MULTI_MODEL" in server.errors[0]
