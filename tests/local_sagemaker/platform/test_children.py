"""Child processes: their output, their end, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker import isolation, processes
from local_sagemaker.children import LONGEST_LINE, CannotIsolate, CannotStart, Child, Children
from local_sagemaker.store import Store
from tests.waiting import eventually

PYTHON = [sys.executable, "-I", "-S", "-u", "-c"]

#: Starts a process that lives on, and tells its id.
SPAWN = """
import subprocess
print(subprocess.Popen(["/bin/sleep", "600"], start_new_session={own_session}).pid)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "store.sqlite")
    yield found
    found.close()


@pytest.fixture
def children(store: Store) -> Iterator[Children]:
    found = Children(store)
    yield found
    found.stop(grace=0)


def run(children: Children, code: str, **settings: object) -> tuple[int | None, list[str]]:
    """Exit code and lines of a Python program."""
    lines: list[str] = []
    child = start(children, code, lines, **settings)
    return child.wait(30), lines


def start(children: Children, code: str, lines: list[str], **settings: object) -> Child:
    return children.start("test", [*PYTHON, code], {}, "/", lines.append, **settings)  # type: ignore[arg-type]


def running(pid: int) -> bool:
    return processes.start_time(pid) is not None


def test_the_output_comes_line_by_line_and_whole_before_the_end_is_told(children: Children) -> None:
    code = "import sys\nfor n in range(2000): print(n)\nprint('last', end='', file=sys.stderr)"
    exit_code, lines = run(children, code)
    assert exit_code == 0 and lines == [*map(str, range(2000)), "last"]


def test_long_lines_bad_utf8_and_carriage_returns(children: Children) -> None:
    code = (
        "import sys\nwrite = sys.stdout.buffer.write\n"
        f"write(b'x' * {2 * LONGEST_LINE + 5} + b'\\n')\nwrite(b'a\\xff\\xfeb\\r\\n')\nwrite('\u00e4\\n'.encode())\n"
        f"write(b'y' * {LONGEST_LINE + 1})"
    )
    exit_code, lines = run(children, code)
    assert exit_code == 0
    assert [len(line) for line in lines[:3]] == [LONGEST_LINE, LONGEST_LINE, 5]
    assert lines[3:5] == ["a\ufffd\ufffdb", "\u00e4"]
    assert [len(line) for line in lines[5:]] == [LONGEST_LINE, 1]


def test_a_sink_that_fails_does_not_stop_the_child(children: Children) -> None:
    def full(line: str) -> None:
        raise OSError(28, "No space left on device")

    code = "for n in range(100000): print('a line that would fill a pipe')"
    assert children.start("test", [*PYTHON, code], {}, "/", full).wait(30) == 0


@pytest.mark.parametrize(
    ("code", "expected"),
    [("pass", 0), ("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9), ("1/0", 1)],
)
def test_the_exit_code_is_the_programs_and_negative_for_a_signal(children: Children, code: str, expected: int) -> None:
    assert run(children, code)[0] == expected


def test_it_gets_the_environment_and_folder_it_was_given_and_little_else(
    children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_USER", "1")
    lines: list[str] = []
    code = "import os\nprint(os.getcwd())\nfor name in sorted(os.environ): print(name)"
    child = children.start("test", [*PYTHON, code], {"GIVEN": "x"}, tmp_path, lines.append)
    assert child.wait(30) == 0
    assert lines[0] == str(tmp_path) and {"GIVEN", "PATH"} <= set(lines)
    assert "SECRET_OF_THE_USER" not in lines


def test_what_cannot_start_says_why(children: Children, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="no such command: /no/such/program"):
        children.start("test", ["/no/such/program"], {}, "/", print)
    with pytest.raises(CannotStart, match="no such working folder: /no/such/folder"):
        children.start("test", ["/bin/true"], {}, "/no/such/folder", print)
    script = tmp_path / "not-executable"
    script.write_text("x")
    with pytest.raises(CannotStart, match="Permission denied"):
        children.start("test", [str(script)], {}, "/", print)
    children.stop()
    with pytest.raises(CannotStart, match="stopping"):
        children.start("test", ["/bin/true"], {}, "/", print)


@pytest.mark.parametrize("leaves_the_group", [False, True])
def test_what_a_job_leaves_running_ends_with_it(children: Children, leaves_the_group: bool) -> None:
    exit_code, lines = run(children, SPAWN.format(own_session=leaves_the_group))
    assert exit_code == 0
    eventually(lambda: not running(int(lines[0])))


def test_terminate_asks_first_and_kills_what_does_not_listen(children: Children) -> None:
    lines: list[str] = []
    polite = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(3))\nprint('on')\ntime.sleep(600)"
    child = start(children, polite, lines)
    eventually(lambda: lines)
    assert child.terminate(grace=30) == 3
    lines.clear()
    deaf = start(children, polite.replace("lambda *_: sys.exit(3)", "signal.SIG_IGN"), lines)
    eventually(lambda: lines)
    assert deaf.terminate(grace=0.2) == -signal.SIGKILL
    assert deaf.terminate(grace=1) == -signal.SIGKILL  # once more does nothing


def test_wait_ends_at_its_time_and_kill_at_once(children: Children) -> None:
    child = start(children, "import time; time.sleep(600)", [])
    assert child.wait(0.05) is None and child.returncode is None
    child.kill()
    assert child.wait(30) == -signal.SIGKILL and children.running() == []


def test_a_child_over_its_memory_is_killed_and_one_below_is_not(children: Children) -> None:
    code = "import time\nheld = b'x' * {size}\ntime.sleep({rest})"
    lines: list[str] = []
    greedy = start(children, code.format(size=300_000_000, rest=600), lines, memory_mb=100)
    modest = start(children, code.format(size=10_000_000, rest=1), lines, memory_mb=100)
    assert greedy.wait(30) == -signal.SIGKILL and greedy.out_of_memory
    assert modest.wait(30) == 0 and not modest.out_of_memory


def test_stop_leaves_no_process(children: Children, store: Store) -> None:
    lines: list[str] = []
    nest = SPAWN.format(own_session=False) + "import time; time.sleep(600)"
    pids = [start(children, nest, lines).pid for _ in range(3)]
    eventually(lambda: len(lines) == 3)
    children.stop(grace=5)
    assert not any(map(running, [*pids, *map(int, lines)]))
    assert store.list("child") == []


_DYING_SERVER = """
import pathlib, sys, time
from local_sagemaker.children import Children
from local_sagemaker.store import Store
children = Children(Store(pathlib.Path(sys.argv[1])))
child = children.start("orphan", sys.argv[2:], {}, "/", lambda line: print(child.pid, line, flush=True))
time.sleep(600)
"""


def _dying_server(path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A process with children of its own, and the ids of a child and of one that this started outside its group."""
    orphan = [*PYTHON, SPAWN.format(own_session=True) + "import time; time.sleep(600)"]
    command = [sys.executable, "-c", _DYING_SERVER, str(path), *orphan]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, [int(pid) for pid in server.stdout.readline().split()]


def test_the_children_of_a_killed_server_end_with_it(tmp_path: Path) -> None:
    server, pids = _dying_server(tmp_path / "store.sqlite")
    with server:
        server.kill()
    eventually(lambda: not any(map(running, pids)))


def test_the_next_server_ends_what_a_killed_one_left(tmp_path: Path) -> None:
    server, pids = _dying_server(tmp_path / "store.sqlite")
    with server:
        guardians = [
            pid for pid in _descendants(server.pid) if b"guardian.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        for pid in [*guardians, server.pid]:  # this time the guardian dies too
            os.kill(pid, signal.SIGKILL)
    assert all(map(running, pids))
    store = Store(tmp_path / "store.sqlite")
    assert Children(store).reap() == ["orphan"]
    assert not any(map(running, pids)) and Children(store).reap() == []
    store.close()


def _descendants(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    found = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return found + [below for child in found for below in _descendants(child)]


def test_a_process_id_that_another_process_has_by_now_is_left_alone(store: Store) -> None:
    other = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    try:
        store.insert("child", "", "0123456789abcdef", {"name": "old", "pgid": other.pid, "started": "another-boot:1"})
        assert Children(store).reap() == ["old"]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_many_at_once(children: Children) -> None:
    results: list[tuple[int | None, list[str]]] = []

    def one(number: int) -> None:
        results.append(run(children, f"print({number})"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted((0, [str(number)]) for number in range(12))


def test_isolation_that_the_kernel_refuses_is_said(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "__file__", "/bin/false")
    with pytest.raises(CannotIsolate, match="unprivileged user namespaces"):
        run(children, "pass", isolated=True)


@pytest.mark.docker
def test_an_isolated_child_has_its_loopback_no_network_and_no_credentials(children: Children) -> None:
    code = """
import os, socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), timeout=5).close()
print("loopback")
for address in (("127.0.0.1", int(os.environ["PORT"])), ("10.255.255.1", 80)):
    try:
        socket.create_connection(address, timeout=5)
        print("reached", address)
    except OSError as error:
        print(type(error).__name__)
print(sorted(name for name in os.environ if name.startswith("AWS_")))
"""
    import socket

    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as outside:
        environment = {
            "PORT": str(outside.getsockname()[1]), "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_SESSION_TOKEN": "c", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "eu-west-1",
        }  # fmt: skip
        child = children.start("isolated", [*PYTHON, code], environment, "/", lines.append, isolated=True)
        assert child.wait(30) == 0
    assert lines == ["loopback", "ConnectionRefusedError", "OSError", "['AWS_REGION']"]
