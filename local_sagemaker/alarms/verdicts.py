"""From data points to an alarm's state.

Source: CloudWatch User Guide, "Configuring how CloudWatch alarms treat missing data", "Evaluating an alarm".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
STATES = (OK, ALARM, INSUFFICIENT_DATA)

MISSING, IGNORE, BREACHING, NOT_BREACHING = "missing", "ignore", "breaching", "notBreaching"
TREATMENTS = (MISSING, IGNORE, BREACHING, NOT_BREACHING)

#: Periods looked at beyond EvaluationPeriods, for data points in place of missing ones. AWS does not say how many; its
#: examples have two.
EXTRA_PERIODS = 2

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (lambda value, limit: value >= limit, "greater than or equal to"),
    "GreaterThanThreshold": (lambda value, limit: value > limit, "greater than"),
    "LessThanThreshold": (lambda value, limit: value < limit, "less than"),
    "LessThanOrEqualToThreshold": (lambda value, limit: value <= limit, "less than or equal to"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state; ``used``: the data points that it is based on, newest first; ``filled``: missing ones beside them."""

    state: str
    used: tuple[float, ...] = ()
    filled: int = 0


def judge(
    points: Sequence[float | None],
    breaches: Callable[[float], bool],
    *,
    periods: int,
    to_alarm: int,
    missing: str,
    current: str,
) -> Verdict:
    """The state that follows from the data points of the evaluation range.

    Args:
        points: newest first; None where there is none. More than ``periods`` of them.
        breaches: whether a value crosses the threshold.
        periods: EvaluationPeriods.
        to_alarm: DatapointsToAlarm.
        missing: TreatMissingData.
        current: the state that the alarm is in.
    """
    window = points[:periods]
    used: tuple[float, ...] = tuple(value for value in window if value is not None)
    if len(used) < periods:  # farther back there may be some in their place
        used = tuple(value for value in points if value is not None)[:periods]
    filled = periods - len(used)
    crossed = sum(1 for value in used if breaches(value))
    if not used and missing == MISSING:
        return Verdict(INSUFFICIENT_DATA, (), filled)
    if not used and missing == IGNORE:
        return Verdict(current, (), filled)
    if missing == BREACHING:
        crossed += filled
    if crossed >= to_alarm:
        return Verdict(ALARM, used, filled)
    if filled and crossed == len(used) and missing in (MISSING, IGNORE):
        # All that is known crosses the threshold, but it is less than was asked for. With "missing" it is enough once
        # the oldest of it is as old as DatapointsToAlarm; before that nothing changes ("Avoiding premature transitions
        # to alarm state").
        oldest = max((age for age, value in enumerate(window, 1) if value is not None), default=0)
        return Verdict(ALARM if missing == MISSING and oldest >= to_alarm else current, used, filled)
    return Verdict(OK, used, filled)
