"""A serving container for tests of batch transform: it answers <body>, and writes down what it was asked.

A word in the body asks for more: ``bad`` for a 400, ``crash`` for a 500, ``once`` for a 503 the first time, ``die`` for
the container's end, ``wait`` for an answer once the file ``go`` is there.
"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NOTES = Path(os.environ["NOTES"])
LOCK = threading.Lock()
SEEN = set()
BUSY = [0, 0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path == "/execution-parameters" and "PARAMETERS" in os.environ:
            self.answer(200, os.environ["PARAMETERS"].encode())
        else:
            self.answer(200 if self.path == "/ping" else 404, b"")

    def do_POST(self):
        with LOCK:
            BUSY[0] += 1
            BUSY[1] = max(BUSY)
        status, answer = self.transform(self.body())
        with LOCK:
            BUSY[0] -= 1
            (NOTES / "most").write_text(str(BUSY[1]))
        self.answer(status, answer)

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def transform(self, body):
        note = {"body": body.decode("latin-1"), "headers": {key.lower(): value for key, value in self.headers.items()}}
        with LOCK, (NOTES / "requests").open("a") as file:
            print(json.dumps(note), file=file)
        if b"bad" in body:
            return 400, b"this record\nis bad"
        if b"crash" in body:
            return 500, b"it broke"
        if b"die" in body:
            print("Killed by a bad record", flush=True)
            os._exit(3)
        if b"wait" in body:
            while not (NOTES / "go").exists():
                time.sleep(0.02)
        if b"once" in body and body not in SEEN:
            SEEN.add(body)
            return 503, b""
        return 200, b"<" + body + b">"

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        print("served", args[2], flush=True)


if sys.argv[1:] != ["serve"]:
    sys.exit(f"expected the argument serve, not {sys.argv[1:]}")
base = Path(os.environ["SAGEMAKER_BASE_DIR"])
model = {str(path.relative_to(base)): path.read_text() for path in base.rglob("*") if path.is_file()}
(NOTES / f"start-{os.getpid()}").write_text(json.dumps({"environment": dict(os.environ), "model": model}))
if os.environ.get("BROKEN"):
    sys.exit("ValueError: the model is broken")
ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
