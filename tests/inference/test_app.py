"""The ASGI application where a real process cannot be brought to: a model that stops working, and a full queue."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import MutableMapping
from typing import Any

import pytest

from inference import app
from inference.app import Application
from inference.handler import Handler
from tests.inference import tiny


class Model:
    """A predictor that does as it is told."""

    def __init__(self, error: BaseException | None = None, *, works_later: bool = False) -> None:
        self.error = error
        self.works_later = works_later
        self.started, self.release = threading.Event(), threading.Event()

    def predict(self, images: Any) -> Any:
        self.started.set()
        if self.error:
            raise self.error
        assert self.release.wait(60)
        return Handler()  # never answered

    def warm_up(self) -> None:
        if not self.works_later:
            raise ArithmeticError("still broken")


async def call(application: Application, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": [(b"content-type", b"image/png")]}
    await application(scope, receive, send)
    start, end = sent
    return start["status"], json.loads(end["body"]) if end["body"] else None


@pytest.mark.parametrize(("works_later", "ping"), [(True, 200), (False, 503)])
def test_ping_is_503_only_when_the_model_does_not_run_any_more(
    works_later: bool, ping: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        application = Application(Handler(), threads=1)
        application.ready(Model(RuntimeError("secret"), works_later=works_later))  # type: ignore[arg-type]
        status, answer = await call(application, "POST", "/invocations", tiny.picture(0))
        assert (status, answer["error"]["code"]) == (500, "internal")
        assert "secret" not in json.dumps(answer)
        assert (await call(application, "GET", "/ping"))[0] == ping
        if ping == 503:
            assert (await call(application, "POST", "/invocations", tiny.picture(0)))[0] == 503

    asyncio.run(scenario())
    assert "secret" in capsys.readouterr().err


def test_a_request_that_needs_too_much_memory_is_a_503_and_the_server_lives() -> None:
    async def scenario() -> None:
        application = Application(Handler(), threads=1)
        application.ready(Model(MemoryError()))  # type: ignore[arg-type]
        status, answer = await call(application, "POST", "/invocations", tiny.picture(0))
        assert (status, answer["error"]["code"]) == (503, "overloaded")
        assert (await call(application, "GET", "/ping"))[0] == 200

    asyncio.run(scenario())


def test_a_full_queue_is_a_503_and_ping_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_WAITING", 1)

    async def scenario() -> None:
        model = Model(works_later=True)
        application = Application(Handler(), threads=1)
        application.ready(model)  # type: ignore[arg-type]
        busy = [asyncio.create_task(call(application, "POST", "/invocations", tiny.picture(0))) for _ in range(2)]
        await asyncio.to_thread(model.started.wait, 60)  # one works, one waits
        status, answer = await call(application, "POST", "/invocations", tiny.picture(0))
        assert (status, answer["error"]["code"]) == (503, "overloaded")
        assert (await call(application, "GET", "/ping"))[0] == 200
        model.release.set()
        await asyncio.gather(*busy)
        assert (await call(application, "POST", "/invocations", tiny.picture(0)))[0] == 500  # there is room again

    asyncio.run(scenario())
