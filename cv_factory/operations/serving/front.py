"""What stands before the container's server: the page, and the two ways to call.

``/`` is the page, ``/about`` what it shows of the bundle. ``/ping`` and ``/invocations`` go to the container as they
are, and its answers come back as they are. ``/endpoints/NAME/invocations`` is the same in the form of SageMaker's
runtime API, so that boto3 can be pointed here (``AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME``).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from contracts import invocation

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PAGE = Path(__file__).with_name("page.html")

#: Bytes of a body that are kept here; the container's own limit is lower.
_MOST_BYTES = 64 * 2**20
_AT_ONCE = 32
#: Seconds until the container must have answered, as with SageMaker.
_SECONDS = 60.0
#: Headers that speak of a connection and not of a message (RFC 9110, section 7.6.1), and those that are set anew.
_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length", "expect", "date", "server",
}  # fmt: skip
_PASSED = {"/ping": "GET", "/invocations": "POST"}
_RUNTIME = re.compile(r"/endpoints/[A-Za-z0-9-]{1,63}/invocations")
_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)
_MESSAGE_CHARACTERS = 2048
#: The one code that is not the container's.
_FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Front:
    """The ASGI application.

    Args:
        port: of the container's server on loopback.
        about: what ``/about`` says.
    """

    def __init__(self, port: int, about: Mapping[str, Any]) -> None:
        self._container = urllib3.HTTPConnectionPool(
            "127.0.0.1", port, maxsize=_AT_ONCE, retries=False, timeout=urllib3.Timeout(connect=5, read=_SECONDS)
        )
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="front")
        self._page = _page()
        self._about = Answer(200, (("content-type", invocation.JSON), *_PLAIN), json.dumps(about).encode())

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._container.close()

    async def ready(self) -> bool:
        """Whether the container's ping says 200."""
        return (await self._forward("GET", "/ping", {}, b"")).status == 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope, receive)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        path, method = scope["path"], scope["method"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if not _is_ours(headers):
            return _refusal(_FORBIDDEN, "This server answers its own page and programs of this machine only.")
        if path in ("/", "/about") and method in ("GET", "HEAD"):
            return self._page if path == "/" else self._about
        is_runtime = _RUNTIME.fullmatch(path) is not None
        if path not in _PASSED and not is_runtime:
            return _refusal("not_found", f"There is no {path[:100]!r}; there is /, {', '.join(_PASSED)}.")
        body = await _read(receive)
        if body is None:
            answer = _refusal("body_too_large", f"The body has more than {_MOST_BYTES} bytes.")
        else:
            kept = {name: value for name, value in headers.items() if name not in _HOP}
            answer = await self._forward(method, "/invocations" if is_runtime else path, kept, body)
        return _as_runtime(answer) if is_runtime else answer

    async def _forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._ask, method, path, headers, body
        )  # fmt: skip

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            found = self._container.urlopen(
                method, path, body=body or None, headers=dict(headers), redirect=False, decode_content=False
            )
        except urllib3.exceptions.ReadTimeoutError:
            return _refusal("internal", f"The container did not answer within {_SECONDS:g} s.")
        except (urllib3.exceptions.HTTPError, OSError):
            return _refusal("not_ready", "The container's server does not answer yet, or not any more.")
        kept = tuple((name, value) for name, value in found.headers.items() if name.lower() not in _HOP)
        return Answer(found.status, kept, found.data)


#: Nothing of this server is kept or guessed at by a browser.
_PLAIN = (("cache-control", "no-store"), ("x-content-type-options", "nosniff"))


def _page() -> Answer:
    """The page; its policy allows its own inline script and style by their hashes, and calls to this server only."""
    text = PAGE.read_text(encoding="utf-8")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hashes(text, 'script')}",
            f"style-src {_hashes(text, 'style')}",
            "img-src blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    headers = (
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", policy),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        *_PLAIN,
    )
    return Answer(200, headers, text.encode())


def _hashes(text: str, tag: str) -> str:
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode() for inner in found)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _is_ours(headers: Mapping[str, str]) -> bool:
    """Whether a request was meant for this server: another site's page, or its name pointed here, was not."""
    host = headers.get("host", "")
    origin = headers.get("origin")
    return _HOST.fullmatch(host) is not None and (origin is None or origin == f"http://{host}")


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when it is too large, but read to its end, so that the answer is seen."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= _MOST_BYTES:
            parts.append(part)
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(parts) if size <= _MOST_BYTES else None


def _refusal(code: str, message: str) -> Answer:
    status = 403 if code == _FORBIDDEN else invocation.ERRORS[code]
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Answer(status, (("content-type", invocation.JSON), *_PLAIN), body)


def _as_runtime(answer: Answer) -> Answer:
    """A container's error as InvokeEndpoint reports it: ModelError, status 424."""
    if 200 <= answer.status < 300:
        return answer
    text = answer.body.decode("utf-8", "replace")[:_MESSAGE_CHARACTERS]
    side = "client" if answer.status < 500 else "server"
    document = {
        "Message": f'Received {side} error ({answer.status}) from primary with message "{text}".',
        "OriginalMessage": text,
        "OriginalStatusCode": answer.status,
    }
    headers = (("content-type", invocation.JSON), ("x-amzn-errortype", "ModelError"))
    return Answer(424, headers, json.dumps(document).encode())
