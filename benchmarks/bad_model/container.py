"""A serving container whose model is a note of how it behaves; run as a script, by the local SageMaker.

``model.onnx`` is a :class:`benchmarks.bad_model.kinds.Behaviour` as JSON. Each request that it reads is written to the
file ``JOURNAL`` before anything else happens, so that who got which request is known even if no answer follows; and
each answer gives a line as the product's server writes it (inference/observe.py), which the guards count.
"""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_LOCK = threading.Lock()


class Server(ThreadingHTTPServer):
    """The model, and how many requests it has read."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, port: int, model: dict[str, Any], journal: Path) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.model = model
        self.read = 0
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, request: str, *, died: bool = False) -> None:
        """A request was read; ``died``: and it is the last one."""
        line = {"at": time.time(), "who": self.model["name"], "id": request, "died": died}
        os.write(self._journal, (json.dumps(line) + "\n").encode())


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model, identity = self.server.model, str(request.get("id", ""))
        with _LOCK:
            self.server.read += 1
            dies = 0 < model["dies_at"] <= self.server.read
            self.server.note(identity, died=dies)
            if dies:
                os._exit(1)
        time.sleep(model["seconds"])  # the model at work
        if model["status"] != 200:
            return self._answer(model["status"], {"error": {"code": "internal", "message": "the model failed"}})
        label, probabilities = model["answers"][request["image"]]
        line = {"event": "request", "id": identity, "status": 200, "label": label}
        with _LOCK:
            print(json.dumps(line), flush=True)
        return self._answer(200, {"predicted_label": label, "probabilities": probabilities})

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """No access log: the request lines are enough."""


if __name__ == "__main__":
    folder = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "model"
    Server(
        int(os.environ["SAGEMAKER_BIND_TO_PORT"]),
        json.loads((folder / "model.onnx").read_text()),
        Path(os.environ["JOURNAL"]),
    ).serve_forever()
