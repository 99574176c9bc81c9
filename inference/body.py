"""A request's body as ASGI brings it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

#: After an error the rest of a body is read and thrown away, so that a client that is still sending reads the answer
#: and not a reset connection; but not more than this many bytes, and not for longer than this many seconds.
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 5.0


class Body:
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
