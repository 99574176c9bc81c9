"""The Prometheus page, on a port of its own, and how the counts of several processes come together on it.

SageMaker reaches port 8080 only: the page is for laptops and for one's own hosting. A worker writes its counts to a
file once a second; the supervisor sums the files. What a worker counted in the second before it was killed is lost.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from contracts import container
from contracts.errors import FactoryError
from inference.limits import ServerOptions
from inference.metrics import CONTENT_TYPE, Metrics, Snapshot, combine, counters, page

#: Where workers write their counts; set by the supervisor.
FOLDER = "CVF_METRICS_FOLDER"
_SECONDS = 1.0


def start(metrics: Metrics | None, options: ServerOptions, number: int | None) -> None:
    """Serve the page (a process by itself) or begin to write the file that the supervisor reads (a worker)."""
    if metrics is None:
        return
    if number is not None:
        threading.Thread(target=_write_for_ever, args=(metrics,), daemon=True, name="counts").start()
    elif options.metrics_port is not None:
        serve(options.metrics_port, lambda: [metrics.snapshot()])


def store(metrics: Metrics | None, environment: Mapping[str, str] = os.environ) -> None:
    """Write the counts where the supervisor reads them, if there is one."""
    folder = environment.get(FOLDER)
    if metrics is None or not folder:
        return
    path = Path(folder) / f"{os.getpid()}.json"
    try:
        path.with_suffix(".new").write_text(json.dumps(metrics.snapshot()), encoding="utf-8")
        path.with_suffix(".new").replace(path)
    except OSError:  # counts must never stop the server
        pass


def serve(port: int, read: Callable[[], Sequence[Snapshot]]) -> None:
    """Serve ``GET /metrics`` in a thread.

    Raises:
        FactoryError: the port is taken.
    """

    class Page(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            body = page(read()).encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
            """No line a scrape."""

    host = os.environ.get(container.HOST_VARIABLE, "").strip() or "0.0.0.0"  # noqa: S104 - as the server itself
    try:
        server = ThreadingHTTPServer((host, port), Page)
    except OSError as error:
        raise FactoryError(f"cannot listen on {host}:{port} for metrics: {os.strerror(error.errno or 0)}") from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True, name="metrics").start()
    print(f"inference.server: metrics on http://{host}:{server.server_address[1]}/metrics", flush=True)


class Folder:
    """The files of the living workers, and what the dead ones have counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._past: Snapshot = {}
        self._lock = threading.Lock()

    def read(self) -> list[Snapshot]:
        with self._lock:
            found = [snapshot for file in self.path.glob("*.json") if (snapshot := _read(file))]
            return [*found, self._past] if self._past else found

    def bury(self, pid: int) -> None:
        """Keep what the worker ``pid`` counted, without its memory and its queue."""
        file = self.path / f"{pid}.json"
        with self._lock:
            snapshot = _read(file)
            file.unlink(missing_ok=True)
            if snapshot:
                self._past = combine([self._past, counters(snapshot)])

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _read(file: Path) -> Snapshot | None:
    try:
        value: Snapshot = json.loads(file.read_text(encoding="utf-8"))
        return value
    except (OSError, ValueError):
        return None


def _write_for_ever(metrics: Metrics) -> None:
    tick = threading.Event()
    while not tick.wait(_SECONDS):
        store(metrics)
        if sys.is_finalizing():
            return
