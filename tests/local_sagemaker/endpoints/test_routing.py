from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.endpoints.routing import Weighted


def test_shares_follow_the_weights_exactly() -> None:
    weighted = Weighted()
    picks = Counter(weighted.pick({"a": 2.0, "b": 1.0, "c": 1.0}) for _ in range(400))
    assert picks == {"a": 200, "b": 100, "c": 100}


def test_turns_are_spread_and_not_in_blocks() -> None:
    weighted = Weighted()
    assert [weighted.pick({"a": 3.0, "b": 1.0}) for _ in range(4)].count("b") == 1


def test_without_any_weight_nobody_is_picked() -> None:
    assert Weighted().pick({"a": 0.0}) is None
    assert Weighted().pick({}) is None


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 20), min_size=1, max_size=5), st.integers(1, 4))
def test_over_whole_rounds_each_key_gets_its_weight(weights: dict[str, int], rounds: int) -> None:
    weighted, total = Weighted(), sum(weights.values())
    picks = Counter(weighted.pick({key: float(value) for key, value in weights.items()}) for _ in range(rounds * total))
    assert picks == Counter({key: value * rounds for key, value in weights.items() if value})


def test_changing_weights_count_at_once() -> None:
    weighted = Weighted()
    for _ in range(50):
        weighted.pick({"old": 1.0, "new": 0.0})
    assert {weighted.pick({"old": 0.0, "new": 1.0}) for _ in range(10)} == {"new"}
