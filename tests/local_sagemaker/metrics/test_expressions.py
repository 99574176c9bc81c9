from __future__ import annotations

import pytest

from local_sagemaker.metrics.expressions import BadExpression, Series, parse

A: Series = {0: 1.0, 60: 2.0, 120: 3.0}
B: Series = {60: 4.0, 120: 0.0, 180: 8.0}
GRID = (0, 60, 120, 180)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a", A),
        ("100 * a / b", {60: 50.0}),  # by zero there is no value
        ("a + b - 1", {60: 5.0, 120: 2.0}),
        ("-a ^ 2 * 2", {0: 2.0, 60: 8.0, 120: 18.0}),
        ("2 ^ 3 ^ 2 + a*0", {0: 512.0, 60: 512.0, 120: 512.0}),
        ("a >= 2 && b < 1", {60: 0.0, 120: 1.0}),
        ("a == 1 OR b == 4", {60: 1.0, 120: 0.0}),
        ("FILL(a, 0)", {**A, 180: 0.0}),
        ("FILL(b, REPEAT)", B),
        ("FILL(a, REPEAT)", {**A, 180: 3.0}),
        ("FILL(a, b)", {**A, 180: 8.0}),
        ("IF(FILL(b, 0) > 0, 100 * FILL(a, 0) / FILL(b, 0), 0)", {0: 0.0, 60: 50.0, 120: 0.0, 180: 0.0}),
        ("IF(a > 1, a)", {60: 2.0, 120: 3.0}),
        ("IF(a > 1, a, 9)", {0: 9.0, 60: 2.0, 120: 3.0}),
        ("SUM([a, b])", {0: 1.0, 60: 6.0, 120: 3.0, 180: 8.0}),
        ("MAX(METRICS()) + a*0", {0: 1.0, 60: 4.0, 120: 3.0}),
        ("AVG(a)", dict.fromkeys(GRID, 2.0)),
        ("a / PERIOD(a)", {0: 1 / 60, 60: 2 / 60, 120: 3 / 60}),
        ("DIFF(a)", {60: 1.0, 120: 1.0}),
        ("RUNNING_SUM(a)", {0: 1.0, 60: 3.0, 120: 6.0}),
        ("CEIL(a / 2)", {0: 1.0, 60: 1.0, 120: 2.0}),
        ("AVG(IF(a > 9, a))", {}),
        ("IF(a >= 2, MAX([ABS(FILL(b, 0) / a - 0.5), ABS(b / a - 3)]), 0)", {0: 0.0, 60: 1.5, 120: 3.0}),
    ],
)
def test_expressions(text: str, wanted: Series) -> None:
    assert parse(text).compute({"a": A, "b": B}, GRID, 60) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a +", "ends too early"),
        ("(a", "is expected"),
        ("a $ b", "cannot be read at '\\$ b'"),
        ("a b", "cannot be read at 'b'"),
        ("Errors / 2", "Errors is no id of a metric"),
        ("SEARCH('x', 'Sum')", "SEARCH is not supported"),
    ],
)
def test_what_cannot_be_read(text: str, words: str) -> None:
    with pytest.raises(BadExpression, match=words):
        parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("c", "no metric with the id c"),
        ("[a, b]", "gives 2 time series"),
        ("ABS(a, b)", "ABS does not take 2 arguments"),
        ("FILL(a, 'x')", "FILL takes a number"),
    ],
)
def test_what_cannot_be_computed(text: str, words: str) -> None:
    with pytest.raises(BadExpression, match=words):
        parse(text).compute({"a": A, "b": B}, GRID, 60)
