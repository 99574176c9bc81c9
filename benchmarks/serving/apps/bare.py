"""uvicorn with nothing but the way into a thread and back: what any server on it costs at least."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.serving.apps import work

_answer = work.load()
_pool = ThreadPoolExecutor(1)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    answer = b""
    if scope["path"] == "/invocations":
        answer = (await asyncio.get_running_loop().run_in_executor(_pool, _answer, body)).encode()
    headers = [(b"content-length", b"%d" % len(answer)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
