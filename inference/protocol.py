"""uvicorn's HTTP/1.1 protocol with what it leaves out: a limit of bytes and of seconds for a request's headers.

And a shorter way for what an endpoint mostly gets, an invocation that arrives whole: it goes to the application as it
is, without a task and the messages of ASGI, which take longer than a request that does nothing. Everything else (a body
that comes in parts, pipelined requests, other paths) goes uvicorn's way.

Without it a client that sends headers byte by byte keeps its connection for ever, and one that never ends them fills
the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from contracts import invocation
from inference.wire import INTERNAL_MESSAGE, error_body

Begin = Callable[[Any, bytes, Callable[[int, list[tuple[bytes, bytes]], bytes], None]], None]

_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


def limited(max_header_bytes: int, seconds: float, begin: Begin | None = None) -> type[asyncio.Protocol]:
    """The protocol class with these limits.

    Args:
        begin: takes invocations that arrived whole, see :meth:`inference.app.Application.begin`; None: none does.
    """
    values = {"max_header_bytes": max_header_bytes, "seconds": seconds, "begin": (begin,) if begin else ()}
    return type("LimitedProtocol", (_Limited,), values)  # uvicorn makes one object a connection, and takes a class


class _OneWrite:
    """A connection's transport that sends the head of an answer together with what follows it.

    uvicorn writes them one by one, and uvloop makes a system call of each.
    """

    __slots__ = ("_head", "_transport", "is_closing")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Send a head that nothing follows: the answer to HEAD."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        self.flush()
        self._transport.close()


class _Limited(HttpToolsProtocol):
    max_header_bytes: ClassVar[int]
    seconds: ClassVar[float]
    #: In a tuple, because a function by itself would become a method.
    begin: ClassVar[tuple[Begin, ...]]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._one_write: Any = _OneWrite(transport)
        self._head_bytes = 0
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = self.loop.call_later(self.seconds, self._late)
        self._held: tuple[RequestResponseCycle, Any] | None = None  # an invocation whose body is not here yet
        self._in_headers = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._held is not None:  # its body did not come with its head
            held, self._held = self._held, None
            super()._start_asgi_task(*held)
        if self._in_head and self._head_bytes:  # mostly a head comes whole, and needs no timer
            if self._head_bytes > self.max_header_bytes:
                message = f"The headers have more than the {self.max_header_bytes} bytes that are accepted."
                self._close_with(431, error_body("headers_too_large", message))
            elif self._timer is None:  # a further request on the connection has begun
                self._timer = self.loop.call_later(self.seconds, self._late)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._timer is not None:
            self._stop_timer()
        self._in_headers = True
        super().on_headers_complete()
        self._in_headers = False
        self.cycle.transport = self._one_write

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope = cycle.scope
        if self._in_headers and self.begin and scope["path"] == "/invocations" and scope["method"] == "POST":
            self._held = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()
        if self._held is not None:
            (cycle, _), self._held = self._held, None
            self.begin[0](cycle.scope, bytes(cycle.body), partial(self._respond, cycle))

    def _respond(
        self, cycle: RequestResponseCycle, status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Write a whole answer, and do what uvicorn's cycle does after it has sent one."""
        if cycle.disconnected or self.transport.is_closing():
            return
        if any(HEADER_RE.search(name) or HEADER_VALUE_RE.search(value) for name, value in headers[3:]):
            status, body = 500, error_body("internal", INTERNAL_MESSAGE)  # a user's code set a header that is none
            headers = [(b"content-length", b"%d" % len(body)), (b"content-type", invocation.JSON.encode())]
        parts = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
        self.transport.write(b"".join(parts))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        self._one_write.flush()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self._close_with(400, error_body("bad_request", "This is no HTTP request."))

    def _late(self) -> None:
        if not self.transport.is_closing():
            self._close_with(
                408, error_body("request_timeout", f"The headers did not arrive within {self.seconds:g} s.")
            )

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_with(self, status: int, body: bytes) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # else an answer to an earlier request is on its way
            head = (
                f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: {invocation.JSON}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()
