"""AWS's cron expressions: six fields, with ``?``, ``L``, ``W`` and ``#``, from minute to year.

Source: EventBridge User Guide, "Cron expressions reference".
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, datetime, timedelta

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


class BadExpression(ValueError):
    """A schedule expression that AWS refuses; the message is AWS's."""

    def __init__(self, message: str = "Parameter ScheduleExpression is not valid.") -> None:
        super().__init__(message)


class Cron:
    """A cron expression without its ``cron(…)``.

    Raises:
        BadExpression.
    """

    def __init__(self, expression: str) -> None:
        fields = expression.upper().split()
        if len(fields) != 6:
            raise BadExpression
        minutes, hours, self._day, months, self._weekday, years = fields
        self._minutes = _values(minutes, 0, 59)
        self._hours = _values(hours, 0, 23)
        self._months = _values(months, 1, 12, _MONTHS)
        self._years = _values(years, _FIRST_YEAR, _LAST_YEAR)
        if (self._day == "?") == (self._weekday == "?"):
            raise BadExpression  # exactly one of the two says which days
        self._check_days()

    def next(self, after: datetime) -> datetime | None:
        """The first matching minute after ``after``, in its time zone; None when there is none before the year 2200."""
        start = after.replace(second=0, microsecond=0, fold=0) + timedelta(minutes=1)
        for day in self._days_from(start.date()):
            for hour in sorted(self._hours):
                for minute in sorted(self._minutes):
                    found = datetime(day.year, day.month, day.day, hour, minute, tzinfo=after.tzinfo)
                    if found > after and _exists(found):
                        return found
        return None

    def _days_from(self, first: date) -> Iterator[date]:
        year, month = first.year, first.month
        while year <= _LAST_YEAR:
            if year in self._years and month in self._months:
                for day in sorted(self._days_of(year, month)):
                    if date(year, month, day) >= first:
                        yield date(year, month, day)
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
            if year not in self._years:
                later = [known for known in self._years if known > year]
                if not later:
                    return
                year, month = min(later), 1

    def _days_of(self, year: int, month: int) -> set[int]:
        last = calendar.monthrange(year, month)[1]
        if self._day != "?":
            return self._month_days(year, month, last)
        return self._week_days(year, month, last)

    def _month_days(self, year: int, month: int, last: int) -> set[int]:
        if self._day == "L":
            return {last}
        if self._day == "LW":
            return {_nearest_weekday(year, month, last, last)}
        if self._day.endswith("W"):
            wanted = int(self._day[:-1])
            return {_nearest_weekday(year, month, wanted, last)} if wanted <= last else set()
        return {day for day in _values(self._day, 1, 31) if day <= last}

    def _week_days(self, year: int, month: int, last: int) -> set[int]:
        by_weekday: dict[int, list[int]] = {}
        for day in range(1, last + 1):
            by_weekday.setdefault((date(year, month, day).weekday() + 1) % 7 + 1, []).append(day)  # Sunday is 1
        if "#" in self._weekday:
            name, _, number = self._weekday.partition("#")
            days = by_weekday[_number(name, _DAYS)]
            return {days[int(number) - 1]} if int(number) <= len(days) else set()
        if self._weekday == "L":
            return set(by_weekday[7])
        if self._weekday.endswith("L"):
            return {by_weekday[_number(self._weekday[:-1], _DAYS)][-1]}
        return {day for weekday in _values(self._weekday, 1, 7, _DAYS) for day in by_weekday[weekday]}

    def _check_days(self) -> None:
        day, weekday = self._day, self._weekday
        try:
            if day.endswith("W") and day not in ("LW",):
                if not 1 <= int(day[:-1]) <= 31:
                    raise BadExpression
            elif day not in ("?", "L", "LW"):
                _values(day, 1, 31)
            if "#" in weekday:
                name, _, number = weekday.partition("#")
                if not 1 <= _number(name, _DAYS) <= 7 or not 1 <= int(number) <= 5:
                    raise BadExpression
            elif weekday.endswith("L") and weekday != "L":
                if not 1 <= _number(weekday[:-1], _DAYS) <= 7:
                    raise BadExpression
            elif weekday not in ("?", "L"):
                _values(weekday, 1, 7, _DAYS)
        except ValueError:
            raise BadExpression from None


def _values(field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """The numbers that a field with ``*``, ``a-b``, ``a/step`` and commas stands for."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        try:
            stride = int(step) if slash else 1
            if span == "*":
                first, last = low, high
            elif "-" in span:
                left, _, right = span.partition("-")
                first, last = _number(left, names), _number(right, names)
            else:
                first = _number(span, names)
                last = high if slash else first
        except ValueError:
            raise BadExpression from None
        if stride < 1 or not (low <= first <= high and low <= last <= high):
            raise BadExpression
        if first <= last:
            found.update(range(first, last + 1, stride))
        else:  # FRI-MON
            found.update([*range(first, high + 1), *range(low, last + 1)][::stride])
    return found


def _number(text: str, names: dict[str, int] | None) -> int:
    return names[text] if names and text in names else int(text)


def _nearest_weekday(year: int, month: int, day: int, last: int) -> int:
    """The weekday nearest to ``day`` without leaving the month."""
    weekday = date(year, month, day).weekday()
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < last else day - 2
    return day


def _exists(moment: datetime) -> bool:
    """False in the hour that a clock skips when summer time begins."""
    return datetime.fromtimestamp(moment.timestamp(), moment.tzinfo).replace(fold=0) == moment.replace(fold=0)
