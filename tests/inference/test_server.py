"""The real serving process over HTTP: readiness, answers, errors, limits, SIGTERM, and failures at start."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contracts import bundle, invocation
from inference import machine
from tests.inference import tiny
from tests.inference.conftest import ServerProcess

Start = Callable[..., ServerProcess]
WHITE, BLACK = tiny.picture(255), tiny.picture(0)
LIMIT = 100_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for the tests that only ask."""
    base = tmp_path_factory.mktemp("ml")
    tiny.write_bundle(base / "model")
    running = ServerProcess(base, CVF_MAX_BODY_BYTES=str(LIMIT), CVF_MAX_PIXELS="1000000", CVF_MAX_INSTANCES="4")
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def test_ping_is_an_empty_200(server: ServerProcess) -> None:
    status, headers, body = server.request("GET", "/ping")
    assert (status, body, headers["content-length"]) == (200, b"", "0")


def test_an_image_is_answered(server: ServerProcess) -> None:
    status, answer = server.invoke(WHITE, "image/png")
    assert status == 200
    assert answer["predicted_label"] == "light"
    assert answer["confidence"] == pytest.approx(tiny.light_probability(255), abs=1e-6)
    assert set(answer["probabilities"]) == {"dark", "light"}


def test_json_and_batches_are_answered(server: ServerProcess) -> None:
    document = {"image": base64.b64encode(BLACK).decode()}
    status, answer = server.invoke(json.dumps(document), "application/json; charset=utf-8", Accept="application/json")
    assert (status, answer["predicted_label"]) == (200, "dark")
    status, answer = server.invoke(json.dumps({"instances": [document, document]}), "application/json")
    assert [item["predicted_label"] for item in answer["predictions"]] == ["dark", "dark"]


def test_a_chunked_body_is_read(server: ServerProcess) -> None:
    status, answer = server.invoke(iter([WHITE[:10], WHITE[10:]]), "image/png")
    assert (status, answer["predicted_label"]) == (200, "light")


def test_header_names_in_any_case(server: ServerProcess) -> None:
    status, _, answer = server.request("POST", "/invocations", WHITE, **{"CONTENT-TYPE": "image/png", "aCCept": "*/*"})
    assert status == 200 and json.loads(answer)["predicted_label"] == "light"


def test_execution_parameters_for_batch_transform(server: ServerProcess) -> None:
    status, headers, body = server.request("GET", "/execution-parameters")
    assert (status, headers["content-type"]) == (200, "application/json")
    answer = json.loads(body)
    assert answer["MaxConcurrentTransforms"] == len(os.sched_getaffinity(0))
    assert (answer["BatchStrategy"], answer["MaxPayloadInMB"]) == ("SINGLE_RECORD", 1)


def chunks(size: int) -> Iterator[bytes]:
    yield from (b"x" * 1000 for _ in range(size // 1000))


PNG, DOCUMENT = {"Content-Type": "image/png"}, {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "code"),
    [
        ("POST", "/invocations", b"", PNG, "empty_body"),
        ("POST", "/invocations", b"{", DOCUMENT, "bad_json"),
        ("POST", "/invocations", b"[" * 50_000, DOCUMENT, "bad_json"),
        ("POST", "/invocations", b"{}", DOCUMENT, "bad_request"),
        ("POST", "/invocations", b'{"image": "?"}', DOCUMENT, "bad_base64"),
        ("POST", "/invocations", b"text", {"Content-Type": "image/jpeg"}, "bad_image"),
        ("POST", "/invocations", WHITE[:-30], PNG, "bad_image"),
        ("POST", "/invocations", tiny.picture(0, size=(2000, 600)), PNG, "too_many_pixels"),
        ("POST", "/invocations", b'{"instances": [1,2,3,4,5]}', DOCUMENT, "too_many_instances"),
        ("POST", "/invocations", b'{"image_url": "https://a.b/c"}', DOCUMENT, "image_url_disabled"),
        ("POST", "/invocations", WHITE, {}, "unsupported_media_type"),
        ("POST", "/invocations", WHITE, {"Content-Type": "application/x-npy"}, "unsupported_media_type"),
        ("POST", "/invocations", WHITE, {**PNG, "Accept": "text/csv"}, "not_acceptable"),
        ("POST", "/invocations", b"x" * (LIMIT + 1), PNG, "body_too_large"),
        ("POST", "/invocations", b"x" * 20_000_000, PNG, "body_too_large"),
        ("GET", "/invocations", None, {}, "method_not_allowed"),
        ("POST", "/ping", b"x", {}, "method_not_allowed"),
        ("GET", "/", None, {}, "not_found"),
        ("POST", "/models", b'{"url": "http://a"}', {}, "not_found"),
        ("DELETE", "/models/model", None, {}, "not_found"),
        ("GET", "/%2e%2e/etc/passwd", None, {}, "not_found"),
    ],
)
def test_a_malformed_request_gets_its_status_and_code(
    server: ServerProcess, method: str, path: str, body: Any, headers: dict[str, str], code: str
) -> None:
    status, answered, text = server.request(method, path, body, **headers)
    assert status == invocation.ERRORS[code]
    assert answered["content-type"] == "application/json"
    error = json.loads(text)["error"]
    assert error["code"] == code and error["message"]
    assert "Traceback" not in text.decode()
    if code == "method_not_allowed":
        assert answered["allow"] == {"/ping": "GET", "/invocations": "POST"}[path]


def test_a_chunked_body_is_cut_at_the_limit(server: ServerProcess) -> None:
    for size in (LIMIT + 1000, 5_000_000):
        status, answer = server.invoke(chunks(size), "image/png")
        assert (status, answer["error"]["code"]) == (413, "body_too_large")


def test_who_waits_for_100_continue_is_refused_before_it_sends(server: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as stream:
        stream.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nExpect: 100-continue\r\n"
            b"Content-Length: 999999999\r\n\r\n"
        )
        answer = b""
        while part := stream.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_bad_request_leaves_the_connection_usable(server: ServerProcess) -> None:
    connection = server.connect()
    try:
        for body, status in ((b"text", 400), (WHITE, 200), (b"", 400), (BLACK, 200)):
            connection.request("POST", "/invocations", body, {"Content-Type": "image/png"})
            response = connection.getresponse()
            response.read()
            assert response.status == status
    finally:
        connection.close()


def test_what_is_no_http_does_not_harm_the_server(server: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as stream:
        stream.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert stream.recv(1000).startswith(b"HTTP/1.1 400")
    assert server.request("GET", "/ping")[0] == 200


def test_a_client_that_leaves_in_the_middle_does_not_harm_the_server(server: ServerProcess) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as stream:
            stream.sendall(
                b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 999\r\n\r\nx"
            )
    assert server.invoke(WHITE, "image/png")[0] == 200


def test_many_clients_at_once_get_their_own_answers(server: ServerProcess) -> None:
    values = [5 * index for index in range(48)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda value: server.invoke(tiny.picture(value), "image/png"), values))
    assert [answer["probabilities"]["light"] for _, answer in answers] == pytest.approx(
        [tiny.light_probability(value) for value in values], abs=1e-6
    )


# --- start and stop ---------------------------------------------------------------------------------------------------


def test_ping_is_503_until_the_model_is_loaded(tmp_path: Path, start_server: Start) -> None:
    """``bundle.json`` is a pipe, so the model is loaded when this test writes it."""
    tiny.write_bundle(tmp_path / "model")
    path = tmp_path / "model" / bundle.SPEC
    path.rename(tmp_path / "spec")
    os.mkfifo(path)
    server = start_server(tmp_path)
    for method, route, body in (("GET", "/ping", None), ("POST", "/invocations", WHITE)):
        status, _, text = server.request(method, route, body, Content_Type="image/png")
        assert (status, json.loads(text)["error"]["code"]) == (503, "not_ready")
    with path.open("wb") as pipe:  # opens when the server reads; who reads the path again finds the file
        pipe.write((tmp_path / "spec").read_bytes())
        (tmp_path / "spec").rename(path)
    server.wait_until_ready()
    assert server.invoke(WHITE, "image/png")[0] == 200


def test_sigterm_while_loading_ends_at_once(tmp_path: Path, start_server: Start) -> None:
    tiny.write_bundle(tmp_path / "model")
    (tmp_path / "model" / bundle.SPEC).unlink()
    os.mkfifo(tmp_path / "model" / bundle.SPEC)
    server = start_server(tmp_path)
    assert server.request("GET", "/ping")[0] == 503
    assert server.stop() == 0


def test_sigterm_finishes_the_request_in_flight(tmp_path: Path, start_server: Start) -> None:
    tiny.write_bundle(tmp_path / "model")
    server = start_server(tmp_path)
    server.wait_until_ready()
    connection = server.connect()
    try:
        connection.putrequest("POST", "/invocations")
        connection.putheader("Content-Type", "image/png")
        connection.putheader("Content-Length", str(len(WHITE)))
        connection.endheaders(WHITE[:10])
        # The server answers requests in the order in which it saw them: when this one is answered, it has seen ours.
        assert server.request("GET", "/ping")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        while server.request("GET", "/ping")[0] != 503:  # the signal has arrived
            pass
        status, headers, text = server.request("POST", "/invocations", WHITE, Content_Type="image/png")
        assert (status, json.loads(text)["error"]["code"]) == (503, "not_ready")
        assert headers["retry-after"] == "1"
        connection.send(WHITE[10:])
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())["predicted_label"] == "light"
    finally:
        connection.close()
    assert server.wait() == 0
    assert server.errors == []


def test_an_error_of_ours_is_a_500_that_tells_nothing(tmp_path: Path, start_server: Start) -> None:
    """A network that overflows on bright images and runs on black ones."""
    tiny.write_bundle(tmp_path / "model", mean=(0.0,), std=(1.0,), weights=(0.0, 3e38))
    server = start_server(tmp_path)
    server.wait_until_ready()
    status, answer = server.invoke(WHITE, "image/png")
    assert (status, answer["error"]["code"]) == (500, "internal")
    assert "finite" not in answer["error"]["message"]
    assert server.request("GET", "/ping")[0] == 200
    assert server.invoke(BLACK, "image/png")[0] == 200
    server.stop()
    assert any("not finite" in line for line in server.errors)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / bundle.SPEC).unlink(), "bundle.json is missing"),
        (lambda folder: (folder / bundle.SPEC).write_text("{"), "is not JSON"),
        (lambda folder: (folder / bundle.MODEL).write_bytes(b"x"), "not what its hash says"),
        (lambda folder: (folder / bundle.MODEL).unlink(), "no model.onnx"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_process(
    tmp_path: Path, start_server: Start, damage: Callable[[Path], object], says: str
) -> None:
    tiny.write_bundle(tmp_path / "model")
    damage(tmp_path / "model")
    server = start_server(tmp_path)
    assert server.wait() == 1
    (line,) = server.errors
    assert line.startswith("inference.server: the model cannot be loaded:") and says in line


def test_a_port_in_use_is_one_line(tmp_path: Path, start_server: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start_server(tmp_path, SAGEMAKER_BIND_TO_PORT=str(port))
        assert server.wait() == 1
    assert server.errors == [f"inference.server: cannot listen on 127.0.0.1:{port}: Address already in use"]


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (("train",), {}, "unknown arguments: train"),
        ((), {"SAGEMAKER_BIND_TO_PORT": "http"}, "SAGEMAKER_BIND_TO_PORT is 'http'"),
        ((), {"SAGEMAKER_BIND_TO_PORT": "70000"}, "0 to 65535"),
        ((), {"CVF_MAX_BODY_BYTES": "6MB"}, "CVF_MAX_BODY_BYTES is '6MB'"),
    ],
)
def test_a_wrong_argument_or_variable_is_one_line(
    tmp_path: Path, start_server: Start, arguments: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    server = start_server(tmp_path, *arguments, **environment)
    assert server.wait() == 2
    assert len(server.errors) == 1 and says in server.errors[0]


def test_it_listens_on_all_addresses_unless_told(tmp_path: Path, start_server: Start) -> None:
    tiny.write_bundle(tmp_path / "model")
    server = start_server(tmp_path, SAGEMAKER_BIND_TO_HOST="")
    assert server.wait_for_line("listening on").startswith("inference.server: listening on http://0.0.0.0:")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/ping")
    assert connection.getresponse().status in (200, 503)
    connection.close()


def test_a_bundle_may_ask_for_micro_batches(tmp_path: Path, start_server: Callable[..., ServerProcess]) -> None:
    tiny.write_bundle(tmp_path / "model", micro_batch=4, micro_batch_ms=50.0)
    server = start_server(tmp_path)
    server.wait_for_line("ready with bundle")
    assert any("4 threads" in line for line in server.output) or machine.cpus() > 4
    values = [0, 255, 20, 235, 40, 215, 60, 195]
    with ThreadPoolExecutor(8) as threads:
        asked = threads.map(lambda value: server.invoke(tiny.picture(value), "image/png"), values)
        for value, (status, answer) in zip(values, asked, strict=True):
            assert status == 200
            assert answer["probabilities"]["light"] == pytest.approx(tiny.light_probability(value), abs=1e-5)
    assert server.invoke(b"no image", "image/png")[0] == 400


@pytest.mark.parametrize(
    ("precision", "light"),
    [("", tiny.light_probability(255)), ("float32", tiny.light_probability(255)), ("int8", 0.5)],
)
def test_the_precision_of_the_environment_answers(
    tmp_path: Path, start_server: Callable[..., ServerProcess], precision: str, light: float
) -> None:
    tiny.write_model(tmp_path / "undecided.onnx", weights=(0.0, 0.0))
    members = {bundle.INT8_MODEL: (tmp_path / "undecided.onnx").read_bytes()}
    tiny.write_bundle(tmp_path / "model", members=members, int8=bundle.Calibration(1.0, {}))
    server = start_server(tmp_path, CVF_PRECISION=precision)
    assert f", {precision or 'float32'}," in server.wait_for_line("ready with bundle")
    status, answer = server.invoke(tiny.picture(255), "image/png")
    assert (status, answer["probabilities"]["light"]) == (200, pytest.approx(light, abs=1e-5))


@pytest.mark.parametrize(
    ("precision", "says"),
    [("int8", "the bundle has no graph of precision 'int8'"), ("int4", "CVF_PRECISION is 'int4'")],
)
def test_a_precision_that_cannot_be_served_ends_the_start(
    tmp_path: Path, start_server: Callable[..., ServerProcess], precision: str, says: str
) -> None:
    tiny.write_bundle(tmp_path / "model")
    server = start_server(tmp_path, CVF_PRECISION=precision)
    assert server.wait() != 0
    assert any(says in line for line in server.errors)
    assert not any("ready with" in line for line in server.output)
