"""What the deployer's Lambda costs beside boto3: bytes, and CPU of a cold start and its first event.

The zip is built as `infra apply` and the local base build it, and unpacked into a new folder. In fresh processes, in
turn, against one account on loopback whose endpoint serves what is approved (the sweep, which is what the function does
nearly always):

- baseline: import boto3, make a session and, once each, the clients that the sweep uses;
- calls: the same, and then the sweep's very API calls with nothing around them;
- handler: import the handler from the folder and handle one sweep to its answer; then a second one, warm.

CPU is user and system time of the process (`time.process_time`) from the script's first line; medians, those of
differences over the rounds' own differences. Python writes no
bytecode of ours, as on Lambda, where the function's folder is read-only: a cold start compiles each module that it
imports. boto3's bytecode is there in all three.

The last line is one JSON object: `beyond_ms` is handler less baseline, API calls included; `beyond_calls_ms` is handler
less calls. `deterministic`: a copy of the sources in another folder, with other times and another umask, gives the same
bytes in another process.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.deployer import account, probe
from contracts import source
from deployment import outcome, package


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.deployer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="9 rounds instead of 25")
    rounds = 9 if parser.parse_args().quick else 25
    data = package.build_zip()
    with tempfile.TemporaryDirectory(prefix="deployer-") as name:
        folder = Path(name)
        same = build_elsewhere(folder / "elsewhere") == data
        unpacked = folder / "task"
        zipfile.ZipFile(io.BytesIO(data)).extractall(unpacked)
        with account.opened(folder) as variables:
            found = measure(unpacked, variables, rounds)
    middle = {name: statistics.median(values) for name, values in found.items()}
    beyond = {name: statistics.median(beside(found["handler"], found[name])) for name in ("bare", "calls")}
    result = {
        "zip_bytes": len(data),
        "deterministic": same,
        "baseline_cpu_ms": round(middle["bare"], 1),
        "handler_cpu_ms": round(middle["handler"], 1),
        "beyond_ms": round(beyond["bare"], 1),
        "beyond_calls_ms": round(beyond["calls"], 1),
        "warm_ms": round(middle["warm"], 1),
        "rounds": rounds,
    }
    for name, values in found.items():
        print(f"{name:<8} {min(values):7.1f} to {max(values):7.1f} ms", file=sys.stderr)
    print(json.dumps(result))
    return 0


def beside(values: list[float], others: list[float]) -> list[float]:
    """The difference within each round: what slows the machine for a while slows both."""
    return [value - other for value, other in zip(values, others, strict=True)]


def build_elsewhere(folder: Path) -> bytes:
    """The zip of a copy of the sources: another folder, other times, another umask, another process."""
    for room in ("contracts", "deployment"):
        shutil.copytree(source.root() / room, folder / room, copy_function=shutil.copyfile)
    for path in folder.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    target = folder / "deployer.zip"
    subprocess.run(
        [sys.executable, "-m", "deployment.package", str(target)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder), "PYTHONHASHSEED": "7"}, umask=0o077, check=True,
    )  # fmt: skip
    return target.read_bytes()


def measure(folder: Path, variables: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds: ``bare``, ``calls``, ``handler`` and ``warm``, one of each a round."""
    recorded = ask("record", str(folder), variables, folder)
    if (recorded["answer"]["action"], recorded["answer"]["actions"]) != (outcome.SERVING, []):
        raise SystemExit(f"the endpoint is not at rest: {recorded['answer']}")
    calls = json.dumps(recorded["calls"])
    print(f"{len(recorded['calls'])} calls a sweep", file=sys.stderr)
    found: dict[str, list[float]] = {"bare": [], "calls": [], "handler": [], "warm": []}
    for number in range(rounds):
        found["bare"].append(ask("bare", calls, variables, folder)["cpu_ms"])
        found["calls"].append(ask("calls", calls, variables, folder)["cpu_ms"])
        handled = ask("handler", str(folder), variables, folder)
        if not handled["from"].startswith(str(folder)) or handled["answer"]["action"] != outcome.SERVING:
            raise SystemExit(f"that was not the zip's handler at rest: {handled}")
        found["handler"].append(handled["cpu_ms"])
        found["warm"].append(handled["warm_ms"])
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return found


def ask(kind: str, argument: str, variables: dict[str, str], folder: Path) -> dict[str, Any]:
    """What a fresh process of :mod:`benchmarks.deployer.probe` says."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-B", str(Path(probe.__file__)), kind, argument],
        cwd=folder, env={**kept, **variables}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"the probe {kind} failed: {done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    sys.exit(main())
