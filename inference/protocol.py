"""uvicorn's HTTP/1.1 protocol with what it leaves out: a limit of bytes and of seconds for a request's headers.

Without it a client that sends headers byte by byte keeps its connection for ever, and one that never ends them fills
the memory.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from contracts import invocation
from inference.wire import error_body

_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


def limited(max_header_bytes: int, seconds: float) -> type[asyncio.Protocol]:
    """The protocol class with these limits."""
    return type(
        "LimitedProtocol", (_Limited,), {"max_header_bytes": max_header_bytes, "seconds": seconds}
    )  # uvicorn makes one object a connection, and takes a class


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

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._one_write: Any = _OneWrite(transport)
        self._head_bytes = 0
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = self.loop.call_later(self.seconds, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
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
        super().on_headers_complete()
        self.cycle.transport = self._one_write

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

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
