"""Requests and answers: every form that is accepted, and every malformed one with its own code."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import invocation
from contracts.errors import ContractError, UsageError
from inference.errors import RequestError
from inference.handler import Handler, Options
from inference.predictor import Predictor
from inference.wire import check_accept, error_body
from tests.inference import tiny

WHITE, BLACK = tiny.picture(255), tiny.picture(0)
JSON, JSON_LINES = invocation.JSON, invocation.JSON_LINES


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("bundle")
    tiny.write_bundle(folder)
    return Handler().model_fn(folder)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> tuple[Handler, Predictor]:
    """A handler with narrow limits, and its model."""
    folder = tmp_path_factory.mktemp("bundle")
    tiny.write_bundle(folder)
    handler = Handler(Options(max_body_bytes=200_000, max_pixels=1_000_000, max_instances=4))
    return handler, handler.model_fn(folder)


def ask(
    handler: Handler, predictor: Predictor, body: bytes, content_type: str | None, accept: str | None = None
) -> Any:
    request = handler.input_fn(body, content_type)
    answer, media_type = handler.output_fn(handler.predict_fn(request, predictor), accept)
    if media_type == JSON_LINES:
        return [json.loads(line) for line in answer.splitlines()]
    assert media_type == JSON
    return json.loads(answer)


@pytest.mark.parametrize(
    "content_type",
    ["image/png", "image/jpeg", "image/webp", "application/x-image", "IMAGE/PNG", "image/png; charset=binary"],
)
def test_an_image_as_the_body(predictor: Predictor, content_type: str) -> None:
    answer = ask(Handler(), predictor, WHITE, content_type)
    light = tiny.light_probability(255)
    assert answer == {
        "predicted_label": "light",
        "confidence": pytest.approx(light, abs=1e-6),
        "probabilities": {"dark": pytest.approx(1 - light, abs=1e-6), "light": pytest.approx(light, abs=1e-6)},
    }


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])
def test_an_image_in_json(predictor: Predictor, content_type: str) -> None:
    answer = ask(Handler(), predictor, json.dumps({"image": encoded(BLACK)}).encode(), content_type)
    assert answer["predicted_label"] == "dark"


def test_json_as_text_and_with_a_byte_order_mark(predictor: Predictor) -> None:
    text = json.dumps({"image": encoded(BLACK)})
    assert Handler().input_fn(text, JSON) == Handler().input_fn(("\ufeff" + text).encode(), JSON)


def test_a_batch_is_answered_in_order(predictor: Predictor) -> None:
    body = {"instances": [{"image": encoded(data)} for data in (WHITE, BLACK, tiny.picture(255, size=(50, 3)))]}
    answer = ask(Handler(), predictor, json.dumps(body).encode(), JSON)
    assert [item["predicted_label"] for item in answer["predictions"]] == ["light", "dark", "light"]


def test_a_batch_of_one_is_still_a_batch(predictor: Predictor) -> None:
    answer = ask(Handler(), predictor, json.dumps({"instances": [{"image": encoded(WHITE)}]}).encode(), JSON)
    assert list(answer) == ["predictions"] and len(answer["predictions"]) == 1


class Sources:
    """Stands for the network."""

    def __init__(self, **images: bytes) -> None:
        self.images = images
        self.asked: list[str] = []

    def fetch(self, urls: Sequence[str]) -> list[bytes]:
        self.asked.extend(urls)
        return [self.images[url.rpartition("/")[2]] for url in urls]


def test_images_behind_urls_and_in_the_body_keep_their_places(predictor: Predictor) -> None:
    source = Sources(white=WHITE, black=BLACK)
    instances = [
        {"image_url": "https://a.example/white"},
        {"image": encoded(BLACK)},
        {"image_url": "https://a.example/white"},
    ]
    handler = Handler(source=source)
    answer = ask(handler, predictor, json.dumps({"instances": instances}).encode(), JSON)
    assert [item["predicted_label"] for item in answer["predictions"]] == ["light", "dark", "light"]
    single = ask(handler, predictor, json.dumps({"image_url": "https://a.example/black"}).encode(), JSON)
    assert single["predicted_label"] == "dark"


def test_nothing_is_fetched_for_a_request_that_is_refused_anyway(predictor: Predictor) -> None:
    source = Sources(white=WHITE)
    body = {"instances": [{"image_url": "https://a.example/white"}, {"image": "!"}]}
    with pytest.raises(RequestError):
        Handler(source=source).input_fn(json.dumps(body).encode(), JSON)
    assert source.asked == []


#: name -> (Content-Type, body, code, what the message must say)
MALFORMED: dict[str, tuple[str | None, bytes, str, str]] = {
    "empty body": ("image/png", b"", "empty_body", "no body"),
    "empty JSON body": (JSON, b"", "empty_body", "no body"),
    "no content type": (None, WHITE, "unsupported_media_type", "missing; it must be one of image/jpeg"),
    "unknown content type": ("text/csv", b"1,2", "unsupported_media_type", "'text/csv'; it must be one of"),
    "numpy, which may hold a pickle": ("application/x-npy", b"\x93NUMPY", "unsupported_media_type", "x-npy"),
    "text sent as an image": ("image/png", b"hello", "bad_image", "(5 bytes) is no JPEG, PNG or WebP"),
    "truncated image": ("image/png", WHITE[:-30], "bad_image", "truncated or damaged"),
    "header only": ("image/jpeg", b"\xff\xd8\xff", "bad_image", "broken header"),
    "GIF": ("application/x-image", b"GIF89a" + b"\0" * 40, "bad_image", "no JPEG, PNG or WebP"),
    "too many pixels": ("image/png", tiny.picture(1, size=(2000, 999)), "too_many_pixels", "pixels; at most 1000000"),
    "body too large": ("image/png", b"x" * 200_001, "body_too_large", "200001 bytes; at most 200000"),
    "not JSON": (JSON, b"{image:", "bad_json", "at character 1"),
    "JSON cut off": (JSON, b'{"image": "abc', "bad_json", "Unterminated string"),
    "not UTF-8": (JSON, b'{"image": "\xff"}', "bad_json", "not UTF-8 at byte 11"),
    "NaN": (JSON, b'{"image": NaN}', "bad_json", "NaN is no JSON number"),
    "deep JSON": (JSON, b"[" * 100_000, "bad_json", "too deep"),
    "a number of 10,000 digits": (JSON, b'{"image": ' + b"1" * 10_000 + b"}", "bad_json", "too long"),
    "a JSON list": (JSON, b"[]", "bad_request", "exactly one of"),
    "a JSON string": (JSON, b'"image"', "bad_request", "exactly one of"),
    "JSON null": (JSON, b"null", "bad_request", "exactly one of"),
    "an empty object": (JSON, b"{}", "bad_request", "exactly one of"),
    "an unknown key": (JSON, b'{"picture": "aGk="}', "bad_request", "exactly one of"),
    "two keys": (JSON, b'{"image": "aGk=", "threshold": 1}', "bad_request", "exactly one of"),
    "image and image_url": (JSON, b'{"image": "", "image_url": ""}', "bad_request", "exactly one of"),
    "image is a number": (JSON, b'{"image": 7}', "bad_request", '"image" must be a string'),
    "image is null": (JSON, b'{"image": null}', "bad_request", '"image" must be a string'),
    "bad base64": (JSON, b'{"image": "%%%"}', "bad_base64", "RFC 4648"),
    "a data URL": (JSON, b'{"image": "data:image/png;base64,aGk="}', "bad_base64", '"data:" prefix'),
    "base64 that is not ASCII": (JSON, '{"image": "é"}'.encode(), "bad_base64", "RFC 4648"),
    "base64 of text": (JSON, b'{"image": "aGVsbG8="}', "bad_image", "(5 bytes) is no JPEG"),
    "base64 of nothing": (JSON, b'{"image": ""}', "bad_image", "(0 bytes)"),
    "image_url is off": (JSON, b'{"image_url": "https://a.example/x"}', "image_url_disabled", "image_url_hosts"),
    "image_url is a list": (JSON, b'{"image_url": []}', "bad_request", '"image_url" must be a string'),
    "instances is an object": (JSON, b'{"instances": {}}', "bad_request", "must be a list"),
    "no instances": (JSON, b'{"instances": []}', "bad_request", "at least one"),
    "too many instances": (JSON, b'{"instances": [0, 0, 0, 0, 0]}', "too_many_instances", "5 objects; at most 4"),
    "an instance is a string": (JSON, b'{"instances": ["aGk="]}', "bad_request", "instances[0]: it must be an object"),
    "an instance of two keys": (JSON, b'{"instances": [{"image": "", "x": 1}]}', "bad_request", "instances[0]"),
    "instances in instances": (JSON, b'{"instances": [{"instances": []}]}', "bad_request", "instances[0]"),
    "the second instance is bad": (
        JSON,
        json.dumps({"instances": [{"image": encoded(WHITE)}, {"image": "aGk="}]}).encode(),
        "bad_image",
        "instances[1]: The image (2 bytes)",
    ),
    "the second is bad base64": (
        JSON,
        json.dumps({"instances": [{"image": encoded(WHITE)}, {"image": "?"}]}).encode(),
        "bad_base64",
        "instances[1]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_gets_its_own_answer(strict: tuple[Handler, Predictor], name: str) -> None:
    content_type, body, code, says = MALFORMED[name]
    with pytest.raises(RequestError) as caught:
        ask(*strict, body, content_type)
    error = caught.value
    assert (error.code, error.status) == (code, invocation.ERRORS[code])
    assert 400 <= error.status < 500
    assert says in error.message
    assert len(error_body(error.code, error.message)) < 2048  # what ModelError shows of it


def test_messages_never_repeat_the_body(predictor: Predictor) -> None:
    secret = "hunter2"
    for body in (
        {"image": secret + "!"},
        {secret: 1},
        {"instances": [{secret: 1}]},
        {"image_url": f"https://a.b/{secret}"},
    ):
        with pytest.raises(RequestError) as caught:
            Handler().input_fn(json.dumps(body).encode(), JSON)
        assert secret not in caught.value.message
    handler = Handler(Options(image_url_hosts=("a.example",)))
    for url in (
        f"https://b.example/?X-Amz-Signature={secret}",
        f"https://{secret}@a.example/",
        f"ftp://a.example/{secret}",
    ):
        with pytest.raises(RequestError) as caught:
            handler.input_fn(json.dumps({"image_url": url}).encode(), JSON)
        assert caught.value.code == "image_url_refused"
        assert secret not in caught.value.message


@settings(max_examples=200, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["image", "image_url", "instances", "x"]), inner, max_size=3)
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    content_type=st.sampled_from([*invocation.CONTENT_TYPES, "text/plain", "", "application/json;charset=x"]),
)
def test_no_body_gives_anything_but_an_answer_or_a_4xx(predictor: Predictor, body: bytes, content_type: str) -> None:
    try:
        ask(Handler(), predictor, body, content_type)
    except RequestError as error:
        assert 400 <= error.status < 500


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        JSON,
        "application/*",
        "APPLICATION/JSON",
        "text/html, application/json;q=0.5",
        "text/*, */*;q=0.1",
    ],
)
def test_accept_headers_that_allow_json(accept: str | None) -> None:
    check_accept(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "text/csv",
        "image/png",
        "application/json;q=0",
        "application/json;q=0, */*",
        "application/*;q=0,*/*",
        "json",
        ",",
        "*/*;q=x",
    ],
)
def test_accept_headers_that_do_not(accept: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_accept(accept)
    assert (caught.value.code, caught.value.status) == ("not_acceptable", 406)
    assert "application/json" in caught.value.message


def test_options_come_from_the_environment() -> None:
    assert Options.from_environment({}) == Options()
    assert Options.from_environment(
        {
            invocation.MAX_BODY_VARIABLE: "1000",
            invocation.MAX_PIXELS_VARIABLE: " 2000 ",
            invocation.MAX_INSTANCES_VARIABLE: "",
            invocation.IMAGE_URL_HOSTS_VARIABLE: "A.example, b.example,,",
        }
    ) == Options(max_body_bytes=1000, max_pixels=2000, image_url_hosts=("a.example", "b.example"))


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "1e6", "٣"])
def test_an_unusable_option_is_named(value: str) -> None:
    with pytest.raises(UsageError, match="CVF_MAX_PIXELS"):
        Options.from_environment({invocation.MAX_PIXELS_VARIABLE: value})


def test_model_fn_answers_a_model_that_was_run(tmp_path: Path) -> None:
    tiny.write_bundle(tmp_path, weights=(float("nan"), 0.0))
    with pytest.raises(ArithmeticError):
        Handler().model_fn(tmp_path)
    with pytest.raises(ContractError, match="missing"):
        Handler().model_fn(tmp_path / "nothing")
