"""The tables of the CloudWatch User Guide, "Configuring how CloudWatch alarms treat missing data"."""

from __future__ import annotations

import pytest

from local_sagemaker.alarms.verdicts import judge

RETAIN = "RETAINED"


def state(points: str, periods: int, to_alarm: int, missing: str) -> str:
    """``points`` oldest first: 0 is fine, X breaches, - is missing."""
    values = {"0": 0.0, "X": 1.0, "-": None}
    newest_first = [values[one] for one in reversed(points.split())]
    return judge(
        newest_first, lambda value: value > 0.5, periods=periods, to_alarm=to_alarm, missing=missing, current=RETAIN
    ).state


@pytest.mark.parametrize(
    ("points", "missing", "ignore", "breaching", "not_breaching"),
    [
        ("0 - X - X", "OK", "OK", "OK", "OK"),
        ("- - - - 0", "OK", "OK", "OK", "OK"),
        ("- - - - -", "INSUFFICIENT_DATA", RETAIN, "ALARM", "OK"),
        ("0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
        ("- - X - -", "ALARM", RETAIN, "ALARM", "OK"),
    ],
)
def test_three_out_of_three(points: str, missing: str, ignore: str, breaching: str, not_breaching: str) -> None:
    assert [state(points, 3, 3, one) for one in ("missing", "ignore", "breaching", "notBreaching")] == [
        missing, ignore, breaching, not_breaching,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("points", "missing", "ignore", "breaching", "not_breaching"),
    [
        ("0 - X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
        ("0 0 X 0 X", "ALARM", "ALARM", "ALARM", "ALARM"),
        ("0 - X - -", "OK", "OK", "ALARM", "OK"),
        ("- - - - 0", "OK", "OK", "ALARM", "OK"),
        ("- - - X -", "ALARM", RETAIN, "ALARM", "OK"),
    ],
)
def test_two_out_of_three(points: str, missing: str, ignore: str, breaching: str, not_breaching: str) -> None:
    assert [state(points, 3, 2, one) for one in ("missing", "ignore", "breaching", "notBreaching")] == [
        missing, ignore, breaching, not_breaching,
    ]  # fmt: skip


@pytest.mark.parametrize(("points", "wanted"), [("- - - - X", RETAIN), ("- - - X X", RETAIN), ("- - X X -", "ALARM")])
def test_a_first_breach_alone_does_not_ring(points: str, wanted: str) -> None:
    assert state(points, 3, 3, "missing") == wanted
