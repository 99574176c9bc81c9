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
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import partial
from typing import Any

from contracts import invocation
from inference.body import Body, Receive
from inference.errors import RequestError
from inference.exchange import Call, Reply, Service
from inference.limits import DEFAULT_MAX_BODY_BYTES, ServerOptions
from inference.observe import Observer
from inference.pool import Job, Pool
from inference.wire import INTERNAL_MESSAGE, dump, error_body, too_large

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
#: Status, headers, body.
Respond = Callable[[int, list[tuple[bytes, bytes]], bytes], None]

_ROUTES = {"/ping": "GET", "/invocations": "POST", "/execution-parameters": "GET"}
_RETRY = (b"retry-after", b"1")


class _Work:
    """A request that a thread works on, and what is to be called, once, with its answer."""

    __slots__ = ("_answered", "ended", "timer")

    def __init__(self, answered: Callable[[Reply | RequestError], None]) -> None:
        self._answered = answered
        self.ended = False
        self.timer: asyncio.TimerHandle | None = None

    def end(self, found: Reply | RequestError) -> None:
        if self.ended:
            return
        self.ended = True
        if self.timer is not None:
            self.timer.cancel()
        self._answered(found)


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
        self.pool = Pool(threads, "predict")
        self._service: Service | None = None
        self._unready = "The model is being loaded."
        self._draining = False
        self._pending = 0  # requests that have begun, and whose thread is not free again yet
        self._late: set[_Work] = set()  # a thread still works on them, and their deadline has passed
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
    def threads(self) -> int:
        """Requests that are worked on at once."""
        return self.pool.threads

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""
        return max(0, self._pending - self.threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Body(receive)
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
        if len(self._late) >= self.threads:
            return "Every thread works on a request whose deadline has passed."
        return None

    def _execution_parameters(self) -> dict[str, Any]:
        """What batch transform asks before it starts: one image a request, as many at once as there are threads."""
        return {
            "MaxConcurrentTransforms": self.threads * self._options.workers,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": max(1, self._max_body_bytes // 2**20),
        }

    def begin(self, scope: Scope, data: bytes, respond: Respond) -> None:
        """Answer a request for ``/invocations`` whose body is here already, without a task of its own.

        ``respond`` is called once, in the loop's thread, with status, headers and body; now or later.
        """
        call = _call(data)
        until = asyncio.get_running_loop().time() + self._options.deadline_seconds
        try:
            service = self._admit(call, scope)
        except RequestError as error:
            self._finish(call, respond, error)
            return
        if len(data) > self._max_body_bytes:
            self._free()
            self._finish(call, respond, too_large(len(data), self._max_body_bytes))
            return
        self._start(service, call, until, partial(self._finish, call, respond))

    def _finish(self, call: Call, respond: Respond, found: Reply | RequestError) -> None:
        if isinstance(found, RequestError):
            status, body, content_type = found.status, error_body(found.code, found.message), invocation.JSON
        else:
            status, body, content_type = found.status, found.body, found.content_type
        respond(status, _headers(body, content_type, _extra(call, found)), body)
        self._observer.saw(call, status, self.waiting)

    async def _invoke(self, scope: Scope, body: Body, send: Send) -> None:
        call = _call(b"")
        status = 0
        try:
            reply = await self._reply(call, scope, body)
            if reply is None:  # the client is gone
                return
            status = reply.status
            await _respond(send, status, reply.body, _extra(call, reply), reply.content_type)
        except RequestError as error:
            status = error.status
            extra = _extra(call, error)
            if body.ended:
                await _respond(send, status, error_body(error.code, error.message), extra)
            else:
                await self._refuse(error, scope, body, send, extra)
        finally:
            self._observer.saw(call, status or 499, self.waiting)

    async def _reply(self, call: Call, scope: Scope, body: Body) -> Reply | None:
        until = asyncio.get_running_loop().time() + self._options.deadline_seconds
        service = self._admit(call, scope)
        try:
            data = await self._read(call, body)
        except BaseException:
            self._free()
            raise
        if data is None:
            self._free()
            return None
        call.body = data
        answer: asyncio.Future[Reply | RequestError] = asyncio.get_running_loop().create_future()
        self._start(service, call, until, partial(_set, answer))
        found = await answer
        if isinstance(found, RequestError):
            raise found
        return found

    def _admit(self, call: Call, scope: Scope) -> Service:
        """The service that answers; the request counts as pending from now on.

        Raises:
            RequestError: it is not to be answered, whatever its body is; then it does not count.
        """
        service = self._service
        reason = self._why_not()
        if service is None or reason is not None:
            raise RequestError("not_ready", reason or self._unready)
        if self._pending >= self.threads + self._options.queue:
            raise RequestError("overloaded", f"{self._pending} requests are waiting already; try again later.")
        call.headers = self._headers(scope)
        service.check(call.headers)
        self._take()
        return service

    def _start(
        self, service: Service, call: Call, until: float, answered: Callable[[Reply | RequestError], None]
    ) -> None:
        """Let a thread answer before ``until``; one that is late goes on, and counts as late until it ends."""
        work = _Work(answered)
        job = self.pool.submit(partial(self._answer, service, call), partial(self._answered, work))
        work.timer = asyncio.get_running_loop().call_at(until, self._expired, work, job)

    def _answered(self, work: _Work, found: Reply | RequestError) -> None:
        self._free()
        self._late.discard(work)
        work.end(found)

    def _expired(self, work: _Work, job: Job[Reply | RequestError]) -> None:
        if work.ended:
            return
        if job.cancel():  # it had no thread yet
            self._free()
            work.end(RequestError("overloaded", "The request waited too long for its turn; try again later."))
        else:
            self._late.add(work)
            seconds = self._options.deadline_seconds
            work.end(RequestError("deadline_exceeded", f"The request was not answered within {seconds:g} s."))

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

    async def _read(self, call: Call, body: Body) -> bytes | None:
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
        body: Body,
        send: Send,
        extra: tuple[tuple[bytes, bytes], ...] | list[tuple[bytes, bytes]] = (),
    ) -> None:
        """Answer with ``error`` before the body was read whole; close the connection unless all of it came."""
        waits = any(name == b"expect" for name, _ in scope["headers"])  # for "100 Continue": it sends nothing more
        if not waits and error.code != "request_timeout":
            await body.drain()
        headers = [*extra] if body.ended else [(b"connection", b"close"), *extra]
        await _respond(send, error.status, error_body(error.code, error.message), headers)


def _call(body: bytes) -> Call:
    return Call(body, [], f"{random.getrandbits(128):032x}")


def _set(answer: asyncio.Future[Reply | RequestError], found: Reply | RequestError) -> None:
    if not answer.done():
        answer.set_result(found)


def _extra(call: Call, found: Reply | RequestError) -> list[tuple[bytes, bytes]]:
    """The headers of an answer beside its length and type."""
    extra = [(b"x-request-id", call.request_id.encode())]
    if isinstance(found, RequestError):
        if found.status == 503:
            extra.append(_RETRY)
    elif found.headers:
        extra += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in found.headers.items()]
    return extra


def _headers(body: bytes, content_type: str, extra: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    own = [(b"content-length", b"%d" % len(body))]
    if content_type:
        own.append((b"content-type", content_type.encode("latin-1")))
    return [*own, *extra]


async def _respond(
    send: Send,
    status: int,
    body: bytes,
    extra: Sequence[tuple[bytes, bytes]] = (),
    content_type: str = invocation.JSON,
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _headers(body, content_type, extra)})
    await send({"type": "http.response.body", "body": body})
