"""granian's own interface, RSGI, with the model in a thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.serving.apps import work

_answer = work.load()
_pool = ThreadPoolExecutor(2)


async def app(scope: Any, proto: Any) -> None:
    body = await proto()
    answer = ""
    if scope.path == "/invocations":
        answer = await asyncio.get_running_loop().run_in_executor(_pool, _answer, body)
    proto.response_str(200, [("content-type", "application/json")], answer)
