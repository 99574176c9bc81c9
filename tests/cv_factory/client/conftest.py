"""The HTTP side of SageMaker's runtime, answering as a test says: the real one cannot be made to throttle or hang."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest

from cv_factory.client import Predictor

ANSWER = {"predicted_label": "b", "confidence": 0.75, "probabilities": {"a": 0.25, "b": 0.75}}


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    path: str
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Answer:
    """An answer. ``before`` runs first; with status 0 the connection is closed instead."""

    status: int = 200
    document: Any = field(default_factory=lambda: ANSWER)
    error: str = ""
    before: Callable[[], Any] = lambda: None


def throttled(before: Callable[[], Any] = lambda: None) -> Answer:
    return Answer(429, {"message": "Rate exceeded"}, "ThrottlingException", before)


def model_error(status: int, code: str, message: str = "No.") -> Answer:
    """The container's own error, as SageMaker hands it on."""
    original = json.dumps({"error": {"code": code, "message": message}})
    document = {"Message": "…", "OriginalStatusCode": status, "OriginalMessage": original}
    return Answer(424, document, "ModelError")


class Runtime:
    """Listens on loopback; ``answer`` says what a request gets: by default the next of ``script``, then ANSWER."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.script: list[Answer] = []
        self.answer: Callable[[Request], Answer] = lambda request: self.script.pop(0) if self.script else Answer()
        self.connections = 0
        self.now, self.most = 0, 0
        self._lock = threading.Lock()
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                with runtime._lock:
                    runtime.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(self.path, self.headers["Content-Type"], body)
                with runtime._lock:
                    runtime.requests.append(request)
                    runtime.now += 1
                    runtime.most = max(runtime.most, runtime.now)
                    answer = runtime.answer(request)
                answer.before()
                with runtime._lock:
                    runtime.now -= 1
                if answer.status == 0:
                    self.close_connection = True
                    return
                text = answer.document if isinstance(answer.document, bytes) else json.dumps(answer.document).encode()
                self.send_response(answer.status)
                if answer.error:
                    self.send_header("x-amzn-ErrorType", answer.error)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None:
                """A client that has gone is no error."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    it = Runtime()
    yield it
    it.close()


MakePredictor = Callable[..., Predictor]


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    """One for all tests: the first client of a session reads megabytes of JSON."""
    return boto3.Session("a", "b", region_name="eu-west-1")


@pytest.fixture
def make_predictor(session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePredictor]:
    """Makes predictors of an endpoint at a port of loopback; all are closed at the end."""
    made: list[Predictor] = []

    def make(port: int, **options: Any) -> Predictor:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{port}")
        made.append(Predictor("eyes", session, **options))
        return made[-1]

    yield make
    for predictor in made:
        predictor.close()
