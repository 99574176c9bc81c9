"""``cv-factory serve``: what may be served, what goes through, and that nothing is left."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import tarfile
import time
from html.parser import HTMLParser
from pathlib import Path

import boto3
import pytest

from contracts import bundle, settings
from cv_factory import session
from cv_factory.client import PredictionError, Predictor
from cv_factory.operations.serving import bundles
from cv_factory.operations.serving.front import PAGE
from cv_factory.session import Target
from tests.cv_factory.cli.conftest import Call
from tests.cv_factory.cli.use.conftest import Serve, Served, wait_until_gone
from tests.cv_factory.helpers import FACTORY_YAML, Cloud
from tests.inference import tiny

WHITE, PNG = tiny.picture(255), {"Content-Type": "image/png"}


# --- what goes through ------------------------------------------------------------------------------------------------


def test_ping_and_invocations_are_the_container_s(served: Served) -> None:
    assert served.request("GET", "/ping")[0] == 200
    status, headers, body = served.request("POST", "/invocations", WHITE, PNG)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["predicted_label"] == "light"
    parts = (WHITE[at : at + 10] for at in range(0, len(WHITE), 10))
    assert json.loads(served.request("POST", "/invocations", parts, PNG)[2])["predicted_label"] == "light"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("POST", "/invocations", b"text", PNG, 400, "bad_image"),
        ("POST", "/invocations", b"", PNG, 400, "empty_body"),
        ("POST", "/invocations", WHITE, {"Content-Type": "text/csv"}, 415, "unsupported_media_type"),
        ("POST", "/invocations", WHITE, {**PNG, "Accept": "text/csv"}, 406, "not_acceptable"),
        ("GET", "/invocations", None, {}, 405, "method_not_allowed"),
        ("POST", "/invocations", b"x" * (65 * 2**20), PNG, 413, "body_too_large"),
        ("GET", "/models", None, {}, 404, "not_found"),
        ("GET", "/../page.html", None, {}, 404, "not_found"),
        ("GET", "/ping", None, {"Host": "evil.example"}, 403, "forbidden"),
        ("POST", "/invocations", WHITE, {**PNG, "Origin": "https://evil.example"}, 403, "forbidden"),
    ],
)
def test_errors_come_through_with_status_and_code(
    served: Served, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, code: str
) -> None:
    found, _, text = served.request(method, path, body, headers)
    assert (found, json.loads(text)["error"]["code"]) == (status, code)


def runtime_session(url: str, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url)
    return boto3.Session("a", "b", region_name="eu-west-1")


def test_boto3_can_be_pointed_here(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with Predictor("any-name", runtime_session(served.url, monkeypatch)) as predictor:
        assert predictor.predict(WHITE).predicted_label == "light"
        with pytest.raises(PredictionError) as caught:
            predictor.predict(b"no image")
    assert (caught.value.status, caught.value.code) == (400, "bad_image")
    assert caught.value.message == "The image (8 bytes) is no JPEG, PNG or WebP."


# --- the page ---------------------------------------------------------------------------------------------------------


class Loads(HTMLParser):
    """What a page loads, and its inline handlers and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "style") or name.startswith("on"):
                self.found.append((name, value or ""))


def test_the_page_is_one_file_that_loads_nothing_under_a_strict_policy(served: Served) -> None:
    status, headers, body = served.request("GET", "/")
    assert status == 200 and body.decode() == PAGE.read_text(encoding="utf-8")
    assert Loads(body.decode()).found == [("href", "data:,")]
    assert "http" not in re.sub(r"<script>.*?</script>", "", body.decode(), flags=re.DOTALL)
    assert "url(" not in body.decode() and "@import" not in body.decode()
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/]+='", policy["script-src"]) and "unsafe" not in str(policy)
    assert headers["x-content-type-options"] == "nosniff"
    head = served.request("HEAD", "/")
    assert head[0] == 200 and head[1]["content-length"] == str(len(body)) and head[2] == b""


def test_about_says_what_is_served(served: Served, tiny_bundle: Path) -> None:
    about = json.loads(served.request("GET", "/about")[2])
    assert about["classes"] == ["dark", "light"] and about["endpoint"] == "my-endpoint"
    assert about["bundle_hash"] == bundle.read(tiny_bundle).bundle_hash == served.about["bundle_hash"]


# --- what may be served -----------------------------------------------------------------------------------------------


def nowhere() -> Target:
    raise AssertionError("what is on this machine needs no environment")


def test_a_folder_an_archive_and_the_folder_that_holds_it(tiny_bundle: Path, tmp_path: Path) -> None:
    tiny.write_archive(tmp_path / "output" / bundle.ARCHIVE, tiny_bundle)
    for number, where in enumerate((tiny_bundle, tmp_path / "output" / bundle.ARCHIVE, tmp_path / "output")):
        model = tmp_path / str(number)
        assert bundles.bring(str(where), model, nowhere) == bundle.read(tiny_bundle) == bundle.read(model)


def test_an_s3_uri_is_found_through_the_environment(aws: Cloud, serve: Serve, tiny_bundle: Path, folder: Path) -> None:
    """The container itself gets no AWS configuration."""
    tiny.write_archive(folder / "made.tar.gz", tiny_bundle)
    aws.client("s3").upload_file(str(folder / "made.tar.gz"), "shapes-dev-data-123456789012", "a/b/model.tar.gz")
    served = serve("s3://shapes-dev-data-123456789012/a/b/", "--env", "dev", folder=folder)
    assert served.request("POST", "/invocations", WHITE, PNG)[0] == 200
    assert json.loads(served.request("GET", "/about")[2])["endpoint"] == "shapes-dev"
    for pid in served.family()[1:]:
        assert b"AWS_SECRET_ACCESS_KEY" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert served.stop() == 0
    target = session.open(settings.load(folder / "factory.yaml", "dev"), folder / "factory.yaml")
    spec = bundles.bring("s3://shapes-dev-data-123456789012/a/b/model.tar.gz", folder / "model", lambda: target)
    assert spec == bundle.read(tiny_bundle)


def test_the_limits_are_those_of_the_settings(serve: Serve, tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "factory.yaml").write_text(FACTORY_YAML + "serving: {max_pixels: 1024}\n", encoding="utf-8")
    served = serve(tiny_bundle)
    status, _, body = served.request("POST", "/invocations", tiny.picture(0, size=(100, 100)), PNG)
    assert (status, json.loads(body)["error"]["code"]) == (400, "too_many_pixels")


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda path: None, 2, "there is no file or folder thing"),
        (lambda path: path.mkdir(), 1, "is no bundle"),
        (lambda path: path.write_bytes(b"text"), 1, "is not a readable tar archive"),
        (lambda path: tiny.write_archive(path, Path(__file__).parent), 1, "it holds no bundle.json"),
    ],
)
def test_what_is_no_bundle_is_an_error_that_says_what_is_one(
    call: Call, folder: Path, make: object, code: int, words: str
) -> None:
    make(folder / "thing")  # type: ignore[operator]
    answer = call("serve", "thing", "--port", "0")
    assert answer.code == code and words in answer.err and "Traceback" not in answer.err


def test_an_archive_that_would_leave_its_folder_is_refused(call: Call, folder: Path) -> None:
    with tarfile.open(folder / "evil.tar.gz", "w:gz") as archive:
        archive.add(__file__, "../../evil.txt")
    answer = call("serve", "evil.tar.gz", "--port", "0")
    assert answer.code == 1 and "would leave its folder" in answer.err


def test_there_is_no_such_object(aws: Cloud, call: Call) -> None:
    answer = call("--env", "dev", "serve", "s3://shapes-dev-data-123456789012/none/model.tar.gz", "--port", "0")
    assert answer.code == 1 and "there is no object s3://shapes-dev-data-123456789012/none/model.tar.gz" in answer.err


def test_a_model_that_cannot_be_loaded_ends_it_with_the_container_s_words(
    serve: Serve, tiny_bundle: Path, tmp_path: Path
) -> None:
    tiny.write_bundle(tmp_path / "broken")
    (tmp_path / "broken" / bundle.MODEL).write_bytes(b"no model")
    served = serve("broken")
    out, err = served.process.communicate(timeout=60)
    assert served.process.returncode == 1
    assert "the container's server ended with code 1" in err and "the bundle's content is not what its hash says" in err
    assert json.loads(out)["error"]["message"].startswith("the container's server ended")


def test_a_port_in_use_is_an_error(call: Call, tiny_bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = call("serve", str(tiny_bundle), "--port", str(port))
    assert answer.code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in answer.err and "--port 0" in answer.err


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left(serve: Serve, tiny_bundle: Path, tmp_path: Path, number: int) -> None:
    """Whatever ends it; of a killed one only its folder in the temporary folder is left."""
    served = serve(tiny_bundle, TMPDIR=str(tmp_path))
    assert served.request("GET", "/ping")[0] == 200
    family = served.family()
    assert len(family) >= 3  # itself, the container, and the guard
    assert served.stop(number) == (-number if number == signal.SIGKILL else 0)
    wait_until_gone(family)
    assert (tiny_bundle / bundle.MODEL).is_file()
    if number != signal.SIGKILL:
        assert list(tmp_path.glob("cv-factory-serve-*")) == []


def containers(served: Served) -> list[int]:
    """The processes of the container's server."""
    found = []
    for pid in served.family()[1:]:
        try:
            if b"inference.server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:  # it is gone
            continue
    return found


def test_it_ends_when_the_container_does(serve: Serve, tiny_bundle: Path) -> None:
    served = serve(tiny_bundle)
    assert served.request("GET", "/ping")[0] == 200
    for pid in containers(served):
        os.kill(pid, signal.SIGKILL)
    _, err = served.process.communicate(timeout=60)
    assert served.process.returncode == 1 and "the container's server ended with code -9" in err


def test_it_can_be_stopped_before_it_is_ready(serve: Serve, tmp_path: Path) -> None:
    """The model is a pipe that nobody writes to: it is never loaded."""
    tiny.write_bundle(tmp_path / "model")
    (tmp_path / "model" / bundle.MODEL).unlink()
    os.mkfifo(tmp_path / "model" / bundle.MODEL)
    served = serve("model", TMPDIR=str(tmp_path))
    while not containers(served):  # before that, Ctrl-C is an interrupted start
        assert served.process.poll() is None
        time.sleep(0.02)
    family = served.family()
    assert served.stop(signal.SIGINT) == 0
    wait_until_gone(family)
    assert list(tmp_path.glob("cv-factory-serve-*")) == []
