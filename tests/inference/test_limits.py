"""The server's variables: each is read, and means what it means in the toolkit."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts import invocation
from contracts.errors import UsageError
from contracts.invocation import ERRORS
from inference import limits, machine
from inference.handler import Handler, Options
from inference.limits import ServerOptions


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        (invocation.QUEUE_VARIABLE, "0", "queue", 0),
        (invocation.DEADLINE_VARIABLE, "7", "deadline_seconds", 7),
        (invocation.READ_VARIABLE, "3", "read_seconds", 3),
        (invocation.MAX_HEADERS_VARIABLE, "20", "max_headers", 20),
        (invocation.MAX_HEADER_BYTES_VARIABLE, "4096", "max_header_bytes", 4096),
        (invocation.LOG_SHARE_VARIABLE, "0.25", "log_share", 0.25),
        (invocation.THREADS_VARIABLE, "3", "threads", 3),
        (invocation.METRICS_PORT_VARIABLE, "0", "metrics_port", 0),
        (limits.WORKERS, "3", "workers", 3),
        (limits.TIMEOUT_MINUTES, "2", "deadline_seconds", 120),
        (limits.TIMEOUT_SECONDS, "90", "deadline_seconds", 90),
        (limits.STARTUP_TIMEOUT, "33", "startup_seconds", 33),
        (limits.BATCH, "true", "deadline_seconds", 3600),
    ],
)
def test_a_variable_is_read(variable: str, text: str, name: str, value: float) -> None:
    assert getattr(ServerOptions.from_environment({variable: text}), name) == value
    assert getattr(ServerOptions.from_environment({variable: ""}), name) == getattr(ServerOptions(), name)


def test_seconds_win_over_minutes_and_the_toolkits_payload_over_ours() -> None:
    both = {limits.TIMEOUT_SECONDS: "5", limits.TIMEOUT_MINUTES: "2", invocation.DEADLINE_VARIABLE: "9"}
    assert ServerOptions.from_environment(both).deadline_seconds == 5
    own = {invocation.MAX_BODY_VARIABLE: "10"}
    assert limits.max_body_bytes({**own, limits.MAX_PAYLOAD: "2"}) == 2 * 2**20
    assert limits.max_body_bytes({**own, limits.MAX_PAYLOAD: "0"}) == 10  # batch transform's "no limit"
    assert limits.max_body_bytes({}) == 6_291_456


@pytest.mark.parametrize("text", ["-1", "1.5", "many", "²", "9" * 30])
@pytest.mark.parametrize("variable", [invocation.QUEUE_VARIABLE, invocation.DEADLINE_VARIABLE, limits.WORKERS])
def test_what_is_no_number_is_refused_by_name(variable: str, text: str) -> None:
    with pytest.raises(UsageError, match=variable):
        ServerOptions.from_environment({variable: text})


@pytest.mark.parametrize("text", ["1.1", "-0.1", "half", "nan"])
def test_a_share_is_0_to_1(text: str) -> None:
    with pytest.raises(UsageError, match=invocation.LOG_SHARE_VARIABLE):
        ServerOptions.from_environment({invocation.LOG_SHARE_VARIABLE: text})


def test_frames_and_depth_reach_the_handler() -> None:
    options = Options.from_environment({invocation.MAX_FRAMES_VARIABLE: "4", invocation.MAX_JSON_DEPTH_VARIABLE: "3"})
    assert (options.limits.max_frames, options.max_json_depth) == (4, 3)
    with pytest.raises(Exception, match="nested too deep; 3 levels") as caught:
        Handler(options).input_fn(b'{"instances": [{"image": []}]}', "application/json")
    assert ERRORS[caught.value.code] == 400  # type: ignore[attr-defined]
    with pytest.raises(Exception, match='"image" must be a string'):
        Handler(options).input_fn(b'{"instances": [{"image": 1}]}', "application/json")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_processors_of_the_cgroup(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert machine.cpus(tmp_path) == (expected or machine.cpus(tmp_path / "nowhere"))
