"""What `make run` costs: seconds of each part, CPU of all processes, peak memory; the first run and the runs after it.

Runs `cv-factory local up` and `cv-factory run --demo` in a new folder with the shipped settings, as `make run` does
after the installation, then again. CPU seconds are user and system time of every process that the commands start, the
local SageMaker and its jobs included; memory is the peak of their proportional set sizes. Wall time and load stand
beside. `--quick` does one run instead of three.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import processes
from contracts import source
from contracts.settings import DEFAULT_FILE

BIN = Path(sys.executable).parent


def measure(folder: Path, *arguments: str) -> tuple[dict[str, Any], float, float]:
    """Run ``cv-factory`` in ``folder``: the JSON it prints, CPU seconds and wall seconds.

    Raises:
        SystemExit: the command failed; its output is shown.
    """
    cpu, wall = processes.cpu_seconds(), time.monotonic()
    done = subprocess.run([BIN / "cv-factory", *arguments, "--json"], cwd=folder, text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"cv-factory {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout), processes.cpu_seconds() - cpu, time.monotonic() - wall


def one_run(folder: Path) -> dict[str, Any]:
    """Both commands once."""
    load = os.getloadavg()[0]
    with processes.PeakMemory() as memory:
        _, up_cpu, up_wall = measure(folder, "local", "up")
        result, run_cpu, run_wall = measure(folder, "run", "--demo")
    return {
        "cpu_seconds": round(up_cpu + run_cpu, 1),
        "wall_seconds": round(up_wall + run_wall, 1),
        "load_before": round(load, 1),
        "load_after": round(os.getloadavg()[0], 1),
        "peak_pss_mb": round(memory.bytes / 1e6),
        "seconds": {"local up": round(up_wall, 1), **result["seconds"]},
        "steps": {
            step["name"]: {"seconds": step["seconds"], "cache_hit": step["cache_hit"]} for step in result["steps"]
        },
        "outcome": result["outcome"],
        "model_package_arn": result["model_package_arn"],
        "metrics": result["metrics"],
        "protocol": result["protocol"],
    }


def show(number: int, run: dict[str, Any]) -> None:
    """A run as a table."""
    print(
        f"\nrun {number}: {run['cpu_seconds']} CPU s, {run['wall_seconds']} s, peak {run['peak_pss_mb']} MB,"
        f" load {run['load_before']} to {run['load_after']}; {run['outcome']}"
    )
    for name, seconds in run["seconds"].items():
        print(f"  {name:<14} {seconds:8.1f} s")
    for name, step in run["steps"].items():
        print(f"    {name:<12} {step['seconds'] or 0:8.1f} s{'  from the cache' if step['cache_hit'] else ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one run instead of three")
    options = parser.parse_args()
    processes.adopt_orphans()
    runs = []
    with tempfile.TemporaryDirectory(prefix="cv-factory-") as name:
        folder = Path(name)
        shutil.copy(source.root() / DEFAULT_FILE, folder)
        try:
            for number in range(1, 2 if options.quick else 4):
                runs.append(one_run(folder))
                show(number, runs[-1])
        finally:
            subprocess.run([BIN / "cv-factory", "local", "down"], cwd=folder, capture_output=True, check=False)
        processes.reap()
        left = processes.descendants()
    print()
    print(json.dumps({"benchmark": "make_run", "runs": runs, "processes_left": len(left)}))


if __name__ == "__main__":
    main()
