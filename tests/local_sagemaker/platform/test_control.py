"""Starting, finding and stopping a server from another process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local_sagemaker import control, processes
from tests.local_sagemaker.platform.conftest import ACCOUNT, REGION, Server
from tests.waiting import eventually


def foreground(state_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A server that is expected to end by itself."""
    command = [sys.executable, "-m", "local_sagemaker", "--state-dir", str(state_dir), "--region", REGION]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_a_second_start_finds_the_running_server(server: Server) -> None:
    again = control.start(server.state_dir, ACCOUNT, REGION)
    assert again == server.info == control.status(server.state_dir)
    stored = json.loads((server.state_dir / "server.json").read_text())
    assert stored["endpoint_url"] == f"http://127.0.0.1:{stored['port']}" and stored["account_id"] == ACCOUNT
    ended = foreground(server.state_dir, "--account-id", ACCOUNT)
    assert ended.returncode == 1 and "a server already runs on" in ended.stderr and "Traceback" not in ended.stderr
    assert server.info.endpoint_url in ended.stderr


def test_two_starts_at_once_give_one_server(tmp_path: Path) -> None:
    found: list[control.ServerInfo] = []
    threads = [
        threading.Thread(target=lambda: found.append(control.start(tmp_path, ACCOUNT, REGION))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(found) == 2 and found[0] == found[1]
        assert _servers_of(tmp_path) == [found[0].pid]
    finally:
        control.stop(tmp_path)


def _servers_of(folder: Path) -> list[int]:
    """Every process that was started to serve a state folder: those that wait for their turn, too."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and f"--state-dir\0{folder}\0" in _command_line(entry)
    ]


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:  # it has ended meanwhile
        return ""


def test_a_stop_leaves_no_process_and_no_trace_of_a_running_server(own_server: Server) -> None:
    own_server.function("worker", "def handler(event, context): return 1")
    own_server.invoke("worker")
    workers = [child["pid"] for child in own_server.admin("GET", "children")["children"]]
    guardian = [pid for pid in _children_of(own_server.info.pid) if pid not in workers]
    assert workers and guardian
    assert control.stop(own_server.state_dir) is True
    for pid in (own_server.info.pid, *workers, *guardian):
        assert processes.start_time(pid) is None
    assert control.status(own_server.state_dir) is None and control.stop(own_server.state_dir) is False
    assert not (own_server.state_dir / "server.json").exists()


def _children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_a_server_that_does_not_listen_to_stop_is_killed(own_server: Server) -> None:
    own_server.function("worker", "def handler(event, context): return 1")
    own_server.invoke("worker")
    workers = [child["pid"] for child in own_server.admin("GET", "children")["children"]]
    os.kill(own_server.info.pid, signal.SIGSTOP)
    assert control.stop(own_server.state_dir, timeout=0.5) is True
    assert processes.start_time(own_server.info.pid) is None
    eventually(lambda: all(processes.start_time(pid) is None for pid in workers))


def test_a_file_of_a_server_that_is_gone_is_not_believed(tmp_path: Path) -> None:
    other = subprocess.Popen(["/bin/sleep", "600"])
    try:
        stale = {
            "endpoint_url": "http://127.0.0.1:1", "account_id": ACCOUNT, "region": REGION, "port": 1,
            "pid": other.pid, "started": "an-earlier-boot:1",
        }  # fmt: skip
        for text in (json.dumps(stale), json.dumps(stale | {"pid": 2**22 + 1}), "{", "[]", '{"pid": 1}'):
            (tmp_path / "server.json").write_text(text)
            assert control.status(tmp_path) is None and control.stop(tmp_path) is False
        (tmp_path / "server.json").write_text(json.dumps(stale))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        info = control.start(tmp_path, ACCOUNT, REGION, port)
        assert info.port == port and info.pid != other.pid and other.poll() is None
    finally:
        control.stop(tmp_path)
        other.kill()
        other.wait()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(control.CannotStart) as caught:
            control.start(tmp_path, ACCOUNT, REGION, port)
    assert f"port {port} on 127.0.0.1 cannot be used: Address already in use" in str(caught.value)
    assert "Traceback" not in str(caught.value) and control.status(tmp_path) is None


def test_the_state_of_another_account_is_refused(tmp_path: Path) -> None:
    (tmp_path / "account").write_text(ACCOUNT)  # as every start leaves it
    with pytest.raises(control.CannotStart, match=f"belongs to account {ACCOUNT}, not 111122223333"):
        control.start(tmp_path, "111122223333", REGION)
    ended = foreground(tmp_path, "--account-id", "12345")
    assert ended.returncode == 1 and "an account id has 12 digits, not '12345'" in ended.stderr


def test_the_environment_of_who_starts_it_does_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        patch.setenv("AWS_PROFILE", "nobody")
        patch.setenv("MOTO_ACCOUNT_ID", "999999999999")
        server = Server(Path("state"))  # a relative folder
    try:
        assert server.client("sts").get_caller_identity()["Account"] == ACCOUNT
        assert server.admin("GET", "health")["state_dir"] == str(tmp_path / "state")
    finally:
        server.stop()


def test_the_admin_api(server: Server, tmp_path: Path) -> None:
    health = server.admin("GET", "health")
    assert (health["status"], health["account_id"], health["region"]) == ("ok", ACCOUNT, REGION)
    image = {
        "pattern": "*/training:*", "entrypoint": ["python", "-m", "x"], "environment": {"A": "b"},
        "working_dir": str(tmp_path),
    }  # fmt: skip
    assert server.admin("PUT", "images", image) == {}
    assert server.admin("GET", "images")["images"] == [image]
    assert server.admin("PUT", "images", image | {"entrypoint": ["other"]}) == {}
    assert [one["entrypoint"] for one in server.admin("GET", "images")["images"]] == [["other"]]
    for wrong, text in (
        ({**image, "entrypoint": []}, "entrypoint"),
        ({**image, "entrypoint": "python"}, "entrypoint"),
        ({**image, "pattern": ""}, "pattern"),
        ({**image, "environment": {"A": 1}}, "environment"),
        ({**image, "working_dir": "relative"}, "working_dir"),
        ({**image, "working_dir": "/no/such/folder"}, "working_dir"),
        ({**image, "unknown": 1}, "unknown"),
        ({}, "pattern"),
        ([], "JSON object"),
    ):
        answer = server.admin("PUT", "images", wrong)
        assert answer["status"] == 400 and text in answer["message"]
    assert server.admin("DELETE", "images", {"pattern": "*/training:*"}) == {}
    assert server.admin("DELETE", "images", {"pattern": "*/training:*"})["status"] == 404
    before = server.admin("GET", "clock")["time"]
    assert server.admin("POST", "clock", {"advance": 60})["time"] >= before + 60
    for wrong in ({"advance": -1}, {"advance": "soon"}, {}, {"advance": float("inf")}):
        assert server.admin("POST", "clock", wrong)["status"] == 400
    assert server.admin("GET", "nothing")["status"] == 404
