"""rate(…), cron(…) and at(…), as AWS reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker.cron import BadExpression, Cron
from local_sagemaker.schedules import next_time


def after(expression: str, moment: str) -> str:
    found = Cron(expression).next(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    return found.strftime("%Y-%m-%d %H:%M") if found else "never"


@pytest.mark.parametrize(
    ("expression", "moment", "expected"),
    [
        ("0 10 * * ? *", "2026-11-24 09:59", "2026-11-24 10:00"),
        ("0 10 * * ? *", "2026-11-24 10:00", "2026-11-25 10:00"),
        ("15 12 ? * MON-FRI *", "2026-11-27 13:00", "2026-11-30 12:15"),
        ("0/15 * * * ? *", "2026-11-24 09:46", "2026-11-24 10:00"),
        ("0 8 1 * ? *", "2026-11-24 00:00", "2026-12-01 08:00"),
        ("0 0 L * ? *", "2027-02-01 00:00", "2027-02-28 00:00"),
        ("0 0 L * ? *", "2028-02-01 00:00", "2028-02-29 00:00"),
        ("0 0 15W * ? *", "2026-11-01 00:00", "2026-11-16 00:00"),
        ("0 0 1W * ? *", "2027-05-01 00:00", "2027-05-03 00:00"),
        ("0 0 LW * ? *", "2026-10-01 00:00", "2026-10-30 00:00"),
        ("0 0 31 * ? *", "2026-11-01 00:00", "2026-12-31 00:00"),
        ("0 9 ? * 2#1 *", "2026-11-03 00:00", "2026-12-07 09:00"),
        ("0 9 ? * 6L *", "2026-11-01 00:00", "2026-11-27 09:00"),
        ("0 9 ? * L *", "2026-11-24 00:00", "2026-11-28 09:00"),
        ("0 9 ? * FRI-MON *", "2026-11-24 00:00", "2026-11-27 09:00"),
        ("0 0 1 JAN,JUL ? *", "2026-11-24 00:00", "2027-01-01 00:00"),
        ("0 0 29 2 ? *", "2026-11-24 00:00", "2028-02-29 00:00"),
        ("0 0 1 1 ? 2030", "2026-11-24 00:00", "2030-01-01 00:00"),
        ("0 0 1 1 ? 2020", "2026-11-24 00:00", "never"),
        ("0 0 30 2 ? *", "2026-11-24 00:00", "never"),
    ],
)
def test_cron(expression: str, moment: str, expected: str) -> None:
    assert after(expression, moment) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 10 * * *)", "cron(0 10 * * * *)", "cron(0 10 ? * ? *)", "cron(60 10 * * ? *)", "cron(0 24 * * ? *)",
        "cron(0 10 0 * ? *)", "cron(0 10 * 13 ? *)", "cron(0 10 ? * 8 *)", "cron(0 10 ? * MON#6 *)",
        "cron(a 10 * * ? *)",
        "cron(0/0 10 * * ? *)", "cron(0 10 32W * ? *)", "cron()", "rate(1 minutes)", "rate(2 minute)",
        "rate(0 minutes)",
        "rate(1 week)", "rate(-1 minutes)", "rate(5 minutes", "at(tomorrow)", "5 minutes", "",
    ],
)  # fmt: skip
def test_what_aws_refuses_is_refused(expression: str) -> None:
    with pytest.raises(BadExpression):
        next_time(expression, 0.0)


def test_a_rate_counts_from_the_last_time() -> None:
    assert next_time("rate(1 minute)", 100.0) == 160.0
    assert next_time("rate(12 hours)", 0.0) == 43_200.0
    assert next_time("rate(2 days)", 0.0) == 172_800.0


def test_at_fires_once_and_in_its_time_zone() -> None:
    moment = datetime(2026, 11, 24, 8, 0, tzinfo=UTC).timestamp()
    assert next_time("at(2026-11-24T08:00:00)", moment - 1) == moment
    assert next_time("at(2026-11-24T08:00:00)", moment) is None
    assert next_time("at(2026-11-24T16:00:00)", moment - 1, "Asia/Singapore") == moment


def test_a_time_that_a_clock_skips_does_not_fire() -> None:
    spring = datetime(2026, 3, 29, 0, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    found = next_time("cron(30 2 * * ? *)", spring, "Europe/Berlin")
    assert found == datetime(2026, 3, 30, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    with pytest.raises(BadExpression):
        next_time("cron(30 2 * * ? *)", spring, "Europe/Nowhere")


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    st.integers(0, 59),
    st.integers(0, 23),
    st.sampled_from(["* * ?", "1,15 * ?", "? * MON-FRI", "L * ?", "? */2 1#2", "15W 3-9 ?"]),
)
def test_what_comes_next_matches_is_later_and_nothing_lies_between(
    moment: datetime, minute: int, hour: int, days: str
) -> None:
    month_day, month, weekday = days.split()
    month = month.replace("*/2", "1/2")
    cron = Cron(f"{minute} {hour} {month_day} {month} {weekday} *")
    start = moment.replace(tzinfo=UTC)
    found = cron.next(start)
    assert found is not None and found > start and (found.minute, found.hour) == (minute, hour)
    assert cron.next(found - timedelta(minutes=1)) == found
    middle = start + (found - start) / 2
    assert cron.next(middle.replace(microsecond=0)) == found or middle >= found
