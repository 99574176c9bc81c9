"""``python -m cv_factory.operations.unproved --env ENV --max-usd N``, make test-aws: what only an account can show.

Says account, region and endpoint, what would run and what it may cost at most; then runs it, the cheapest first. What
does not fit under the limit is left out and named. Everything that was made is taken away at the end, after Ctrl-C too.

Exit code: 0 all that was tried holds, 1 something fails or was left behind, 2 wrong use, 3 refused: the limit left
something out, another account, or env local; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from contracts import jsonio, settings
from contracts.errors import FactoryError, RefusedError, UsageError
from cv_factory import session
from cv_factory.operations import prices, state
from cv_factory.operations.unproved import plan as plans
from cv_factory.operations.unproved import run as runs
from cv_factory.operations.unproved.check import FAILS, HOLDS, SKIPPED
from cv_factory.operations.unproved.plan import Plan

_REFUSED, _INTERRUPTED = RefusedError.exit_code, 130
RESULTS = "results.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except FactoryError as error:
        if options.json:
            sys.stdout.write(jsonio.pretty({"error": error.headline, "hint": error.hint}))
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted\n")
        return _INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    if options.max_usd < 0:
        raise UsageError(f"--max-usd {options.max_usd:g} is below 0", "As in: make test-aws ENV=dev MAX_USD=2")
    if options.env == settings.DEFAULT_ENV and not options.against_the_local_sagemaker:
        raise RefusedError(
            "env local is the local SageMaker: what it answers says nothing about AWS",
            "Name an environment with an account: make test-aws ENV=dev MAX_USD=2",
        )
    loaded = settings.load(options.file, options.env)
    checks = plans.choose(options.only)
    plan = plans.make(checks, loaded, prices.load(), options.max_usd)
    target = session.open(loaded, options.file)
    say = _to_stderr if options.json else _to_stdout
    say(str(target))
    _announce(plan, options.max_usd, loaded.aws.region, say)
    if not plan.run:
        raise RefusedError(
            f"MAX_USD is {options.max_usd:g}, and the cheapest of these checks may cost {plan.left_out[0].usd:.2f} USD",
            f"All of them together: at most {plan.whole:.2f} USD.",
        )
    if options.plan:
        return _REFUSED if plan.left_out else 0
    out: Path = options.out or runs.folder(target) / RESULTS
    with state.lock(runs.folder(target), "make test-aws", "Wait for its end: it takes away what it made."):
        document = runs.run(target, plan, out, say)
    if options.json:
        sys.stdout.write(jsonio.pretty(document))
    counted = _count(document)
    say(f"{counted[HOLDS]} hold, {counted[FAILS]} fail, {counted[SKIPPED]} were not tried. Written: {out}")
    for thing in document["left_behind"]:
        say(f"left behind: {thing['kind']} {thing['name']}. Run this again: it begins with taking it away")
    if counted[FAILS] or document["left_behind"]:
        return 1
    return _REFUSED if plan.left_out else 0


def _announce(plan: Plan, max_usd: float, region: str, say: runs.Say) -> None:
    known = prices.load().region
    say(f"{len(plan.run)} checks, at most {plan.usd:.2f} USD by the prices of {prices.FILE.name}")
    if region != known:
        say(f"these are the prices of {known}: {region} may ask a third more")
    if plan.left_out:
        names = ", ".join(f"{one.check.id} ({one.usd:.2f})" for one in plan.left_out)
        say(f"left out by MAX_USD={max_usd:g}: {names}; all together at most {plan.whole:.2f} USD")


def _count(document: dict[str, Any]) -> dict[str, int]:
    return {status: sum(one["status"] == status for one in document["checks"]) for status in (HOLDS, FAILS, SKIPPED)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cv_factory.operations.unproved",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--env", required=True, help="environment of factory.yaml")
    parser.add_argument("--max-usd", required=True, type=float, help="what the run may cost at most, USD")
    parser.add_argument("--file", default=settings.DEFAULT_FILE, type=Path, help="the settings file")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="this check, or section; may be given again"
    )
    parser.add_argument("--plan", action="store_true", help="say what would run and what it may cost, and end")
    parser.add_argument("--json", action="store_true", help="print the result file; what is told goes to stderr")
    parser.add_argument("--out", type=Path, help=f"the result file; default: <state folder>/unproved/{RESULTS}")
    parser.add_argument(
        "--against-the-local-sagemaker", action="store_true", help="allow env local; this is how the checks are tested"
    )
    return parser


def _to_stdout(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _to_stderr(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
