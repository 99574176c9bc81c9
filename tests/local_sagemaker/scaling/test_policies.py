from __future__ import annotations

import pytest

from local_sagemaker.scaling.policies import HIGH, LOW, place, proposed


@pytest.mark.parametrize(
    ("current", "value", "target", "which", "wanted"),
    [
        (1, 4.0, 2.0, HIGH, 2),
        (2, 15.0, 2.0, HIGH, 15),
        (3, 2.0, 2.0, HIGH, 4),  # it rang: one more at the least
        (4, 1.0, 2.0, LOW, 2),
        (2, 1.9, 2.0, LOW, 1),  # it rang: one less at the least
        (1, 0.0, 2.0, LOW, 1),
    ],
)
def test_the_count_at_which_each_instance_sees_the_target(
    current: int, value: float, target: float, which: str, wanted: int
) -> None:
    assert proposed(current, value, target, which) == wanted


def test_which_variant_a_resource_is() -> None:
    assert place("endpoint/My-Endpoint/variant/AllTraffic") == ("My-Endpoint", "AllTraffic")
    assert place("table/my-table") is None
