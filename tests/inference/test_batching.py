from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from inference.batching import Batcher


class Network:
    """Doubles numbers; a negative one cannot be doubled. Remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._lock = threading.Lock()

    def __call__(self, items: Sequence[int]) -> list[int]:
        with self._lock:
            self.sizes.append(len(items))
        if min(items) < 0:
            raise ArithmeticError("negative")
        return [2 * item for item in items]


def test_callers_at_once_share_a_batch_and_get_their_own_answers() -> None:
    network = Network()
    batcher = Batcher(network, largest=8, wait_seconds=30)  # the eighth ends the waiting
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(batcher, [[number] for number in range(8)])) == [[2 * number] for number in range(8)]
    assert network.sizes == [8]


def test_a_caller_alone_waits_no_longer_than_it_must() -> None:
    network = Network()
    assert Batcher(network, largest=8, wait_seconds=0.01)([1, 2]) == [2, 4]
    assert Batcher(network, largest=2, wait_seconds=30)([1, 2, 3]) == [2, 4, 6]
    assert network.sizes == [2, 3]


def test_what_has_no_room_comes_next() -> None:
    network = Network()
    batcher = Batcher(network, largest=4, wait_seconds=0.05)
    asked = [[number, number + 1, number + 2] for number in range(12)]
    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(batcher, asked)) == [[2 * item for item in items] for items in asked]
    assert network.sizes == [3] * 12


def test_many_threads_and_many_rounds() -> None:
    network = Network()
    batcher = Batcher(network, largest=5, wait_seconds=0.001)
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(batcher, [[number] for number in range(2000)])) == [[2 * n] for n in range(2000)]
    assert sum(network.sizes) == 2000 and max(network.sizes) <= 5


def test_one_that_fails_harms_nobody_else() -> None:
    network = Network()
    batcher = Batcher(network, largest=4, wait_seconds=30)

    def ask(number: int) -> list[int]:
        try:
            return batcher([number])
        except ArithmeticError:
            return []

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, [1, -1, 2, 3])) == [[2], [], [4], [6]]
    assert sorted(network.sizes) == [1, 1, 1, 1, 4]
    with pytest.raises(ArithmeticError):
        Batcher(network, largest=1, wait_seconds=0)([-1])
