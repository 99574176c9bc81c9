from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.metrics.distribution import Distribution, of_set

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: value if abs(value) > 1e-6 else 0.0)


def of(*values: float) -> Distribution:
    found = Distribution()
    for value in values:
        found.add(value)
    return found


@given(st.lists(NUMBERS, min_size=1, max_size=200), st.sampled_from([0, 1, 50, 90, 99, 99.9, 100]))
def test_a_percentile_is_the_nearest_rank_within_one_percent(values: list[float], percent: float) -> None:
    rank = max(1, math.ceil(percent / 100 * len(values) - 1e-9))
    exact = sorted(values)[rank - 1]
    assert of(*values).statistic(f"p{percent:g}") == pytest.approx(exact, rel=0.0101)


@given(st.lists(NUMBERS, min_size=1), st.lists(NUMBERS))
def test_parts_that_are_merged_and_stored_are_the_whole(left: list[float], right: list[float]) -> None:
    part = of(*left)
    part.merge(of(*right))
    back = Distribution.load(part.count, part.total, part.low, part.high, part.dump(), part.default)
    whole = of(*left, *right)
    assert (back.count, back.low, back.high, back.buckets) == (whole.count, whole.low, whole.high, whole.buckets)
    assert back.total == pytest.approx(whole.total, rel=1e-9, abs=1e-3)


def test_memory_does_not_grow_with_the_number_of_values() -> None:
    found = Distribution()
    for number in range(100_000):
        found.add(100 + number % 5000)
    assert found.count == 100_000
    assert found.buckets is not None and len(found.buckets) < 250


def test_simple_statistics_are_exact() -> None:
    found = of(3, 1, 2)
    assert [found.statistic(name) for name in ("Sum", "Average", "Minimum", "Maximum", "SampleCount")] == [
        6,
        2,
        1,
        3,
        3,
    ]
    assert Distribution().statistic("Sum") is None
    with pytest.raises(ValueError, match="median is no statistic: expected Sum"):
        found.statistic("median")


def test_a_set_of_statistics_has_percentiles_only_when_its_values_are_known() -> None:
    assert of_set(4, 20, 5, 5).statistic("p90") == 5
    spread = of_set(4, 20, 1, 9)
    assert spread.statistic("p90") is None
    assert spread.statistic("Average") == 5
    spread.merge(of(2))
    assert (spread.statistic("p90"), spread.statistic("SampleCount")) == (None, 5)
