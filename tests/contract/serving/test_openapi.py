"""The OpenAPI description is what the server does: real requests and answers are valid under it, others are not."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from contracts import invocation, openapi  # noqa: E402
from tests.inference import tiny  # noqa: E402
from tests.inference.conftest import ServerProcess  # noqa: E402

DOCUMENT = openapi.document()
IMAGE = {"image": base64.b64encode(tiny.picture(255)).decode()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    base = tmp_path_factory.mktemp("ml")
    tiny.write_bundle(base / "model")
    running = ServerProcess(base)
    running.wait_until_ready()
    yield running
    running.stop()


def valid(value: Any, schema: dict[str, Any]) -> bool:
    whole = {**schema, "components": DOCUMENT["components"]}
    return bool(jsonschema.Draft202012Validator(whole).is_valid(value))


@pytest.mark.parametrize(
    ("body", "described", "status"),
    [
        (IMAGE, True, 200),
        ({"instances": [IMAGE, IMAGE]}, True, 200),
        ({"image_url": "https://a.example/b"}, True, 400),  # no host is listed here
        ({"instances": []}, False, 400),
        ({"image": 3}, False, 400),
        ({"image": "", "image_url": ""}, False, 400),
        ({}, False, 400),
    ],
)
def test_json(server: ServerProcess, body: Any, described: bool, status: int) -> None:
    post = DOCUMENT["paths"]["/invocations"]["post"]
    assert valid(body, post["requestBody"]["content"][invocation.JSON]["schema"]) is described
    answered, answer = server.invoke(json.dumps(body), "application/json")
    assert answered == status
    assert valid(answer, post["responses"][str(answered)]["content"][invocation.JSON]["schema"])


def test_every_content_type_and_every_error_code_is_described() -> None:
    post = DOCUMENT["paths"]["/invocations"]["post"]
    assert set(post["requestBody"]["content"]) == set(invocation.CONTENT_TYPES)
    assert {int(status) for status in post["responses"]} == {200, *invocation.ERRORS.values()}
