"""The server's ASGI application: ``/ping``, ``/invocations`` and ``/execution-parameters``.

The model never runs in the event loop: a bounded number of requests waits for a pool of threads, so that ``/ping`` is
answered while every thread works. Source of the routes: SageMaker Developer Guide, "Use Your Own Inference Code with
Hosting Services" and "… with Batch Transform".
"""

from __future__ import annotations

import asyncio
import random
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from contracts import invocation
from inference.errors import RequestError
from inference.exchange import Call, Reply, Service
from inference.limits import DEFAULT_MAX_BODY_BYTES, ServerOptions
from inference.observe import Observer
from inference.pool import Job, Pool
from inference.wire import INTERNAL_MESSAGE, dump, error_body, too_large

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: After an error the rest of a body is read and thrown away, so that a client that is still sending reads the answer
#: and not a reset connection; but not more than this many bytes, and not for longer than this many seconds.
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0

_ROUTES = {"/ping": "GET", "/invocations": "POST", "/execution-parameters": "GET"}
_RETRY = (b"retry-after", b"1")


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
    """Answers requests with the service that :meth:`ready` brings.

    Args:
        threads: requests that are worked on at once.
        options: limits.
        max_body_bytes: of a request.
        observer: told of each request.
    """

    def __init__(
        self,
        threads: int,
        options: ServerOptions | None = None,
        *,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        observer: Observer | None = None,
    ) -> None:
        self._options = options or ServerOptions()
        self._max_body_bytes = max_body_bytes
        self._observer = observer or Observer(log_share=self._options.log_share)
        self._threads = threads
        self.pool = Pool(threads, "predict")
        self._service: Service | None = None
        self._unready = "The model is being loaded."
        self._draining = False
        self._pending = 0  # requests that have begun, and whose thread is not free again yet
        self._late: set[asyncio.Future[Any]] = set()  # a thread still works on them, and their deadline has passed
        self._idle = asyncio.Event()
        self._idle.set()

    def ready(self, service: Service) -> None:
        """Answer requests with ``service``, which is loaded and warm, from now on."""
        self._service = service

    async def drain(self) -> None:
        """Take no more requests; returns when those in flight are answered."""
        self._draining = True
        await self._idle.wait()
        self._observer.flush()

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""
        return max(0, self._pending - self._threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive)
        path, method = scope["path"], scope["method"]
        if path == "/invocations" and method == "POST":
            await self._invoke(scope, body, send)
        elif path not in _ROUTES:
            error = RequestError("not_found", f"There is no {path[:100]!r}; there is {', '.join(_ROUTES)}.")
            await self._refuse(error, scope, body, send)
        elif method != _ROUTES[path]:
            error = RequestError("method_not_allowed", f"{path} is for {_ROUTES[path]}, not for {method[:20]!r}.")
            await self._refuse(error, scope, body, send, ((b"allow", _ROUTES[path].encode()),))
        elif path == "/ping":
            await self._ping(send)
        else:
            await _respond(send, 200, dump(self._execution_parameters()))

    async def _ping(self, send: Send) -> None:
        reason = self._why_not()
        if reason is None:
            await _respond(send, 200, b"", content_type="")
        else:
            await _respond(send, 503, error_body("not_ready", reason))

    def _why_not(self) -> str | None:
        """Why no request can be answered, or None."""
        if self._draining:
            return "The server is being stopped."
        if self._service is None:
            return self._unready
        if len(self._late) >= self._threads:
            return "Every thread works on a request whose deadline has passed."
        return None

    def _execution_parameters(self) -> dict[str, Any]:
        """What batch transform asks before it starts: one image a request, as many at once as there are threads."""
        return {
            "MaxConcurrentTransforms": self._threads * self._options.workers,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": max(1, self._max_body_bytes // 2**20),
        }

    async def _invoke(self, scope: Scope, body: _Body, send: Send) -> None:
        call = Call(b"", [], f"{random.getrandbits(128):032x}")
        extra: list[tuple[bytes, bytes]] = [(b"x-request-id", call.request_id.encode())]
        status = 0
        try:
            reply = await self._reply(call, scope, body)
            if reply is None:  # the client is gone
                return
            status = reply.status
            extra += [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()
            ]
            await _respond(send, status, reply.body, extra, reply.content_type)
        except RequestError as error:
            status = error.status
            if status == 503:
                extra.append(_RETRY)
            if body.ended:
                await _respond(send, status, error_body(error.code, error.message), extra)
            else:
                await self._refuse(error, scope, body, send, extra)
        finally:
            self._observer.saw(call, status or 499, self.waiting)

    async def _reply(self, call: Call, scope: Scope, body: _Body) -> Reply | None:
        service = self._service
        reason = self._why_not()
        if service is None or reason is not None:
            raise RequestError("not_ready", reason or self._unready)
        if self._pending >= self._threads + self._options.queue:
            raise RequestError("overloaded", f"{self._pending} requests are waiting already; try again later.")
        until = asyncio.get_running_loop().time() + self._options.deadline_seconds
        self._take()
        try:
            call.headers = self._headers(scope)
            service.check(call.headers)
            data = await self._read(call, body)
        except BaseException:
            self._free()
            raise
        if data is None:
            self._free()
            return None
        call.body = data
        return await self._in_time(service, call, until)

    async def _in_time(self, service: Service, call: Call, until: float) -> Reply:
        """What a thread answers before ``until``; one that is late goes on, and counts as late until it ends."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply | RequestError] = loop.create_future()
        job = self.pool.submit(partial(self._answer, service, call), partial(self._answered, answer))
        timer = loop.call_at(until, self._expired, answer, job)
        try:
            found = await answer
        finally:
            timer.cancel()
        if isinstance(found, RequestError):
            raise found
        return found

    def _answered(self, answer: asyncio.Future[Reply | RequestError], found: Reply | RequestError) -> None:
        self._free()
        self._late.discard(answer)
        if not answer.done():
            answer.set_result(found)

    def _expired(self, answer: asyncio.Future[Reply | RequestError], job: Job[Reply | RequestError]) -> None:
        if answer.done():
            return
        if job.cancel():  # it had no thread yet
            self._free()
            answer.set_result(RequestError("overloaded", "The request waited too long for its turn; try again later."))
        else:
            self._late.add(answer)
            seconds = self._options.deadline_seconds
            answer.set_result(RequestError("deadline_exceeded", f"The request was not answered within {seconds:g} s."))

    def _take(self) -> None:
        self._pending += 1
        self._idle.clear()

    def _free(self) -> None:
        self._pending -= 1
        if not self._pending:
            self._idle.set()

    def _headers(self, scope: Scope) -> list[tuple[str, str]]:
        options = self._options
        found: list[tuple[str, str]] = []
        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value) + 4
            found.append((name.decode("latin-1"), value.decode("latin-1")))
        if len(found) > options.max_headers or size > options.max_header_bytes:
            raise RequestError(
                "headers_too_large",
                f"The request has {len(found)} headers of {size} bytes; at most {options.max_headers} of "
                f"{options.max_header_bytes} bytes are accepted.",
            )
        return found

    async def _read(self, call: Call, body: _Body) -> bytes | None:
        """The request's body, or None when the client is gone.

        Raises:
            RequestError: it is larger than the limit, of which not more was kept; or it did not come in time.
        """
        limit = self._max_body_bytes
        for name, value in call.headers:
            if name == "content-length" and int(value) > limit:
                raise too_large(int(value), limit)
        parts = [await body.part()] if not body.ended else []  # mostly here already, and then whole
        size = len(parts[0]) if parts else 0
        if not body.ended and size <= limit:
            seconds = min(self._options.read_seconds, self._options.deadline_seconds)
            try:
                async with asyncio.timeout(seconds):
                    while not body.ended and size <= limit:
                        parts.append(await body.part())
                        size += len(parts[-1])
            except TimeoutError:
                raise RequestError("request_timeout", f"The body did not arrive within {seconds:g} s.") from None
        if size > limit:
            raise RequestError("body_too_large", f"The body has more than the {limit} bytes that are accepted.")
        if body.client_is_gone:
            return None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _answer(self, service: Service, call: Call) -> Reply | RequestError:
        """The answer to one request; runs in a thread and never raises."""
        try:
            return service.answer(call)
        except RequestError as error:
            return error
        except MemoryError:
            return RequestError("out_of_memory", "The server has no memory left for this request; try again later.")
        except BaseException as error:  # user code may even raise SystemExit
            traceback.print_exception(error, file=sys.stderr)
            self._check_model(service)
            return RequestError("internal", INTERNAL_MESSAGE)

    def _check_model(self, service: Service) -> None:
        """After an error of ours: does the model still run? If not, ping says so; SageMaker replaces the container."""
        try:
            service.still_runs()
        except Exception as error:
            self._unready = "The model does not run any more."
            self._service = None
            print(f"inference.server: the model does not run any more: {error}", file=sys.stderr, flush=True)

    async def _refuse(
        self,
        error: RequestError,
        scope: Scope,
        body: _Body,
        send: Send,
        extra: tuple[tuple[bytes, bytes], ...] | list[tuple[bytes, bytes]] = (),
    ) -> None:
        """Answer with ``error`` before the body was read whole; close the connection unless all of it came."""
        waits = any(name == b"expect" for name, _ in scope["headers"])  # for "100 Continue": it sends nothing more
        if not waits and error.code != "request_timeout":
            await body.drain()
        headers = [*extra] if body.ended else [(b"connection", b"close"), *extra]
        await _respond(send, error.status, error_body(error.code, error.message), headers)


async def _respond(
    send: Send,
    status: int,
    body: bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
    content_type: str = invocation.JSON,
) -> None:
    own = [(b"content-length", b"%d" % len(body))]
    if content_type:
        own.append((b"content-type", content_type.encode("latin-1")))
    await send({"type": "http.response.start", "status": status, "headers": [*own, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
