"""Several workers: who owns the socket, what happens when one dies, and when the one that owns them dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.inference import tiny
from tests.inference.conftest import PATIENCE, ServerProcess

Start = Callable[..., ServerProcess]
WHITE = tiny.picture(255)

WHO = """
    import os, time, pathlib
    def model_fn(model_dir): return pathlib.Path(model_dir)
    def transform_fn(folder, data, content_type, accept):
        if data == b"die":
            os._exit(9)
        if data == b"wait":
            (folder / "waiting").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
        return {"pid": os.getpid()}
"""


def start(tmp_path: Path, start_server: Start, text: str = WHO, workers: int = 2, **environment: str) -> ServerProcess:
    code = tmp_path / "model" / "code"
    code.mkdir(parents=True, exist_ok=True)
    (code / "inference.py").write_text(textwrap.dedent(text))
    return start_server(tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS=str(workers), **environment)


def wait_until(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def ready(server: ServerProcess, count: int) -> None:
    wait_until(lambda: sum("ready with" in line for line in list(server.output)) >= count, f"{count} workers ready")


def who(server: ServerProcess) -> int:
    status, _, body = server.request("POST", "/invocations", b"x", Content_Type="a/b")
    assert status == 200
    pid: int = json.loads(body)["pid"]
    return pid


def children(server: ServerProcess) -> set[int]:
    return {child.pid for child in psutil.Process(server.process.pid).children()}


def test_it_ends_in_order_the_moment_it_serves_and_has_no_thread_that_a_signal_could_reach(
    tmp_path: Path, start_server: Start
) -> None:
    server = start(tmp_path, start_server)
    ready(server, 1)  # the second is being started
    assert psutil.Process(server.process.pid).num_threads() == 1
    assert server.stop() == 0


def test_every_worker_answers_on_the_one_port_and_a_dead_one_is_replaced(tmp_path: Path, start_server: Start) -> None:
    server = start(tmp_path, start_server)
    ready(server, 2)
    before = children(server)
    assert len(before) == 2 and server.process.pid not in before
    wait_until(lambda: who(server) == min(before), "the first answers")
    wait_until(lambda: who(server) == max(before), "the second answers")
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    ready(server, 3)
    after = children(server)
    assert len(after) == 2 and victim not in after and max(before) in after
    (new,) = after - before
    wait_until(lambda: who(server) == new, "the new one answers")
    assert any("ended with signal 9; it is replaced" in line for line in server.errors)
    assert server.stop() == 0


def test_a_worker_that_its_own_code_ends_is_replaced(tmp_path: Path, start_server: Start) -> None:
    server = start(tmp_path, start_server)
    ready(server, 2)
    with pytest.raises((ConnectionError, OSError, Exception)):
        server.request("POST", "/invocations", b"die", Content_Type="a/b")
    ready(server, 3)
    assert who(server) in children(server)


def test_the_death_of_the_supervisor_leaves_no_orphan_and_no_port(tmp_path: Path, start_server: Start) -> None:
    server = start(tmp_path, start_server)
    ready(server, 2)
    port, workers = server.port, children(server)
    server.process.kill()
    assert server.process.wait(PATIENCE) == -signal.SIGKILL
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in workers), "no worker is left")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_sigterm_finishes_what_is_in_flight_in_a_worker(tmp_path: Path, start_server: Start) -> None:
    server = start(tmp_path, start_server)
    ready(server, 2)
    workers = children(server)
    connection = server.connect()
    connection.request("POST", "/invocations", b"wait", {"Content-Type": "a/b"})
    wait_until((tmp_path / "model" / "waiting").exists, "the request is being worked on")
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: len(children(server)) == 1, "the idle worker has ended")
    (tmp_path / "model" / "go").touch()
    response = connection.getresponse()
    assert response.status == 200 and json.loads(response.read())["pid"] in workers
    connection.close()
    assert server.wait() == 0
    assert not any(psutil.pid_exists(pid) for pid in workers)


def test_a_model_that_cannot_be_loaded_ends_the_start_once(tmp_path: Path, start_server: Start) -> None:
    server = start(tmp_path, start_server, "def model_fn(d): raise RuntimeError('no weights')", workers=3)
    assert server.wait() == 1
    assert sum("cannot be loaded" in line for line in server.errors) == 1


def test_a_model_that_cannot_be_loaded_again_ends_the_server(tmp_path: Path, start_server: Start) -> None:
    text = """
        import pathlib, os
        def model_fn(model_dir):
            if (pathlib.Path(model_dir) / "broken").exists():
                raise RuntimeError("no weights")
        def transform_fn(a, b, c, d): return {"pid": os.getpid()}
    """
    server = start(tmp_path, start_server, text)
    ready(server, 2)
    (tmp_path / "model" / "broken").touch()
    os.kill(min(children(server)), signal.SIGKILL)
    assert server.wait() == 1
    assert sum("cannot be loaded" in line for line in server.errors) == 3


def samples(server: ServerProcess) -> dict[tuple[str, str], float]:
    """(name, value of its one label) -> value, of the Prometheus page, read by Prometheus' own parser."""
    port = int(server.wait_for_line("metrics on").rpartition(":")[2].partition("/")[0])
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        text = answer.read().decode()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_counts_of_all_workers_are_one_page_and_survive_a_worker(tmp_path: Path, start_server: Start) -> None:
    server = start(tmp_path, start_server, CVF_METRICS_PORT="0")
    ready(server, 2)
    for _ in range(7):
        who(server)
    wait_until(lambda: samples(server).get(("cvf_requests_total", "200")) == 7, "seven requests are counted")
    os.kill(min(children(server)), signal.SIGKILL)
    ready(server, 3)
    who(server)
    wait_until(lambda: samples(server).get(("cvf_requests_total", "200")) == 8, "eight are")
    wait_until(lambda: samples(server)["cvf_processes", ""] == 2, "of two living processes")


def test_prometheus_reads_the_page_of_one_process(tmp_path: Path, start_server: Start) -> None:
    tiny.write_bundle(tmp_path / "model")
    server = start_server(tmp_path, CVF_METRICS_PORT="0")
    server.wait_until_ready()
    for body, status in ((WHITE, 200), (tiny.picture(0), 200), (b"none", 400)):
        assert server.invoke(body, "image/png")[0] == status
    found = samples(server)
    assert (found["cvf_requests_total", "200"], found["cvf_requests_total", "400"]) == (2, 1)
    assert (found["cvf_predictions_total", "light"], found["cvf_predictions_total", "dark"]) == (1, 1)
    assert found["cvf_request_seconds_count", ""] == 3 and found["cvf_request_seconds_bucket", "+Inf"] == 3
    assert found["cvf_stage_seconds_count", "decode"] == 3 and found["cvf_stage_seconds_count", "model"] == 2
    assert found["cvf_confidence_bucket", "0.99"] == 0 and found["cvf_confidence_bucket", "1.0"] == 2
    assert found["cvf_request_bytes_total", ""] == len(WHITE) + len(tiny.picture(0)) + 4
    assert found["cvf_resident_memory_bytes", ""] > 10e6 and found["cvf_open_files", ""] > 3
