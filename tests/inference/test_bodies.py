"""Bodies over HTTP: gzip, JSON Lines, slow senders, and real image files with damage, of which none is a 5xx."""

from __future__ import annotations

import base64
import gzip
import io
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from contracts import invocation
from tests.inference import tiny
from tests.inference.conftest import ServerProcess

WHITE, BLACK = tiny.picture(255), tiny.picture(0)
LIMIT = 100_000
LINES = {"Content_Type": "application/jsonlines"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    base = tmp_path_factory.mktemp("ml")
    tiny.write_bundle(base / "model")
    running = ServerProcess(
        base, CVF_MAX_BODY_BYTES=str(LIMIT), CVF_MAX_INSTANCES="8", CVF_READ_SECONDS="1", CVF_MAX_HEADER_BYTES="8192"
    )
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def zipped(data: bytes) -> bytes:
    """gzip without the time, so that every process of the tests names its cases alike."""
    return gzip.compress(data, mtime=0)


def code_of(answer: bytes) -> str:
    code: str = json.loads(answer)["error"]["code"]
    return code


def line(data: bytes) -> bytes:
    return json.dumps({"image": base64.b64encode(data).decode()}).encode()


# --- gzip -------------------------------------------------------------------------------------------------------------


def post(server: ServerProcess, body: Any, content_type: str = "image/png", **headers: str) -> tuple[int, bytes]:
    status, _, answer = server.request("POST", "/invocations", body, Content_Type=content_type, **headers)
    return status, answer


def test_a_gzip_body_is_unpacked(server: ServerProcess) -> None:
    for body in (zipped(WHITE), zipped(WHITE[:10]) + zipped(WHITE[10:])):
        status, answer = post(server, body, Content_Encoding="gzip")
        assert (status, json.loads(answer)["predicted_label"]) == (200, "light")
        assert post(server, body)[0] == 200  # SageMaker passes the header on to no container


@pytest.mark.parametrize(
    ("body", "coding", "code"),
    [
        (zipped(b"x" * 50_000_000), "gzip", "body_too_large"),
        (zipped(b"x" * (LIMIT + 1)), "GZIP", "body_too_large"),
        (zipped(WHITE)[:-9], "gzip", "bad_encoding"),
        (WHITE, "gzip", "bad_encoding"),
        (b"", "gzip", "empty_body"),
        (WHITE, "br", "unsupported_media_type"),
        (zipped(zipped(WHITE)), "gzip, gzip", "unsupported_media_type"),
    ],
)
def test_a_gzip_body_that_cannot_be_used(server: ServerProcess, body: bytes, coding: str, code: str) -> None:
    before = psutil.Process(server.process.pid).memory_info().rss
    status, answer = post(server, body, Content_Encoding=coding)
    assert (status, code_of(answer)) == (invocation.ERRORS[code], code)
    assert psutil.Process(server.process.pid).memory_info().rss - before < 30e6  # not the 50 MB that it unpacks to


# --- JSON Lines -------------------------------------------------------------------------------------------------------


def test_each_line_is_answered_by_itself(server: ServerProcess) -> None:
    body = b"\n".join(
        [line(WHITE), b"{", b"", line(b"none"), line(BLACK), b'{"image_url": "https://a.b/c"}', b'{"x":1}']
    )
    status, headers, answer = server.request("POST", "/invocations", body + b"\n", **LINES)
    assert (status, headers["content-type"]) == (200, "application/jsonlines")
    lines = [json.loads(one) for one in answer.split(b"\n")]
    assert [one.get("predicted_label") or one["error"]["code"] for one in lines] == [
        "light", "bad_json", "bad_image", "dark", "image_url_disabled", "bad_request",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "accept", "status"),
    [
        (b"\n \n", "", 400),
        (b"{}\n" * 9, "", 400),
        (line(WHITE), "application/jsonlines", 200),
        (line(WHITE), "application/json", 200),
        (line(WHITE), "text/csv", 406),
    ],
)
def test_lines_have_limits_and_an_accept(server: ServerProcess, body: bytes, accept: str, status: int) -> None:
    assert server.request("POST", "/invocations", body, Accept=accept, **LINES)[0] == status


# --- slow and strange senders -----------------------------------------------------------------------------------------


def read_to_end(stream: socket.socket) -> bytes:
    answer = b""
    while part := stream.recv(65536):
        answer += part
    return answer


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "request_timeout"),
        (b"POST /invoc", "request_timeout"),
        (b"POST /invocations HTTP/1.1\r\nHost: a\r\nX: y", "request_timeout"),
        (b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", "request_timeout"),
        (b"POST /invocations HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20_000, "headers_too_large"),
        (b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "bad_request"),
        (b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n", "bad_request"),
        (b"GARBAGE\r\n\r\n", "bad_request"),
    ],
)  # fmt: skip
def test_a_sender_that_is_slow_or_no_http_is_told_and_cut(server: ServerProcess, sent: bytes, code: str) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as stream:
        stream.sendall(sent)
        head, _, body = read_to_end(stream).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == invocation.ERRORS[code]
    assert code_of(body) == code
    assert time.monotonic() - started < 30
    assert server.request("GET", "/ping")[0] == 200


def test_a_second_request_of_a_connection_has_its_time_too(server: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as stream:
        stream.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
        assert stream.recv(65536).startswith(b"HTTP/1.1 200")
        stream.sendall(b"GET /pi")
        assert b"request_timeout" in read_to_end(stream)


@pytest.mark.parametrize(("path", "status"), [("/ping", 405), ("/nothing", 404)])
def test_the_answer_to_head_is_its_head_alone(server: ServerProcess, path: str, status: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as stream:
        stream.sendall(f"HEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        head, end, body = read_to_end(stream).partition(b"\r\n\r\n")
    assert (int(head.split()[1]), end, body) == (status, b"\r\n\r\n", b"")


def test_requests_that_are_sent_at_once_are_answered_in_their_order(server: ServerProcess) -> None:
    lines = [b"GET /ping HTTP/1.1", b"GET /execution-parameters HTTP/1.1", b"GET /ping HTTP/1.1\r\nConnection: close"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as stream:
        stream.sendall(b"".join(one + b"\r\nHost: a\r\n\r\n" for one in lines))
        answer = read_to_end(stream)
    heads = [part.split(b"\r\n")[1:] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert [b"content-length: 0" in head for head in heads] == [True, False, True]


# --- the corpus, damaged ----------------------------------------------------------------------------------------------


def file(image: Image.Image, format_: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


COLOUR = Image.effect_mandelbrot((24, 18), (-2, -1.5, 1, 1.5), 50).convert("RGB")
EXIF = Image.Exif()
EXIF[0x0112] = 6
CORPUS = [
    file(COLOUR, "JPEG"),
    file(COLOUR, "JPEG", progressive=True, quality=95, exif=EXIF),
    file(COLOUR.convert("CMYK"), "JPEG"),
    file(COLOUR, "PNG"),
    file(COLOUR.convert("P"), "PNG", transparency=0),
    file(COLOUR.convert("L").convert("I;16"), "PNG"),
    file(COLOUR.convert("RGBA"), "PNG"),
    file(COLOUR.convert("1"), "PNG"),
    file(COLOUR, "WEBP"),
    file(COLOUR.convert("RGBA"), "WEBP", lossless=True),
    file(COLOUR, "WEBP", save_all=True, append_images=[COLOUR.rotate(90)]),
    file(COLOUR, "PNG", save_all=True, append_images=[COLOUR.rotate(90)]),
    line(file(COLOUR, "PNG")),
    b'{"instances": [' + line(WHITE) + b", " + line(BLACK) + b"]}",
    zipped(WHITE),
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file of the corpus, cut, with bytes changed, doubled or put in."""
    data = bytearray(draw(st.sampled_from(CORPUS)))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(["flip", "set", "cut", "insert", "double", "large"]))
        if how == "flip" and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "set" and data:
            data[place] = draw(st.sampled_from([0, 255, 127, 128]))
        elif how == "cut":
            del data[place:]
        elif how == "insert":
            data[place:place] = draw(st.binary(max_size=8))
        elif how == "double":
            data[place:place] = data[place : place + 64]
        else:
            data[place : place + 4] = b"\x7f\xff\xff\xff"
    return bytes(data)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=damaged(),
    content_type=st.sampled_from(invocation.CONTENT_TYPES),
    coding=st.sampled_from(["identity"] * 4 + ["gzip"]),
)
def test_no_damaged_file_is_a_5xx(server: ServerProcess, body: bytes, content_type: str, coding: str) -> None:
    status, answer = post(server, body, content_type, Content_Encoding=coding)
    assert status == 200 or 400 <= status < 500, answer
    json.loads(answer.split(b"\n")[0])


def test_after_all_that_it_still_answers_and_holds_nothing(server: ServerProcess) -> None:
    process = psutil.Process(server.process.pid)
    files = process.num_fds()
    for _ in range(50):
        assert post(server, CORPUS[0][:-5], "image/jpeg")[0] == 400
    assert post(server, WHITE)[0] == 200
    assert process.num_fds() <= files + 2
    assert server.process.poll() is None
    server.stop()
    assert not any("Traceback" in one for one in server.errors)
