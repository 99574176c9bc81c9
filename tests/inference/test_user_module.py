"""User modules written for the SageMaker inference toolkit: what runs unchanged, and its defects that do not."""

from __future__ import annotations

import io
import json
import pickle
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.user import module
from inference.user.module import Function, UserModuleError
from tests.inference import tiny
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


# --- what runs unchanged ----------------------------------------------------------------------------------------------


def test_the_four_functions_get_what_the_toolkit_gives_them(
    serve: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = serve(STAGES)
    folder = str(tmp_path / "model")
    for body, content_type, kind in (
        (b'{"a": 1}', "application/json", "str"),
        (b"1,2", "text/csv", "str"),
        (b"raw", "application/octet-stream", "bytearray"),
    ):
        status, headers, answer = post(server, body, Content_Type=content_type, Accept="text/x")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(answer) == [kind, body.decode(), content_type, folder, "text/x"]
    for accept, seen in (("*/*", "application/json"), ("", "application/json"), ("a/b, c/d;q=1", "a/b, c/d;q=1")):
        assert json.loads(post(server, b"x", Content_Type="a/b", Accept=accept)[2])[-1] == seen


def test_transform_fn_context_headers_and_helpers(serve: Callable[..., ServerProcess]) -> None:
    text = """
        import helper
        from sagemaker_inference import content_types
        from sagemaker_inference.errors import BaseInferenceToolkitError
        class Teapot(BaseInferenceToolkitError):
            def __init__(self):
                super().__init__(418, "short and stout", "teapot")
        seen = []
        def pre_model_fn(model_dir, context):
            seen.append(("pre", context.system_properties["model_dir"] == model_dir))
        def model_fn(model_dir, context):
            seen.append(("load", context.system_properties["gpu_id"]))
            return helper.VALUE
        def model_warmup_fn(model_dir, model):
            seen.append(("warm", model))
        async def transform_fn(model, data, content_type, accept, context):
            if data == "tea":
                raise Teapot
            context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", "back: " +
                context.get_request_header(0, "x-amzn-sagemaker-custom-attributes"))
            context.set_response_status(code=202, phrase="later")
            properties = context.request_processor[0].get_request_properties()
            return {"seen": seen, "type": properties["CONTENT-TYPE"], "id": len(context.get_request_id(0)),
                    "other": properties.get("Content"), "all": "Accept" in context.get_all_request_header(0)}
    """
    server = serve(text, name="my_program.py", files={"helper.py": "VALUE = 7"}, SAGEMAKER_PROGRAM="my_program.py")
    status, headers, answer = post(
        server,
        b"[]",
        CONTENT_TYPE="application/json",
        ACCEPT="a/b",
        **{"X-Amzn-SageMaker-Custom-Attributes": "secret-1"},
    )
    assert (status, headers["content-type"]) == (202, "a/b")
    assert headers["x-amzn-sagemaker-custom-attributes"] == "back: secret-1"
    assert json.loads(answer) == {
        "seen": [["pre", True], ["load", None], ["warm", 7]], "type": "application/json", "id": 32, "other": None,
        "all": True,
    }  # fmt: skip
    assert answer.startswith(b'{\n  "seen"')  # the model server's own json.dumps(indent=2)
    status, headers, answer = post(server, b"tea", **DOCUMENT)
    assert (status, json.loads(answer)["error"]["message"]) == (418, "short and stout")
    server.stop()
    assert "secret-1" not in "".join([*server.output, *server.errors])


def test_the_default_decoders_and_encoders(serve: Callable[..., ServerProcess]) -> None:
    server = serve("def model_fn(model_dir): return 2\ndef predict_fn(data, model): return data * model")
    array = io.BytesIO()
    np.save(array, np.array([[1, 2], [3, 4]]))
    for body, content_type in (
        (b"[[1, 2], [3, 4]]", "application/json"),
        (b"[[1, 2], [3, 4]]", "application/json; charset=utf-8"),
        (b"1,2\n3,4", "text/csv"),
        (array.getvalue(), "application/x-npy"),
    ):
        for accept, expected in (
            ("*/*", b"[[2, 4], [6, 8]]"),
            ("text/csv", b"2,4\n6,8\n"),
            ("text/html, text/csv", b"2,4\n6,8\n"),
            ("text/csv;q=0.1, application/*;q=0.9", b"[[2, 4], [6, 8]]"),
        ):
            status, _, answer = post(server, body, Content_Type=content_type, Accept=accept)
            assert (status, answer) == (200, expected), (content_type, accept)
        answer = post(server, body, Content_Type=content_type, Accept="application/x-npy")[2]
        assert np.load(io.BytesIO(answer)).tolist() == [[2, 4], [6, 8]]


def test_the_default_accept_is_the_toolkits_variable(serve: Callable[..., ServerProcess]) -> None:
    text = "def model_fn(model_dir): return 2\ndef predict_fn(data, model): return data * model"
    server = serve(text, SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv")
    assert post(server, b"[1, 2]", **DOCUMENT)[2] == b"2\n4\n"


def test_a_module_beside_a_bundle_of_ours_changes_only_what_it_defines(
    tmp_path: Path, serve: Callable[..., ServerProcess]
) -> None:
    code = "def output_fn(answer, accept):\n    return answer.predictions[0].label.upper(), 'text/plain'\n"
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text(code)
    tiny.write_bundle(tmp_path / "model")
    server = serve(code)
    assert post(server, tiny.picture(255), Content_Type="image/png")[2] == b"LIGHT"
    status, _, answer = post(server, b"none", Content_Type="image/png")
    assert (status, json.loads(answer)["error"]["code"]) == (400, "bad_image")
    assert not list((tmp_path / "model").rglob("__pycache__"))  # else the next start would find a changed bundle


def test_payload_limit_of_the_toolkit(serve: Callable[..., ServerProcess]) -> None:
    server = serve(STAGES, SAGEMAKER_MAX_PAYLOAD_IN_MB="1", CVF_MAX_BODY_BYTES="10")
    assert post(server, b"x" * 2**20, Content_Type="a/b")[0] == 200
    assert post(server, b"x" * (2**20 + 1), Content_Type="a/b")[0] == 413


def test_a_module_is_never_called_twice_at_a_time(serve: Callable[..., ServerProcess]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    text = """
        import threading, time
        inside, most = 0, 0
        def model_fn(model_dir): return threading.get_ident()
        def transform_fn(model, data, content_type, accept):
            global inside, most
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1
            return [most, model == threading.get_ident()]
    """
    server = serve(text)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: json.loads(post(server, b"x", Content_Type="a/b")[2]), range(12)))
    assert answers == [[1, True]] * 12


# --- defects of the toolkit, each seen there, that are none here ------------------------------------------------------


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


# --- who takes the context --------------------------------------------------------------------------------------------


def test_who_takes_the_context() -> None:
    def device(data: Any, model: Any, device: str = "cpu") -> Any:
        return device

    def by_name(data: Any, model: Any, device: str = "cpu", context: Any = None) -> Any:
        return device, context

    def keyword_only(data: Any, model: Any, *, context: Any) -> Any:
        return context

    def everything(*arguments: Any, **named: Any) -> Any:
        return arguments, named

    async def later(data: Any, model: Any, ctx: Any) -> Any:
        return ctx

    def call(function: Any) -> Any:
        found: Function = module.function("predict_fn", function)
        return found(1, 2, context="the context")

    assert call(device) == "cpu"
    assert call(by_name) == ("cpu", "the context")
    assert call(keyword_only) == call(later) == "the context"
    assert call(everything) == ((1, 2), {})
    assert call(max) == 2  # written in C
    for wrong in (lambda data: 0, lambda a, b, c, d: 0, lambda a, b, *, need: 0):
        with pytest.raises(UserModuleError, match="cannot be called"):
            module.function("predict_fn", wrong)
    with pytest.raises(UserModuleError, match="is no function"):
        module.function("predict_fn", 3)  # type: ignore[arg-type]


def test_a_program_outside_the_code_folder_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("")
    (tmp_path / "code").mkdir()
    with pytest.raises(UserModuleError):
        module.find(tmp_path, {"SAGEMAKER_PROGRAM": "../outside.py"})
    assert module.find(tmp_path, {}) is None
