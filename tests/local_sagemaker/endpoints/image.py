"""A serving container for tests. What it does follows from its environment and from each request's JSON body."""

import json
import os
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BASE = Path(os.environ["SAGEMAKER_BASE_DIR"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        healthy = self.path == "/ping" and not (BASE / "sick").exists()
        self.answer(200 if healthy else 503, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        order = json.loads(body) if self.headers.get("Content-Type") == "application/json" else {}
        if "touch" in order:
            Path(order["touch"]).touch()
        if "sleep" in order:
            time.sleep(order["sleep"])
        if order.get("die"):
            os._exit(3)
        if order.get("sick"):
            (BASE / "sick").touch()
        if "reach" in order:
            try:
                socket.create_connection(tuple(order["reach"]), timeout=2).close()
                self.answer(200, b'"reached"')
            except OSError as error:
                self.answer(200, json.dumps(str(error)).encode())
            return
        if "large" in order:
            self.answer(200, b"x" * order["large"])
            return
        document = {
            "version": os.environ.get("VERSION"),
            "pid": os.getpid(),
            "bytes": len(body),
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "environment": dict(os.environ),
            "model": {str(p.relative_to(BASE)): p.read_text() for p in BASE.rglob("*") if p.is_file()},
            "connection": str(self.client_address),
        }
        self.answer(order.get("status", 200), json.dumps(order.get("text", document)).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.headers.get("X-Amzn-SageMaker-Custom-Attributes"):
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", "seen")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        print("served", args[2], flush=True)


if sys.argv[1:] != ["serve"]:
    sys.exit(f"expected the argument serve, not {sys.argv[1:]}")
print("model server", os.environ.get("VERSION"), flush=True)
if os.environ.get("CRASH"):
    print("ValueError: the model is broken", file=sys.stderr, flush=True)
    sys.exit(7)
if os.environ.get("SLOW"):
    time.sleep(float(os.environ["SLOW"]))
if os.environ.get("WAIT_FOR"):
    while not Path(os.environ["WAIT_FOR"]).exists():
        time.sleep(0.02)
ThreadingHTTPServer(
    (os.environ.get("BIND_HOST", "127.0.0.1"), int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler
).serve_forever()
