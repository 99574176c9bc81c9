"""The ASGI application where a real process cannot be brought to: a broken model, a full queue, a passed deadline."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest

from inference.app import Application
from inference.errors import RequestError
from inference.exchange import Call, Reply
from inference.limits import ServerOptions


class Service:
    """A service that does as it is told."""

    def __init__(self, error: BaseException | None = None, *, works_later: bool = True) -> None:
        self.error = error
        self.works_later = works_later
        self.started, self.release = threading.Event(), threading.Event()

    def describe(self) -> str:
        return "a test"

    def check(self, headers: Sequence[tuple[str, str]]) -> None:
        if ("accept", "nothing") in headers:
            raise RequestError("not_acceptable", "No.")

    def answer(self, call: Call) -> Reply:
        if self.error:
            raise self.error
        self.started.set()
        if call.body == b"wait":
            assert self.release.wait(60)
        return Reply(call.body, "text/plain")

    def still_runs(self) -> None:
        if not self.works_later:
            raise ArithmeticError("still broken")


async def call(
    application: Application, method: str = "POST", path: str = "/invocations", body: bytes = b"x", **headers: str
) -> tuple[int, Any, dict[str, str]]:
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    await application({"type": "http", "path": path, "method": method, "headers": given}, receive, send)
    start, end = sent
    text = end["body"]
    answer = json.loads(text) if text[:1] == b"{" else text
    return start["status"], answer, {name.decode(): value.decode() for name, value in start["headers"]}


def served(service: Service, **options: Any) -> Application:
    application = Application(1, ServerOptions(**options))
    application.ready(service)
    return application


@pytest.mark.parametrize(("works_later", "ping"), [(True, 200), (False, 503)])
def test_ping_is_503_only_when_the_model_does_not_run_any_more(
    works_later: bool, ping: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> None:
        application = served(Service(RuntimeError("secret"), works_later=works_later))
        status, answer, _ = await call(application)
        assert (status, answer["error"]["code"]) == (500, "internal")
        assert "secret" not in json.dumps(answer)
        assert (await call(application, "GET", "/ping"))[0] == ping
        if ping == 503:
            assert (await call(application))[0] == 503

    asyncio.run(scenario())
    assert "secret" in capsys.readouterr().err


def test_a_request_that_needs_too_much_memory_is_a_507_and_the_server_lives() -> None:
    async def scenario() -> None:
        application = served(Service(MemoryError()))
        status, answer, _ = await call(application)
        assert (status, answer["error"]["code"]) == (507, "out_of_memory")
        assert (await call(application, "GET", "/ping"))[0] == 200

    asyncio.run(scenario())


def test_code_that_asks_the_process_to_end_does_not_end_it() -> None:
    async def scenario() -> None:
        application = served(Service(SystemExit(3)))
        assert (await call(application))[0] == 500
        assert (await call(application, "GET", "/ping"))[0] == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("queue", [0, 1, 5])
def test_a_full_queue_is_an_immediate_503_and_ping_still_answers(queue: int) -> None:
    async def scenario() -> None:
        service = Service()
        application = served(service, queue=queue)
        busy = [asyncio.create_task(call(application, body=b"wait")) for _ in range(1 + queue)]
        await asyncio.to_thread(service.started.wait, 60)  # one works, the others wait
        while application.waiting < queue:
            await asyncio.sleep(0)
        status, answer, headers = await call(application)
        assert (status, answer["error"]["code"], headers["retry-after"]) == (503, "overloaded", "1")
        assert application.waiting == queue
        assert (await call(application, "GET", "/ping"))[0] == 200
        service.release.set()
        assert [status for status, _, _ in await asyncio.gather(*busy)] == [200] * (1 + queue)
        assert (await call(application))[0] == 200  # there is room again

    asyncio.run(scenario())


def test_a_request_that_waits_or_works_too_long_is_answered_at_its_deadline() -> None:
    async def scenario() -> None:
        service = Service()
        application = served(service, deadline_seconds=0.2)
        works, waits = await asyncio.gather(call(application, body=b"wait"), call(application))
        assert (works[0], works[1]["error"]["code"]) == (503, "deadline_exceeded")
        assert (waits[0], waits[1]["error"]["code"]) == (503, "overloaded")
        # Its only thread still works on the first: nobody can be served, so SageMaker must know.
        assert (await call(application, "GET", "/ping"))[0] == 503
        service.release.set()
        while (await call(application, "GET", "/ping"))[0] != 200:
            await asyncio.sleep(0.01)
        assert (await call(application))[0] == 200

    asyncio.run(scenario())


def test_draining_refuses_what_comes_and_ends_when_what_was_there_is_answered() -> None:
    async def scenario() -> None:
        service = Service()
        application = served(service)
        busy = asyncio.create_task(call(application, body=b"wait"))
        await asyncio.to_thread(service.started.wait, 60)
        draining = asyncio.create_task(application.drain())
        await asyncio.sleep(0)
        assert (await call(application, "GET", "/ping"))[0] == 503
        status, answer, headers = await call(application)
        assert (status, answer["error"]["code"], headers["retry-after"]) == (503, "not_ready", "1")
        assert not draining.done()
        service.release.set()
        assert (await busy)[0] == 200
        await asyncio.wait_for(draining, 60)

    asyncio.run(scenario())


def test_many_headers_are_a_431() -> None:
    async def scenario() -> None:
        application = served(Service(), max_headers=3, max_header_bytes=100)
        assert (await call(application, a="1", b="2", c="3"))[0] == 200
        for headers in ({"a": "1", "b": "2", "c": "3", "d": "4"}, {"a": "x" * 96}):
            status, answer, _ = await call(application, **headers)
            assert (status, answer["error"]["code"]) == (431, "headers_too_large")

    asyncio.run(scenario())


def test_every_answer_has_a_request_id_of_its_own_and_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> list[str]:
        application = served(Service(), log_share=1.0)
        answers = [await call(application), await call(application, accept="nothing")]
        await application.drain()
        return [headers["x-request-id"] for _, _, headers in answers]

    first, second = asyncio.run(scenario())
    assert first != second
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["id"], line["status"]) for line in lines] == [
        ("request", first, 200),
        ("request", second, 406),
    ]
