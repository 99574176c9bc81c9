"""Running checks: each result is on disk before the next begins, and nothing that was made is left."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from contracts import jsonio
from contracts.errors import FactoryError
from cv_factory.operations import pipeline
from cv_factory.operations.unproved import removal
from cv_factory.operations.unproved.bench import Bench
from cv_factory.operations.unproved.check import FAILS, HOLDS, SKIPPED, Check, Fails, NotHere, Result
from cv_factory.operations.unproved.ledger import Ledger
from cv_factory.operations.unproved.plan import Plan
from deployment import aws

if TYPE_CHECKING:
    from cv_factory.session import Target

Say = Callable[[str], None]
#: Seconds between two looks at AWS, and at the local SageMaker.
PAUSE, LOCAL_PAUSE = 10.0, 0.1
INTERRUPTED = "interrupted"
#: Errors that are no answer to what is asked: who asks may not, or the account's quota is too small.
_NOT_TOLD = (
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "ResourceLimitExceeded", "ExpiredToken",
    "ExpiredTokenException",
)  # fmt: skip


def folder(target: Target) -> Path:
    """Where results and the lists of what runs have made are."""
    return target.state / "unproved"


def run(target: Target, plan: Plan, out: Path, say: Say) -> dict[str, Any]:
    """Run the checks of ``plan``, in its order; the document that is in ``out`` at the end.

    What is left of earlier runs is taken away first, what this run made at its end, interrupted or not.

    Raises:
        KeyboardInterrupt: after Ctrl-C or SIGTERM; all is taken away and written then.
        FactoryError: the folder of an earlier run cannot be read.
    """
    pause = LOCAL_PAUSE if target.is_local else PAUSE
    clean(target, say, pause)
    name = secrets.token_hex(3)
    ledger = Ledger(folder(target) / f"{name}.made.json")
    bench = Bench(target, ledger, name, say, pause)
    document = _document(target, plan, name)
    try:
        with _terminated_as_interrupted():
            for number, one in enumerate(plan.run):
                say(f"{one.check.id} (at most {one.usd:.2f} USD): {one.check.call}")
                result = attempt(one.check, bench)
                say(f"  {result.status}: {result.detail}")
                document["checks"][number] |= result.to_json()
                jsonio.write(out, document)
                if one.block != (plan.run[number + 1].block if number + 1 < len(plan.run) else ""):
                    _end_of_block(bench)
    finally:
        with _uninterrupted():
            _announce(bench)
            left = removal.remove(target, ledger, say, pause)
            document["left_behind"] = [{"kind": thing.kind, "name": thing.name} for thing in left]
            jsonio.write(out, document)
    return document


def attempt(check: Check, bench: Bench) -> Result:
    """Try a check. Whatever it raises is its result; only an interruption ends the run."""
    begun = time.monotonic()
    try:
        status, detail = HOLDS, check.try_it(bench)
    except Fails as error:
        status, detail = FAILS, str(error)
    except NotHere as error:
        status, detail = SKIPPED, str(error)
    except ClientError as error:
        status, detail = SKIPPED if aws.error_code(error) in _NOT_TOLD else FAILS, str(error)
    except (FactoryError, BotoCoreError, OSError, KeyError, IndexError, ValueError, AssertionError) as error:
        status, detail = FAILS, f"{type(error).__name__}: {error}"
    return Result(status, detail, round(time.monotonic() - begun, 1))


def _end_of_block(bench: Bench) -> None:
    """Take away what is not needed any more: an idle endpoint costs as much as a busy one."""
    bench.shared.clear()
    _announce(bench)
    with _uninterrupted():
        removal.remove(bench.target, bench.ledger, bench.say, bench.pause)


def _announce(bench: Bench) -> None:
    if bench.ledger.things:
        bench.say(f"  taking away what was made, {len(bench.ledger.things)} things; Ctrl-C waits for the end of it")


def clean(target: Target, say: Say, pause: float) -> None:
    """Take away what runs have left that were killed."""
    for file in sorted(folder(target).glob("*.made.json")):
        ledger = Ledger(file)
        say(f"an earlier run ({file.name.partition('.')[0]}) left {len(ledger.things)} things; they go first")
        removal.remove(target, ledger, say, pause)


def _document(target: Target, plan: Plan, name: str) -> dict[str, Any]:
    """The result file before anything has run: each check is skipped until it is tried."""
    aws = target.settings.aws
    waiting = Result(SKIPPED, INTERRUPTED)
    beyond = Result(SKIPPED, "left out: it would pass the limit")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "run": name,
        "environment": target.settings.env,
        "account": aws.account_id,
        "region": aws.region,
        "endpoint": target.endpoint,
        "git_sha": pipeline.git_sha(),
        "usd_at_most": round(plan.usd, 4),
        "left_behind": [],
        "checks": [
            {
                "id": one.check.id, "call": one.check.call, "expected": one.check.expected,
                "usd_at_most": round(one.usd, 4), **result.to_json(),
            }
            for part, result in ((plan.run, waiting), (plan.left_out, beyond))
            for one in part
        ],
    }  # fmt: skip


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM do nothing: an endpoint that is left costs more than the wait. SIGKILL leaves the ledger."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
