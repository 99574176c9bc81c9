"""The handler under the SageMaker inference toolkit's own service class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inference.toolkit import HandlerService
from tests.inference import tiny


class Context:
    """The model server's context, as far as the toolkit uses it."""

    def __init__(self, model_dir: Path, **headers: str) -> None:
        self.system_properties = {"model_dir": str(model_dir), "gpu_id": None}
        self.request_processor = [self]
        self.headers = headers
        self.status: tuple[int, str] | None = None
        self.content_type = ""

    def get_request_properties(self) -> dict[str, str]:
        return self.headers

    def set_response_content_type(self, index: int, value: str) -> None:
        self.content_type = value

    def set_response_status(self, code: int, phrase: str) -> None:
        self.status = (int(code), phrase)


def call(service: HandlerService, context: Context, body: bytes) -> Any:
    (answer,) = service.handle([{"body": bytearray(body)}], context)
    return json.loads(answer)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[HandlerService, Path]:
    monkeypatch.setenv("CVF_MAX_BODY_BYTES", "5000")
    tiny.write_bundle(tmp_path)
    service = HandlerService()
    service.initialize(Context(tmp_path))
    return service, tmp_path


def test_an_image_is_answered(served: tuple[HandlerService, Path]) -> None:
    service, folder = served
    context = Context(folder, **{"Content-Type": "image/png", "Accept": "application/json"})
    assert call(service, context, tiny.picture(255))["predicted_label"] == "light"
    assert context.content_type == "application/json" and context.status is None


@pytest.mark.parametrize(
    ("content_type", "accept", "body", "status", "code"),
    [
        ("image/png", "application/json", b"no image", 400, "bad_image"),
        ("application/json", "application/json", b"{", 400, "bad_json"),
        ("image/png", "application/json", b"x" * 5001, 413, "body_too_large"),
        ("text/plain", "application/json", b"x", 415, "unsupported_media_type"),
        ("image/png", "text/csv", tiny.picture(0), 406, "not_acceptable"),
    ],
)
def test_a_bad_request_keeps_its_status_and_its_body(
    served: tuple[HandlerService, Path], content_type: str, accept: str, body: bytes, status: int, code: str
) -> None:
    service, folder = served
    context = Context(folder, **{"Content-Type": content_type, "Accept": accept})
    assert call(service, context, body)["error"]["code"] == code
    assert context.status is not None and context.status[0] == status


def test_an_error_of_ours_tells_the_client_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = Context(tmp_path / "secret-place", **{"Content-Type": "image/png"})
    assert call(HandlerService(), context, b"x")["error"]["code"] == "internal"
    assert context.status == (500, "Internal Server Error")
    assert "secret-place" in capsys.readouterr().err
