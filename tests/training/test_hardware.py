"""The image and the code agree on the environment; cores come from the affinity and the control group."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.training import shapes
from training import hardware


def test_the_image_sets_the_environment_that_training_wants() -> None:
    text = (shapes.REPOSITORY / "training/Dockerfile").read_text()
    found = dict(re.findall(r"^ENV (\w+)=(\S+)$", text, re.MULTILINE))
    assert {name: found.get(name) for name in hardware.ENVIRONMENT} == hardware.ENVIRONMENT


def test_what_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in hardware.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert hardware.untuned() == []
    monkeypatch.delenv("MALLOC_TOP_PAD_")
    assert hardware.untuned() == ["MALLOC_TOP_PAD_"]


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("max 100000", 64), ("250000 100000", 2), ("50000 100000", 1), ("9900000 100000", 64), ("?", 64)],
)
def test_a_quota_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(limit + "\n")
    monkeypatch.setattr(hardware, "_CGROUP_V2", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert hardware.cpus() == cores


def test_a_quota_of_the_older_kind_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quota").write_text("300000")
    (tmp_path / "period").write_text("100000")
    monkeypatch.setattr(hardware, "_CGROUP_V2", tmp_path / "missing")
    monkeypatch.setattr(hardware, "_CGROUP_V1", (tmp_path / "quota", tmp_path / "period"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert hardware.cpus() == 3
