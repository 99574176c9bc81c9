"""Does a release stay safe whatever happens, in whatever order?

A hypothesis state machine (``tests/deployment/machine.py``) plays people, events, faults, a clean-up, hands and time
against the deployer, on a control plane in memory with a stepped clock; after each step it asks whether the endpoint
serves only what is or was Approved, whether what worked still works, and whether the ledger tells the truth.

``--quick`` makes 300 steps, without it 5,000; ``--steps`` and ``--seed`` choose others. A violation is shown as the
shortest sequence of steps that hypothesis finds, and the exit code is 1.

The last line is one JSON object: ``steps`` (without those that begin or end an example), ``examples``, ``violations``,
``by_rule`` (how often each step was made, and each fault struck), ``seed``, ``seconds``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import ClassVar

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis.stateful import run_state_machine_as_test

from deployment import log
from tests.deployment import account as accounts
from tests.deployment.account import Account
from tests.deployment.machine import Releases
from tests.deployment.mishaps import EXAMPLES, NO_STEPS

_STEPS, _QUICK = 5000, 300
#: Steps of an example, at most. Examples are short enough to be understood, long enough for several releases.
_EXAMPLE = 40


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.release_machine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK} steps")
    parser.add_argument("--steps", type=int, help=f"how many steps at least (default {_STEPS})")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other sequences (default 1)")
    options = parser.parse_args()
    log.logger.setLevel(logging.CRITICAL)  # thousands of refusals are what is played
    wanted = options.steps or (_QUICK if options.quick else _STEPS)
    with (
        tempfile.TemporaryDirectory(prefix="release-machine-") as folder,
        pytest.MonkeyPatch.context() as patch,
        accounts.opened() as account,
    ):
        accounts.follow(account, patch)
        result = _run(account, Path(folder), wanted, options.seed)
    sys.stdout.write(json.dumps(result) + "\n")
    return 1 if result["violations"] else 0


def _run(account: Account, folder: Path, wanted: int, seed: int) -> dict[str, object]:
    class Machine(Releases):
        counted: ClassVar[Counter[str]] = Counter()

    Machine.account, Machine.folder = account, folder
    started, violations, round_ = time.monotonic(), 0, 0
    while _made(Machine) < wanted and not violations:
        round_ += 1
        settings = hypothesis.settings(
            max_examples=25, stateful_step_count=_EXAMPLE, deadline=None, database=None, print_blob=False,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        seeded = hypothesis.seed(seed * 1_000_000 + round_)(type("Machine", (Machine,), {}))
        try:
            run_state_machine_as_test(seeded, settings=settings)
        except Exception:  # whatever an invariant, the deployer or the control plane raised is the finding
            violations += 1
            traceback.print_exc(file=sys.stdout)
        sys.stderr.write(f"{_made(Machine)} of {wanted} steps, {time.monotonic() - started:.0f} s\n")
    return {
        "steps": _made(Machine),
        "examples": Machine.counted[EXAMPLES],
        "violations": violations,
        "by_rule": dict(sorted(Machine.counted.items())),
        "seed": seed,
        "seconds": round(time.monotonic() - started),
    }


def _made(machine: type[Releases]) -> int:
    return sum(count for name, count in machine.counted.items() if name not in NO_STEPS)


if __name__ == "__main__":
    sys.exit(main())
