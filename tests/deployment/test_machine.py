"""The state machine of releases, 300 steps of it; ``python -m benchmarks.release_machine`` makes thousands."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.deployment import account as accounts
from tests.deployment.account import Account
from tests.deployment.machine import Releases
from tests.deployment.mishaps import NO_STEPS


@pytest.fixture
def machine(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Releases]:
    accounts.follow(account, monkeypatch)

    class Here(Releases):
        pass

    Here.account, Here.folder, Here.counted = account, tmp_path, Counter()
    return Here


def test_whatever_happens_in_whatever_order(machine: type[Releases]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=22, stateful_step_count=20, derandomize=True, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
    assert sum(count for name, count in machine.counted.items() if name not in NO_STEPS) >= 300
