"""The serving container's server beside others, with the same handlers.

Workloads:

- ``noop``: a handler that does nothing, 100 bytes in, 8 out: what is left is the server.
- ``net``: a JPEG through a network of about 5 ms in ONNX Runtime, the same user module everywhere; also at a fixed rate
  (open loop), 60 % of what the stock toolkit can do.
- ``shipped``: the shipped network: ours serves the bundle, the stock toolkit a module with PyTorch (eager).
- ``bare loop``: decode, resize, model and encode of the shipped bundle in a plain loop, beside the server's CPU.

Rounds are interleaved: in each, every server is started, measured and stopped. Medians count. Client and server share
the processors, so rates depend on the machine; CPU a request and memory depend less. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.serving import bundles, loop, measure, rivals, show
from benchmarks.serving.measure import Samples
from benchmarks.serving.rivals import BARE, OURS, RIVALS, STOCK, Rival, Running
from contracts import bundle, invocation

WORKLOADS = ("noop", "net", "shipped")
TWO = f"{OURS}, 2 workers"
EAGER, FLOAT32, INT8, LOOP = "toolkit, PyTorch", f"{OURS}, float32", f"{OURS}, int8", "bare loop"

Table = dict[str, Samples]


class Benchmark:
    """The measured tables, workload -> server -> samples."""

    def __init__(self, work: Path, python: Path, seconds: float) -> None:
        self._work, self._python, self._seconds = work, python, seconds
        self.tables: dict[str, Table] = {}
        self._stock_capacity = 0.0

    def _samples(self, workload: str, name: str) -> Samples:
        return self.tables.setdefault(workload, {}).setdefault(name, Samples())

    def _folder(self, name: str, model: Path | None) -> Path:
        """A base folder for one server, with a copy of the model: user modules are written beside it."""
        folder = self._work / "servers" / name.replace(", ", "-").replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        if model is None:
            (folder / "model").mkdir(parents=True)
        else:
            shutil.copytree(model, folder / "model")
        return folder

    def noop(self) -> None:
        body = b"x" * 100
        for rival in RIVALS:
            samples = self._samples("noop", rival.name)
            with Running(rival, self._python, self._folder(rival.name, None), "noop.py", body) as server:
                measure.rest(server, samples)
                measure.closed_loop(server, [body], self._seconds, samples)

    def net(self) -> None:
        model, bodies = bundles.net(self._work / "net"), bundles.jpegs(8)
        # The stock server first: the rate of the open loop follows from what it can do.
        for rival in sorted(RIVALS, key=lambda one: one.name != STOCK):
            samples = self._samples("net", rival.name)
            with Running(rival, self._python, self._folder(rival.name, model), "net.py", bodies[0]) as server:
                measure.closed_loop(server, bodies, self._seconds, samples)
                if rival.name == STOCK and not self._stock_capacity:
                    self._stock_capacity = samples.median("rps_8")
                if rival.name in (OURS, TWO, STOCK):
                    rate = 0.6 * self._stock_capacity
                    measure.open_loop(server, bodies, rate, 2 * self._seconds, samples)

    def shipped(self) -> None:
        model, bodies = bundles.shipped(self._work / "shipped"), bundles.jpegs(8)
        stock = next(one for one in RIVALS if one.name == STOCK)
        ours = Rival(OURS, "", next(one for one in RIVALS if one.name == OURS).command)
        cases: list[tuple[str, Rival, str | None, dict[str, str]]] = [
            (EAGER, stock, "eager.py", {}),
            (FLOAT32, ours, None, {}),
        ]
        if (model / bundle.INT8_MODEL).exists():
            cases.append((INT8, ours, None, {invocation.PRECISION_VARIABLE: bundle.INT8}))
        for name, rival, handler, environment in cases:
            samples = self._samples("shipped", name)
            folder = self._folder(name, model)
            if handler:
                shutil.rmtree(folder / "model" / "code", ignore_errors=True)
            with Running(rival, self._python, folder, handler, bodies[0], environment) as server:
                measure.rest(server, samples)
                measure.closed_loop(server, bodies, self._seconds, samples)
        self._samples("shipped", LOOP).add("cpu_ms_1", loop.measure(model, bodies, self._seconds))

    def ratios(self) -> dict[str, float]:
        """What is claimed, each against what its name says: at 8 connections, and where the name ends in 1, at one."""
        found: dict[str, float] = {}

        def of(table: str, name: str, key: str) -> float:
            return self.tables[table][name].median(key)

        if "noop" in self.tables:
            for end, n in (("", 8), ("_1", 1)):
                found[f"noop_rps{end}"] = of("noop", OURS, f"rps_{n}") / of("noop", STOCK, f"rps_{n}")
                found[f"noop_cpu{end}"] = of("noop", OURS, f"cpu_ms_{n}") / of("noop", STOCK, f"cpu_ms_{n}")
                found[f"noop_of_bare_asgi{end}"] = of("noop", OURS, f"rps_{n}") / of("noop", BARE, f"rps_{n}")
            found["memory"] = of("noop", OURS, "memory_mb") / of("noop", STOCK, "memory_mb")
            found["cold_start"] = of("noop", OURS, "cold_start_s") / of("noop", STOCK, "cold_start_s")
        if "net" in self.tables:
            found["model_cpu"] = of("net", OURS, "cpu_ms_8") / of("net", STOCK, "cpu_ms_8")
            found["model_p99"] = of("net", OURS, "open_p99_ms") / of("net", STOCK, "open_p99_ms")
        if "shipped" in self.tables:
            found["torch_rps"] = of("shipped", FLOAT32, "rps_8") / of("shipped", EAGER, "rps_8")
            if INT8 in self.tables["shipped"]:
                found["int8_rps"] = of("shipped", INT8, "rps_8") / of("shipped", EAGER, "rps_8")
            found["of_bare_loop"] = of("shipped", LOOP, "cpu_ms_1") / of("shipped", FLOAT32, "cpu_ms_8")
        return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1.5 s instead of 5 of 3 s")
    parser.add_argument("--only", action="append", choices=WORKLOADS, help="may be repeated; all unless given")
    parser.add_argument("--rounds", type=int, help="instead of 5 or 2")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the medians there")
    parser.add_argument(
        "--rivals", type=Path, default=Path("build/rivals"), help="where the other servers are installed"
    )
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 5)
    python = rivals.install(options.rivals)
    with tempfile.TemporaryDirectory(prefix="serving-") as work:
        found = Benchmark(Path(work), python, 1.5 if options.quick else 3.0)
        for number in range(rounds):
            for workload in options.only or WORKLOADS:
                print(f"round {number + 1} of {rounds}: {workload}", file=sys.stderr, flush=True)
                getattr(found, workload)()
    for workload, table in found.tables.items():
        print(show.table(workload, table))
    if options.plot:
        show.plot(found.tables, options.plot)
    result: dict[str, Any] = {
        "benchmark": "serving",
        "rounds": rounds,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
        "medians": {
            workload: {name: samples.summary() for name, samples in table.items()}
            for workload, table in found.tables.items()
        },
        "ratios": found.ratios(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
