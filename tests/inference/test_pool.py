from __future__ import annotations

import asyncio
import threading

import pytest

from inference.pool import Pool


def test_results_come_to_the_loop_in_its_own_thread() -> None:
    async def scenario() -> list[tuple[int, bool]]:
        here, found, ended = threading.get_ident(), [], asyncio.Event()

        def done(value: tuple[int, bool]) -> None:
            found.append((value[0], value[1] and threading.get_ident() == here))
            if len(found) == 500:
                ended.set()

        pool = Pool(3, "work")
        for number in range(500):
            pool.submit(lambda number=number: (number, threading.get_ident() != here), done)  # type: ignore[misc]
        await ended.wait()
        return found

    found = asyncio.run(scenario())
    assert sorted(found) == [(number, True) for number in range(500)]


def test_a_cancelled_job_is_never_worked_on() -> None:
    async def scenario() -> tuple[bool, bool, list[str]]:
        pool, busy, go, worked, ended = Pool(1, "work"), threading.Event(), threading.Event(), [], asyncio.Event()

        def first() -> str:
            busy.set()
            go.wait()
            return "first"

        def done(name: str) -> None:
            worked.append(name)
            if name == "third":
                ended.set()

        running = pool.submit(first, done)
        waiting = pool.submit(lambda: "second", done)
        pool.submit(lambda: "third", done)
        await asyncio.to_thread(busy.wait)
        answers = running.cancel(), waiting.cancel()
        go.set()
        await ended.wait()
        return *answers, worked

    assert asyncio.run(scenario()) == (False, True, ["first", "third"])


def test_what_a_call_raises_is_the_futures() -> None:
    async def scenario() -> int:
        pool = Pool(1, "work")
        with pytest.raises(ZeroDivisionError):
            await asyncio.wrap_future(pool.call(lambda: 1 // 0))
        return await asyncio.wrap_future(pool.call(lambda: 7))  # the thread goes on

    assert asyncio.run(scenario()) == 7
