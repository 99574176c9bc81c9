"""A bad model is approved under live load: does the traffic come back by itself, and who paid for it?

For each strategy and each way to be bad, on a local SageMaker of its own: the good package is released (``place``) and
asked 25 times a second by another process (``load``); then the bad one is approved in the registry. The server's clock
is driven in steps of 15 s with real requests between, so that the alarms have data; after each step the deployer is
called as the sweep calls it, on that clock. Images are toys (``container``): four processes a fleet. Staging is off, as
by default: it would have refused the last kind. What is bad, and who should find it:

- *wrong answers*: one label for everything; its bundle's golden requests say the same, so they pass. The guard
  ``label_shift``: the share of a label among all answers, old and new fleet together, moves by 0.8 times the new
  fleet's share of the traffic. The threshold is 0.1 here: by the default, 0.3, nothing of a quarter of the traffic can
  move a share by so much, and the model would pass the first stage.
- *other classes*: labels that the good one does not have. The same guard.
- *slow*: 2.6 s for an answer; the guard ``latency_p99_ms`` (2000).
- *errors*: every request is answered with 500; the guard ``errors_5xx`` (5 a minute).
- *crashing*: the process ends without an answer on each third request and is started again after up to a second (with
  the driven clock that is 15 s). The same guard, which counts requests without an answer, too; or, with few of them in
  a minute, the golden requests after the shift.
- *unfaithful*: the right labels with other probabilities than the exported model gave. No alarm sees that: the golden
  requests after the shift, when the bad model has all of the traffic whatever the strategy; the package is rejected,
  and the one before is rolled out with the same strategy, which takes its bakes once more.

Measured: *back*: the endpoint serves the good package again, the ledger says that the release failed and why, and the
last requests were all answered by the good one. *Share*: in each stage in which the strategy limits the bad model
(canary 25 %; linear 25, 50, 75 %; rolling one instance of four at a time), its requests among all, against that share
and three standard errors of a binomial; all-at-once limits nothing. *Lost on the good one*: failed requests but those
that a container of the bad model has read (each writes what it reads to a journal before anything else), that broke off
while such a container ended, or that found nobody while the bad model had all of the traffic. *Minutes*: of the
server's clock, from the approval until the good one serves again.

``--real``: the product's own server with the shipped network at 20 requests a second, canary; the bad bundle's outputs
are swapped, and it is sealed again (``real``).

The last line is one JSON object. A quarter of an hour on two busy cores; ``--quick`` takes each strategy and each kind
at least once, in four minutes; ``--real`` adds five to nine, most of them training.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.bad_model import cell, tables
from benchmarks.bad_model.cell import Found, say
from benchmarks.bad_model.kinds import KINDS
from benchmarks.bad_model.place import STRATEGIES

#: Each strategy and each kind at least once.
QUICK = (
    ("canary", "wrong answers"), ("linear", "slow"), ("rolling", "errors"), ("all-at-once", "crashing"),
    ("canary", "other classes"), ("all-at-once", "unfaithful"),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bad_model", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="six cells instead of all")
    parser.add_argument("--real", action="store_true", help="also the product's server with the shipped network")
    parser.add_argument("--only", nargs=2, metavar=("STRATEGY", "KIND"), help="one cell")
    parser.add_argument("--workers", type=int, default=3, help="cells at a time (default: 3)")
    options = parser.parse_args()
    cells = QUICK if options.quick else tuple((strategy, kind) for strategy in STRATEGIES for kind in KINDS)
    if options.only:
        if options.only[0] not in STRATEGIES or options.only[1] not in KINDS:
            parser.error(f"strategies: {', '.join(STRATEGIES)}; kinds: {', '.join(KINDS)}")
        cells = (tuple(options.only),)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bad-model-") as work:
        found = run_all(cells, Path(work), options.workers)
        actual = _real(Path(work)) if options.real else None
    result: dict[str, Any] = {
        "cases": len(found),
        "back": sum(one.back for one in found),
        "found_as_expected": sum(one.expected for one in found),
        "over_share": sum(one.over for one in found),
        "lost_on_good": sum(one.lost for one in found),
        "requests": sum(one.asked for one in found),
        "seconds": round(time.monotonic() - began),
    }
    print(tables.table([*found, *([actual] if actual else [])]))
    if actual:
        result["real"] = {
            "back": actual.back, "found_by": actual.caught, "over_share": int(actual.over),
            "lost_on_good": actual.lost, "requests": actual.asked, "seconds": round(actual.seconds),
        }  # fmt: skip
    print(json.dumps(result))
    return int(not all(one.back and not one.over and not one.lost for one in [*found, *([actual] if actual else [])]))


def _real(work: Path) -> Found:
    """Only this one needs the training's libraries."""
    from benchmarks.bad_model import real

    return real.run(work / "real")


def run_all(cells: tuple[tuple[str, str], ...], work: Path, workers: int) -> list[Found]:
    """The cells, some at a time, each in a process of its own."""
    found: dict[tuple[str, str], Found] = {}
    with ProcessPoolExecutor(workers, max_tasks_per_child=1) as pool:
        jobs = {
            pool.submit(cell.run, strategy, kind, work / f"{strategy}-{kind.replace(' ', '-')}"): (strategy, kind)
            for strategy, kind in cells
        }
        for job in as_completed(jobs):
            found[jobs[job]] = one = job.result()
            say(f"{one.strategy}, {one.kind}: back {one.back}, {one.caught or 'not found'}, {one.seconds:g} s")
    return [found[each] for each in cells]


if __name__ == "__main__":
    sys.exit(main())
