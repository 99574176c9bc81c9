"""The client: one process of its own that asks a server over kept connections and times every answer.

``python -m benchmarks.serving.load`` reads a :class:`Plan` as JSON from its standard input and writes a
:class:`Result` as JSON. It parses no more of HTTP than it must, so that it takes little of the processor that it shares
with the server.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

RAW = "raw"


@dataclass(frozen=True)
class Plan:
    """What is to be asked.

    Attributes:
        bodies: base64; asked in turn.
        content_type: of all bodies, or one for each. ``RAW`` means that a body is the whole request, head included.
        connections: closed loop: as many requests are on their way at once. Open loop: at most so many.
        requests: how many, all together; or ``seconds``: for how long.
        rate: requests a second with exponential gaps between them (open loop); 0: the next one follows an answer.
    """

    port: int
    bodies: tuple[str, ...]
    content_type: str | tuple[str, ...]
    path: str = "/invocations"
    method: str = "POST"
    connections: int = 1
    requests: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    seed: int = 0


@dataclass
class Result:
    """Latencies are seconds, from when a request was due (closed loop: sent) to the end of its answer."""

    seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    lost: int = 0

    def quantile(self, share: float, status: str = "200") -> float:
        """Seconds; NaN without an answer of that status."""
        ordered = sorted(self.latencies.get(status, ()))
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    @property
    def rate(self) -> float:
        """Requests a second that were answered with 200."""
        return self.statuses.get("200", 0) / self.seconds if self.seconds else 0.0

    @property
    def count(self) -> int:
        return sum(self.statuses.values())


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._data = bytearray()
        self._since = 0.0
        self.busy = False
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, since: float) -> None:
        self.busy = True
        self._since = since
        self.transport.write(self._run.next_request())

    def data_received(self, data: bytes) -> None:
        if not self.busy:
            return  # the server closes a connection that was idle for too long
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._data[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._data) < end + 4 + length:
            return
        self._data.clear()
        self.busy = False
        if b"connection: close" in head:
            self.transport.close()
        self._run.answered(self, head[9:12].decode(), time.perf_counter() - self._since)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.gone(self)


class _Run:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        types = plan.content_type
        each = [types] * len(plan.bodies) if isinstance(types, str) else types
        self._requests = [
            _request(plan, base64.b64decode(body), content_type)
            for body, content_type in zip(plan.bodies, each, strict=True)
        ]
        self._next = 0
        self._asked = 0
        self._answered = 0
        self._statuses: Counter[str] = Counter()
        self._latencies: dict[str, list[float]] = {}
        self._lost = 0
        self._free: list[_Connection] = []
        self._due: deque[float] = deque()
        self._until = float("inf")
        self._all_asked = False
        self._done = asyncio.Event()

    def next_request(self) -> bytes:
        self._next = (self._next + 1) % len(self._requests)
        self._asked += 1
        return self._requests[self._next]

    def answered(self, connection: _Connection, status: str, seconds: float) -> None:
        self._answered += 1
        self._statuses[status] += 1
        self._latencies.setdefault(status, []).append(seconds)
        if self._plan.rate:
            if connection.transport.is_closing():
                pass  # a new one takes its place, see gone()
            elif self._due:
                connection.ask(self._due.popleft())
            else:
                self._free.append(connection)
        elif not self._enough() and not connection.transport.is_closing():
            connection.ask(time.perf_counter())
        self._look()

    def gone(self, connection: _Connection) -> None:
        if connection.busy:
            self._lost += 1
            self._answered += 1
            connection.busy = False
        if connection in self._free:
            self._free.remove(connection)
        if not self._done.is_set():
            asyncio.get_running_loop().create_task(self._replace())
        self._look()

    async def _replace(self) -> None:
        try:
            connection = await self._connect()
        except OSError:
            await asyncio.sleep(0.05)
            if not self._done.is_set():
                asyncio.get_running_loop().create_task(self._replace())
            return
        if self._plan.rate:
            if self._due:
                connection.ask(self._due.popleft())
            else:
                self._free.append(connection)
        elif not self._enough():
            connection.ask(time.perf_counter())

    def _enough(self) -> bool:
        wanted = self._plan.requests
        return time.perf_counter() >= self._until or (wanted > 0 and self._asked >= wanted)

    def _look(self) -> None:
        over = self._all_asked and not self._due if self._plan.rate else self._enough()
        if over and self._answered >= self._asked:
            self._done.set()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._plan.port)
        return connection

    async def run(self) -> Result:
        self._free = [await self._connect() for _ in range(self._plan.connections)]
        started = time.perf_counter()
        if self._plan.seconds:
            self._until = started + self._plan.seconds
        if self._plan.rate:
            await self._open_loop(started)
        else:
            waiting, self._free = self._free, []
            for connection in waiting:
                if not self._enough():
                    connection.ask(time.perf_counter())
        await self._done.wait()
        return Result(time.perf_counter() - started, dict(self._statuses), self._latencies, self._lost)

    async def _open_loop(self, started: float) -> None:
        for after in _arrivals(self._plan):
            wait = started + after - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            if self._free:
                self._free.pop().ask(started + after)
            else:
                self._due.append(started + after)
        self._all_asked = True
        self._look()


def _arrivals(plan: Plan) -> Iterator[float]:
    """Seconds after the start at which a request is due."""
    numbers, at, count = random.Random(plan.seed), 0.0, 0  # noqa: S311
    while (not plan.requests or count < plan.requests) and (not plan.seconds or at < plan.seconds):
        at += numbers.expovariate(plan.rate)
        count += 1
        yield at


def _request(plan: Plan, body: bytes, content_type: str) -> bytes:
    if content_type == RAW:
        return body
    lines = [f"{plan.method} {plan.path} HTTP/1.1", f"Host: 127.0.0.1:{plan.port}"]
    if plan.method == "POST":
        lines += [f"Content-Type: {content_type}", "Accept: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def main() -> None:
    value = json.load(sys.stdin)
    plan = Plan(**value)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        json.dump(asdict(runner.run(_Run(plan).run())), sys.stdout)


if __name__ == "__main__":
    main()
