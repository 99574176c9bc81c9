"""User modules written for the SageMaker inference toolkit run unchanged, and who of them takes the context."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.user import module
from inference.user.module import Function, UserModuleError
from tests.inference import tiny
from tests.inference.conftest import ServerProcess
from tests.inference.user_code import DOCUMENT, STAGES, post, serve

__all__ = ["serve"]  # a fixture

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
