"""What a fault costs a release: one API call of the deployer is struck, then it is called once more.

On the local SageMaker, which executes: an endpoint of two instances, autoscaled, guarded and checked, takes two
packages in turn, under a load of 20 requests a second from another process. First a release that nothing disturbs, for
the first creation and for each strategy of an update: its calls, and what there is when it is closed. Then one release
a case: one call of it meets

- error-before: a server error each time that the SDK tries, and nothing is done;
- error-after: the same, and it is done;
- throttling: refused until the SDK gives up;
- killed: the process is killed (SIGKILL) right after the answer.

Then the deployer is called as its events would call it: the run that was hit, one more, and those that any release
needs. A case has converged when after that the endpoint is in service with the right package, by the API and by its
answers, everything else (models, configurations, alarms, filters, scaling, instances, processes, objects, the lease) is
as after the undisturbed release, and the ledger has this one release, as succeeded. What is there beyond that is left
over. A request of the load is lost that is not answered by 200 with the answer of either package; in the cases of the
creation there is no load. The guard on labels is on, but the toy server logs no predictions, so nothing is usual to it.

Every call of each release is struck: a write by each fault, a read by one. Reads are the same calls in each strategy,
so the faults take turns: over the strategies each fault strikes each. An error after a read is one before it, and left
out. ``--quick`` takes a seeded sample: each operation that writes with each fault, each that reads once. ``--all``
strikes each call by each fault in each strategy.

The last line is one JSON object: ``cases``, ``converged``, ``left_over``, ``lost_requests``, ``requests``, ``calls``
(of the undisturbed releases) and ``struck`` (those that a case strikes), ``extra_runs_allowed``, ``seconds``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.faults import cases
from benchmarks.faults.cases import CREATION, Case, Clean, Found, Releases
from benchmarks.faults.deployer import FAULTS
from benchmarks.faults.load import Load
from benchmarks.faults.world import World, opened

_SEED = 20261126


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a seeded sample of the cases, about two minutes")
    parser.add_argument("--all", action="store_true", help="each call by each fault in each strategy, about an hour")
    parser.add_argument("--only", metavar="TEXT", default="", help="cases whose description has this text")
    parser.add_argument("--most", type=int, metavar="N", help="N of the cases, by chance with the same seed")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, opened(Path(folder)) as world:
        releases = Releases(world)
        cleans = [releases.clean(strategy) for strategy in cases.strategies()]
        chosen = choose(cleans, quick=options.quick, everything=options.all, only=options.only, most=options.most)
        say(f"{sum(clean.calls for clean in cleans)} calls, {len(chosen)} cases")
        found, asked, lost = measure(world, releases, cleans, chosen)
        if lost:
            say((Path(folder) / "lost.txt").read_text()[:4000])
    print(table(found))
    good = [each for each in found if not each.wrong and not each.left]
    result = {
        "cases": len(found),
        "converged": len(good),
        "left_over": sum(len(each.left) for each in found),
        "lost_requests": lost,
        "requests": asked,
        "calls": sum(clean.calls for clean in cleans),
        "struck": cases.struck(chosen),
        "extra_runs_allowed": 1,
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(result))
    return int(len(good) != len(found) or lost > 0)


def choose(cleans: list[Clean], *, quick: bool, everything: bool, only: str, most: int | None) -> list[Case]:
    if quick:
        chosen = cases.sample(cleans, _SEED)
    elif everything:
        chosen = [case for clean in cleans for case in cases.every(clean)]
    else:
        chosen = [case for turn, clean in enumerate(cleans) for case in cases.whole(clean, turn)]
    chosen = [case for case in chosen if only in str(case)]
    return cases.some(chosen, most, _SEED) if most is not None else chosen


def measure(
    world: World, releases: Releases, cleans: list[Clean], chosen: list[Case]
) -> tuple[list[Found], int, int]:  # fmt: skip
    """Every case; and of the load, how many requests were sent and lost in all."""
    by_name, found = {clean.strategy: clean for clean in cleans}, []  # type: dict[str, Clean], list[Found]
    load: Load | None = None
    strategy = ""
    for number, case in enumerate(chosen, 1):
        if case.strategy != strategy:
            strategy = case.strategy
            world.use(cases.STRATEGIES[0] if strategy == CREATION else strategy)
        if load is None and strategy != CREATION:
            releases.clean(strategy)  # the endpoint is there
            load = world.load()
            load.start()
        before = load.lost if load else 0
        wrong, left = releases.strike(case, by_name[strategy])
        found.append(Found(case, wrong, left, (load.lost if load else 0) - before))
        if wrong or left or found[-1].lost:
            say(f"NOT CONVERGED: {case}", *wrong, *[f"left over: {each}" for each in left], f"lost: {found[-1].lost}")
        if wrong or left:
            releases.recover(by_name[strategy])
        if number % 25 == 0 or number == len(chosen):
            say(f"{number} of {len(chosen)} cases, {strategy}")
    if load is None:
        return found, 0, 0
    load.stop()
    return found, load.asked, load.lost


def table(found: list[Found]) -> str:
    lines = ["| strategy | fault | cases | converged | left over | lost requests |", "|---|---|---|---|---|---|"]
    for strategy in cases.strategies():
        for fault in FAULTS:
            these = [each for each in found if (each.case.strategy, each.case.fault) == (strategy, fault)]
            good = sum(not each.wrong and not each.left for each in these)
            left, lost = sum(len(each.left) for each in these), sum(each.lost for each in these)
            lines.append(f"| {strategy} | {fault} | {len(these)} | {good} | {left} | {lost} |")
    return "\n".join(lines) + "\n"


def say(*lines: str) -> None:
    print("\n  ".join(lines), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
