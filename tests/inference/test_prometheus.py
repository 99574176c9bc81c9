"""A real Prometheus scrapes the server's page. Marker docker: it is one of the programs that CI installs as root."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inference import tiny
from tests.inference.conftest import PATIENCE, ServerProcess

pytestmark = pytest.mark.docker

CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: endpoint
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Prometheus:
    def __init__(self, folder: Path, target: int) -> None:
        (folder / "prometheus.yml").write_text(CONFIG.format(port=target), encoding="utf-8")
        self.port = free_port()
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def get(self, path: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def until(self, path: str, wanted: Callable[[Any], bool], **query: str) -> Any:
        deadline = time.monotonic() + PATIENCE
        found = None
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                found = self.get(path, **query)
                if wanted(found):
                    return found
            except urllib.error.URLError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{path}: {found}\n{self.log.read_text(errors='replace')[-2000:]}")


@pytest.fixture
def prometheus(
    tmp_path: Path, start_server: Callable[..., ServerProcess]
) -> Iterator[tuple[Prometheus, ServerProcess]]:
    assert shutil.which("prometheus"), "Prometheus is not on PATH. On Debian: apt install prometheus"
    tiny.write_bundle(tmp_path / "ml" / "model")
    port = free_port()
    server = start_server(tmp_path / "ml", CVF_METRICS_PORT=str(port))
    server.wait_until_ready()
    running = Prometheus(tmp_path, port)
    try:
        yield running, server
    finally:
        running.process.terminate()
        running.process.wait()


def test_a_real_prometheus_scrapes_and_answers_queries(prometheus: tuple[Prometheus, ServerProcess]) -> None:
    running, server = prometheus
    for body in (tiny.picture(255), tiny.picture(255), tiny.picture(0), b"none"):
        server.invoke(body, "image/png")

    def values(found: Any) -> dict[str, str]:
        return {
            sample["metric"].get("label", sample["metric"].get("status", "")): sample["value"][1]
            for sample in found["result"]
        }

    running.until("query", lambda found: values(found) == {"200": "3", "400": "1"}, query="cvf_requests_total")
    assert values(running.get("query", query="cvf_predictions_total")) == {"dark": "1", "light": "2"}
    quantile = running.get("query", query="histogram_quantile(0.99, cvf_request_seconds_bucket)")
    assert 0 < float(quantile["result"][0]["value"][1]) <= 60
    target = running.get("targets")["activeTargets"][0]
    assert (target["health"], target["lastError"]) == ("up", "")
    kinds = {name: about[0]["type"] for name, about in running.get("metadata").items()}
    assert (kinds["cvf_requests_total"], kinds["cvf_request_seconds"], kinds["cvf_queue_depth"]) == (
        "counter", "histogram", "gauge",
    )  # fmt: skip
