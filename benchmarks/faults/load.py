"""A constant load on an endpoint, from a process of its own: every answer is checked, and counted at once."""

from __future__ import annotations

import contextlib
import http.client
import json
import multiprocessing
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Requests a second, and threads that send them in turn.
RATE, THREADS = 20.0, 4
_HEADERS = {"Content-Type": "application/json"}


class Load:
    """Requests to one endpoint until it is stopped. Unsigned, so no fault that strikes the deployer strikes them.

    Args:
        answers: request's image -> the answers that are right.
        lost: the file that gets a line for each request that is lost.
    """

    def __init__(self, port: int, endpoint: str, answers: Mapping[str, list[Any]], lost: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._asked, self._lost, self._stop = context.Value("q", 0), context.Value("q", 0), context.Event()
        arguments = (port, endpoint, dict(answers), str(lost), self._asked, self._lost, self._stop)
        self._process = context.Process(target=_run, args=arguments, daemon=True)

    @property
    def asked(self) -> int:
        return int(self._asked.value)

    @property
    def lost(self) -> int:
        return int(self._lost.value)

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        """Raises AssertionError when the load did not last until now: then nothing lost means nothing."""
        alive = self._process.is_alive()
        self._stop.set()
        self._process.join(30)
        assert alive and self._process.exitcode == 0, f"the load ended by itself: {self._process.exitcode}"


def _run(
    port: int, endpoint: str, answers: Mapping[str, list[Any]], lost: str, asked: Any, failed: Any, stop: Any
) -> None:
    with Path(lost).open("a") as file:
        lock = threading.Lock()

        def tell(what: str) -> None:
            with lock:
                file.write(f"{time.time():.3f} {what}\n")
                file.flush()

        threads = [
            threading.Thread(target=_ask, args=(number, port, endpoint, answers, tell, asked, failed, stop))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _ask(
    number: int, port: int, endpoint: str, answers: Mapping[str, list[Any]], tell: Any, asked: Any, failed: Any,
    stop: Any,
) -> None:  # fmt: skip
    images, gap = list(answers), THREADS / RATE
    due = time.monotonic() + gap * number / THREADS
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not stop.wait(max(0.0, due - time.monotonic())):
        due = max(due + gap, time.monotonic() - 1)  # after a pause of this machine it does not catch up for long
        image = images[number % len(images)]
        number += 1
        wrong = _once(connection, endpoint, image, answers[image])
        with asked.get_lock():
            asked.value += 1
        if wrong:
            tell(wrong)
            with failed.get_lock():
                failed.value += 1
    connection.close()


def _once(connection: http.client.HTTPConnection, endpoint: str, image: str, right: list[Any]) -> str:
    """What was wrong with the answer; empty: nothing."""
    try:
        connection.request("POST", f"/endpoints/{endpoint}/invocations", json.dumps({"image": image}), _HEADERS)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return f"no answer: {error!r}"
    if answer.status != 200:
        return f"{answer.status}: {body[:300]!r}"
    with contextlib.suppress(ValueError):
        if json.loads(body) in right:
            return ""
    return f"an answer by neither package: {body[:300]!r}"
