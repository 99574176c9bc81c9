"""HTTP for the server: werkzeug's threaded server with connections that stay open.

werkzeug closes a connection after each answer, because it cannot tell where the next request starts when an application
has not read the whole body. This handler reads what is left, so that a client with thousands of small calls opens one
connection instead of thousands, and it sends head and body together.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, NoReturn

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wsgi import LimitedStream

_log = logging.getLogger(__name__)

#: Seconds for which an unused connection stays open.
IDLE_SECONDS = 120

#: An unread rest of a request body up to this many bytes is read away; for more the connection is closed.
_WORTH_READING = 1 << 20

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_BODILESS = {204, 304}


class Handler(MotoRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    rbufsize = 1 << 16

    def run_wsgi(self) -> None:
        # "Expect: 100-continue" is answered by http.server before it calls here.
        try:
            self.environ = environ = self.make_environ()
            length = int(environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            self.close_connection = True
            return
        body = None
        if environ.get("wsgi.input_terminated"):  # chunked: only who reads it all knows where it ends
            self.close_connection = True
        else:
            environ["wsgi.input"] = body = _Body(environ["wsgi.input"], length)
        try:
            self._answer(environ, body)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception:  # the application answers its own errors; this is an error while sending
            _log.exception("%s %s", self.command, self.path)
            self.close_connection = True

    def _answer(self, environ: dict[str, Any], body: LimitedStream | None) -> None:
        answer = _Answer(self)
        parts = self.server.app(environ, answer.start)
        try:
            answer.send(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        if body is not None and not body.is_exhausted:
            self._read_away(body)

    def _read_away(self, body: LimitedStream) -> None:
        left = _WORTH_READING
        while left > 0 and not body.is_exhausted:
            chunk = body.read(min(left, 65536))
            if not chunk:
                break
            left -= len(chunk)
        if not body.is_exhausted:
            self.close_connection = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not logged: moto's own log and the answers say enough."""


class _Body(LimitedStream):
    """A request body that is as long as it says."""

    def on_disconnect(self, error: Exception | None = None) -> NoReturn:
        raise ConnectionAbortedError("the client went away in the middle of its request") from error


class _Answer:
    """Sends one answer."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._status = ""
        self._headers: list[tuple[str, str]] = []

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        self._status, self._headers = status, headers
        return _no_write

    def send(self, parts: Iterable[bytes]) -> None:
        handler = self._handler
        code = int(self._status.split(" ", 1)[0])
        head = [f"HTTP/1.1 {code} {_PHRASES.get(code, 'Unknown')}\r\nDate: {handler.date_time_string()}\r\n"]
        length: str | None = None
        for name, value in self._headers:
            if name.lower() == "content-length":
                length = value
            head.append(f"{name}: {value}\r\n")
        bodiless = handler.command == "HEAD" or code in _BODILESS
        pieces = iter(parts)
        first = next(pieces, b"")
        chunked = False
        if length is None and not bodiless:
            if isinstance(parts, (list, tuple)) and len(parts) <= 1:
                head.append(f"Content-Length: {len(first)}\r\n")
            else:
                chunked = True
                head.append("Transfer-Encoding: chunked\r\n")
        if handler.close_connection:
            head.append("Connection: close\r\n")
        head.append("\r\n")
        data = "".join(head).encode("latin-1")
        if bodiless:
            handler.wfile.write(data)
            return
        handler.wfile.write(data + _framed(first, chunked))
        for piece in pieces:
            handler.wfile.write(_framed(piece, chunked))
        if chunked:
            handler.wfile.write(b"0\r\n\r\n")


def _framed(data: bytes, chunked: bool) -> bytes:
    if not chunked or not data:  # an empty chunk would end the answer
        return data
    return b"%x\r\n%b\r\n" % (len(data), data)


def _no_write(data: bytes) -> None:
    raise RuntimeError("write() of WSGI is not supported")


def make(listener: socket.socket, app: Any) -> BaseWSGIServer:
    """A server on a listening socket; each connection gets a thread."""
    server = make_server("127.0.0.1", 0, app, threaded=True, fd=listener.fileno(), request_handler=Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]
    return server
