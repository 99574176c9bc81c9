"""The server's ASGI application: ``/ping``, ``/invocations`` and ``/execution-parameters``.

The model never runs in the event loop: a bounded number of requests waits for a pool of threads, so that ``/ping`` is
answered while every thread works. Source of the routes: SageMaker Developer Guide, "Use Your Own Inference Code with
Hosting Services" and "… with Batch Transform".
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from contracts import invocation
from inference.errors import RequestError
from inference.handler import INTERNAL_MESSAGE, Handler, check_accept, error_body, too_large
from inference.predictor import Predictor

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Requests that may wait for a thread, each with its body in memory; one more is answered with 503.
MAX_WAITING = 100

#: After an error the rest of a body is read and thrown away, so that a client that is still sending reads the answer
#: and not a reset connection; but not more than this many bytes, and not for longer than this many seconds.
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0

_ROUTES = {"/ping": "GET", "/invocations": "POST", "/execution-parameters": "GET"}


class _Body:
    """A request's body, part by part."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False
        self.client_is_gone = False

    async def part(self) -> bytes:
        message = await self._receive()
        self.client_is_gone = message["type"] == "http.disconnect"
        self.ended = self.client_is_gone or not message.get("more_body", False)
        data: bytes = message.get("body", b"")
        return data

    async def drain(self) -> None:
        """Read and throw away what still comes, within limits."""
        size = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self.ended and size <= _DRAIN_BYTES:
                    size += len(await self.part())
        except TimeoutError:
            pass


class Application:
    """Answers requests with the predictor that :meth:`ready` brings.

    Args:
        handler: reads requests, predicts and writes answers.
        threads: requests that are worked on at once.
    """

    def __init__(self, handler: Handler, threads: int) -> None:
        self._handler = handler
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._predictor: Predictor | None = None
        self._unready = "The model is being loaded."
        self._pending = 0  # requests that have begun and are not answered yet

    def ready(self, predictor: Predictor) -> None:
        """Answer requests with ``predictor``, which is loaded and warm, from now on."""
        self._predictor = predictor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive)
        path, method = scope["path"], scope["method"]
        if path not in _ROUTES:
            error = RequestError("not_found", f"There is no {path[:100]!r}; there is {', '.join(_ROUTES)}.")
            await self._refuse(error, scope, body, send)
        elif method != _ROUTES[path]:
            error = RequestError("method_not_allowed", f"{path} is for {_ROUTES[path]}, not for {method[:20]!r}.")
            await self._refuse(error, scope, body, send, allow=_ROUTES[path])
        elif path == "/ping":
            await self._ping(send)
        elif path == "/invocations":
            await self._invoke(scope, body, send)
        else:
            await _respond(send, 200, json.dumps(self._execution_parameters()).encode())

    async def _ping(self, send: Send) -> None:
        if self._predictor is None:
            await _respond(send, 503, error_body("not_ready", self._unready))
        else:
            await _respond(send, 200, b"")

    def _execution_parameters(self) -> dict[str, Any]:
        """What batch transform asks before it starts: one image a request, as many at once as there are threads."""
        return {
            "MaxConcurrentTransforms": self._threads,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": max(1, self._handler.options.max_body_bytes // 2**20),
        }

    async def _invoke(self, scope: Scope, body: _Body, send: Send) -> None:
        predictor = self._predictor
        try:
            if predictor is None:
                raise RequestError("not_ready", self._unready)
            if self._pending >= self._threads + MAX_WAITING:
                raise RequestError("overloaded", f"{self._pending} requests are waiting already; try again later.")
            accept = ",".join(_headers(scope, b"accept"))
            check_accept(accept)
            self._pending += 1
            try:
                data = await self._read(scope, body)
                if data is None:  # the client is gone
                    return
                content_type = next(iter(_headers(scope, b"content-type")), None)
                loop = asyncio.get_running_loop()
                status, answer = await loop.run_in_executor(
                    self._pool, self._answer, predictor, data, content_type, accept
                )
            finally:
                self._pending -= 1
        except RequestError as error:
            await self._refuse(error, scope, body, send)
        else:
            await _respond(send, status, answer)

    async def _read(self, scope: Scope, body: _Body) -> bytes | None:
        """The request's body, or None when the client is gone.

        Raises:
            RequestError: it is larger than the limit; not more than the limit was kept.
        """
        limit = self._handler.options.max_body_bytes
        for declared in _headers(scope, b"content-length"):
            if int(declared) > limit:
                raise too_large(int(declared), limit)
        parts: list[bytes] = []
        size = 0
        while not body.ended:
            parts.append(await body.part())
            size += len(parts[-1])
            if size > limit:
                raise RequestError("body_too_large", f"The body has more than the {limit} bytes that are accepted.")
        return None if body.client_is_gone else b"".join(parts)

    def _answer(self, predictor: Predictor, body: bytes, content_type: str | None, accept: str) -> tuple[int, bytes]:
        """Status and body for one request; runs in a thread and never raises."""
        try:
            request = self._handler.input_fn(body, content_type)
            answer = self._handler.predict_fn(request, predictor)
            return 200, self._handler.output_fn(answer, accept)[0]
        except RequestError as error:
            return error.status, error_body(error.code, error.message)
        except MemoryError:
            message = "The server has no memory left for this request; try again later."
            return invocation.ERRORS["overloaded"], error_body("overloaded", message)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            self._check_model(predictor)
            return 500, error_body("internal", INTERNAL_MESSAGE)

    def _check_model(self, predictor: Predictor) -> None:
        """After an error of ours: does the model still run? If not, ping says so; SageMaker replaces the container."""
        try:
            predictor.warm_up()
        except Exception as error:
            self._unready = "The model does not run any more."
            self._predictor = None
            print(f"inference.server: the model does not run any more: {error}", file=sys.stderr, flush=True)

    async def _refuse(
        self, error: RequestError, scope: Scope, body: _Body, send: Send, *, allow: str | None = None
    ) -> None:
        """Answer with ``error`` before the body was read whole, and close the connection."""
        if not _headers(scope, b"expect"):  # who waits for "100 Continue" sends nothing more
            await body.drain()
        headers = [(b"connection", b"close"), *([(b"allow", allow.encode())] if allow else [])]
        await _respond(send, error.status, error_body(error.code, error.message), headers)


def _headers(scope: Scope, name: bytes) -> list[str]:
    """The values of a header, in order; ``name`` in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def _respond(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    own = [(b"content-length", str(len(body)).encode())]
    if body:
        own.append((b"content-type", invocation.JSON.encode()))
    await send({"type": "http.response.start", "status": status, "headers": [*own, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
