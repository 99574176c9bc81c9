"""Three times more requests than the server can answer: how long the accepted ones wait, and how soon the others know.

The shipped network behind this project's server with its default threads and a short queue. First what the server can
do; then requests at three times that rate (open loop, exponential gaps), and pings beside them. What is expected:

- 99 % of the accepted requests within (queue / threads + 2) times the median time that a thread works on one, by the
  server's own request lines;
- 99 % of the refusals (503) within 50 ms, 99 % of the pings within 200 ms;
- no status but 200 and 503, and both occur.

The client shares the processors with the server, and its own waiting counts. `--quick` takes 15 s instead of 60. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.serving import bundles, measure
from benchmarks.serving.load import Result
from benchmarks.serving.rivals import RIVALS, Running
from contracts import invocation
from inference import machine

QUEUE = 16
TIMES = 3
REFUSAL_MS, PING_MS = 50.0, 200.0


def overload(server: Running, bodies: list[bytes], rate: float, seconds: float) -> tuple[Result, Result]:
    """The answers of the invocations and those of the pings."""
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        asked = both.submit(
            measure.ask, server, bodies, connections=4 * QUEUE, rate=rate, seconds=seconds, only_200=False
        )
        pinged = both.submit(
            measure.ask, server, [b""], connections=1, rate=10, seconds=seconds, path="/ping", method="GET"
        )
        return asked.result(), pinged.result()


def service_ms(log: Path, start: int) -> float:
    """Median milliseconds of decode, model and encode of the answered requests in the log, from byte ``start`` on."""
    with log.open("rb") as file:
        file.seek(start)
        lines = [json.loads(line) for line in file if line.startswith(b'{"event":"request"') and line.endswith(b"}\n")]
    median: float = statistics.median(
        line["decode_ms"] + line["model_ms"] + line["encode_ms"] for line in lines if line["status"] == 200
    )
    return median


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overload", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="15 s instead of 60")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the generated bundle there")
    options = parser.parse_args()
    seconds, threads = 15.0 if options.quick else 60.0, machine.cpus()
    with tempfile.TemporaryDirectory(prefix="overload-") as work:
        folder = options.keep or Path(work)
        bundles.shipped(folder)
        bodies = bundles.jpegs(8)
        environment = {invocation.QUEUE_VARIABLE: str(QUEUE), invocation.THREADS_VARIABLE: str(threads)}
        with Running(RIVALS[0], Path(sys.executable), folder, None, bodies[0], environment) as server:
            measure.ask(server, bodies, connections=threads, seconds=2.0)
            alone = measure.ask(server, bodies, connections=threads, seconds=seconds / 3)
            before = server.log.stat().st_size
            found, pings = overload(server, bodies, TIMES * alone.rate, seconds)
            one = service_ms(server.log, before)
    bound = (QUEUE / threads + 2) * one
    accepted, refused, ping = (
        result.quantile(0.99, status) * 1000 for result, status in ((found, "200"), (found, "503"), (pings, "200"))
    )
    result: dict[str, Any] = {
        "benchmark": "overload",
        "seconds": seconds,
        "threads": threads,
        "queue": QUEUE,
        "capacity_rps": round(alone.rate, 1),
        "asked_rps": round(TIMES * alone.rate, 1),
        "median_service_ms": round(one, 1),
        "statuses": found.statuses,
        "lost": found.lost,
        "answered_rps": round(found.rate, 1),
        "accepted_p99_ms": round(accepted, 1),
        "accepted_bound_ms": round(bound, 1),
        "refused_p99_ms": round(refused, 1),
        "refused_bound_ms": REFUSAL_MS,
        "ping_p99_ms": round(ping, 1),
        "ping_bound_ms": PING_MS,
        "holds": set(found.statuses) == {"200", "503"}
        and not found.lost
        and accepted <= bound
        and refused <= REFUSAL_MS
        and ping <= PING_MS,
        "load": round(os.getloadavg()[0], 1),
    }
    for key, value in result.items():
        print(f"{key:<18} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
