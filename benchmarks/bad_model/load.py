"""The client: a process that asks an endpoint at a constant rate, through boto3, until its standard input ends.

``python -m benchmarks.bad_model.load`` reads a :class:`Plan` as one line of JSON and appends an :class:`Asked` as a
line of JSON to the plan's file for each request. No request is tried again, so each failure is seen.
"""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cv_factory import session as sessions

_THREADS = 128


@dataclass(frozen=True)
class Plan:
    """What is asked.

    Attributes:
        bodies: base64. One is chosen by chance for each request, by ``weights``.
        rate: requests a second, whether the ones before are answered or not.
        numbered: whether a body is a JSON object that gets the request's ``id``.
        file: where the requests are recorded.
    """

    url: str
    region: str
    endpoint: str
    bodies: tuple[str, ...]
    weights: tuple[float, ...]
    content_type: str
    rate: float
    numbered: bool
    file: str
    seed: int = 0


@dataclass(frozen=True)
class Asked:
    """A request: times are seconds since the epoch.

    Attributes:
        status: 200; the container's own where it failed, 0 where it broke off; else the runtime's (503: nobody there).
        model_error: whether a container was reached.
        answer: the body, where the status is 200.
    """

    id: str
    body: int
    start: float
    end: float
    status: int
    model_error: bool
    answer: Any


@contextmanager
def running(plan: Plan) -> Iterator[None]:
    """The process, while the block runs; at its end every request that was sent is answered and recorded."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bad_model.load"], stdin=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(asdict(plan)) + "\n")
        process.stdin.flush()
        yield
    finally:
        process.stdin.close()
        if process.wait(120) != 0:
            raise RuntimeError(f"the client ended with {process.returncode}")


def read(file: Path) -> list[Asked]:
    """What is recorded so far, in the order of the answers."""
    text = file.read_text() if file.exists() else ""
    return [Asked(**json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]


def _main() -> None:
    value = json.loads(sys.stdin.readline())
    plan = Plan(**{**value, "bodies": tuple(value["bodies"]), "weights": tuple(value["weights"])})
    ended = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    session = sessions.local_session(plan.url, plan.region)
    config = Config(
        retries={"total_max_attempts": 1}, max_pool_connections=_THREADS, read_timeout=90,
        parameter_validation=False,
    )  # fmt: skip
    runtime = session.client("sagemaker-runtime", config=config)
    bodies = [base64.b64decode(body) for body in plan.bodies]
    chance, due, number = random.Random(plan.seed), time.monotonic(), 0  # noqa: S311
    with ThreadPoolExecutor(_THREADS) as pool, Path(plan.file).open("a", buffering=1) as file:
        while not ended.wait(max(0.0, due - time.monotonic())):
            (which,) = chance.choices(range(len(bodies)), plan.weights)
            number += 1
            body = bodies[which]
            if plan.numbered:
                body = json.dumps({**json.loads(body), "id": f"{number}"}).encode()
            pool.submit(_ask, runtime, plan, f"{number}", which, body, file)
            due = max(due + chance.uniform(0.5, 1.5) / plan.rate, time.monotonic() - 1.0)


def _ask(runtime: Any, plan: Plan, identity: str, which: int, body: bytes, file: IO[str]) -> None:
    start = time.time()
    status, model_error, answer = 200, False, None
    try:
        found = runtime.invoke_endpoint(EndpointName=plan.endpoint, Body=body, ContentType=plan.content_type)
        answer = json.loads(found["Body"].read())
    except ClientError as error:
        model_error = error.response["Error"]["Code"] == "ModelError"
        own = error.response.get("OriginalStatusCode", 0)
        status = int(own) if model_error else error.response["ResponseMetadata"]["HTTPStatusCode"]  # type: ignore[call-overload]
    except (BotoCoreError, OSError) as error:
        print(f"request {identity}: {error!r}", file=sys.stderr)
        status = -1
    asked = Asked(identity, which, start, time.time(), status, model_error, answer)
    file.write(json.dumps(asdict(asked)) + "\n")


if __name__ == "__main__":
    _main()
