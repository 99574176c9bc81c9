"""Schedules: EventBridge rules with a schedule expression, EventBridge Scheduler, scheduled scaling.

All run on the server's clock. What was due while the server was down, or while the clock jumped, fires once and not as
often as it would have: a laptop that slept over the weekend should not sweep a thousand times.

Source: EventBridge User Guide, "Cron expressions reference"; EventBridge Scheduler User Guide, "Schedule types".
"""

from __future__ import annotations

import json
import logging
import re
import threading
import uuid
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from local_sagemaker.cron import BadExpression, Cron

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)
_KIND = "schedule"
_UNITS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)(s?)\)")


def next_time(expression: str, after: float, timezone: str = "UTC") -> float | None:
    """The first instant after ``after`` (seconds since the epoch) at which the schedule fires; None: never.

    For a rate that is one period later.

    Raises:
        BadExpression: the message is AWS's.
    """
    rate = _RATE.fullmatch(expression)
    if rate is not None:
        count = int(rate[1])
        if count < 1 or (count == 1) != (rate[3] == ""):
            raise BadExpression("Parameter ScheduleExpression is not valid.")
        return after + count * _UNITS[rate[2]]
    if expression.startswith("cron(") and expression.endswith(")"):
        moment = datetime.fromtimestamp(after, _zone(timezone))
        found = Cron(expression[5:-1]).next(moment)
        return found.timestamp() if found is not None else None
    if expression.startswith("at(") and expression.endswith(")"):
        try:
            once = datetime.strptime(expression[3:-1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=_zone(timezone))
        except ValueError:
            raise BadExpression(f"Invalid Schedule Expression {expression}.") from None
        return once.timestamp() if once.timestamp() > after else None
    raise BadExpression("Parameter ScheduleExpression is not valid.")


def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise BadExpression(f"Invalid Schedule Expression Timezone {name}.") from None


class Schedules:
    """Fires what is due. When each schedule fires next is stored."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._bad: set[str] = set()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._platform.clock.wake()
        if self._thread is not None:
            self._thread.join(5)

    def upcoming(self) -> list[dict[str, Any]]:
        """ARN, expression and next instant (seconds since the epoch, None: never) of every schedule."""
        return [{"arn": record.name, **record.body} for record in self._platform.store.list(_KIND)]

    def _run(self) -> None:
        while not self._stop.is_set():
            moves = self._platform.clock.moves
            try:
                due = self.fire()
            except Exception:
                _log.exception("schedules could not be looked at")
                due = self._platform.clock.time() + 5
            self._platform.clock.wait_until(due, self._stop, longest=2, since=moves)

    def fire(self) -> float:
        """Fire everything that is due now; returns the next instant at which something is."""
        now = self._platform.clock.time()
        soonest = now + 60
        seen = set()
        scheduled = self._platform.scaler.scheduled()
        for arn, expression, timezone, start, act in [*self._rules(), *self._schedules(), *scheduled]:
            seen.add(arn)
            due = self._due(arn, expression, timezone, start, now)
            if due is not None and due <= now:
                later = next_time(expression, now, timezone)
                self._remember(arn, expression, later)
                act(due)
                due = later
            if due is not None:
                soonest = min(soonest, due)
        for record in self._platform.store.list(_KIND):
            if record.name not in seen:
                self._platform.store.delete(_KIND, "", record.name)
        return soonest

    def _due(self, arn: str, expression: str, timezone: str, start: float, now: float) -> float | None:
        """When this one fires next, as stored; a new or changed one starts to count now."""
        known = self._platform.store.get(_KIND, "", arn)
        if known is not None and known.body["expression"] == f"{expression} {timezone}":
            stored: float | None = known.body["next"]
            return stored
        try:
            first = (
                start
                if start > now
                else next_time(expression, max(start, now) - (1 if "at(" in expression else 0), timezone)
            )
        except BadExpression as error:
            if arn not in self._bad:
                self._bad.add(arn)
                _log.warning("%s never fires: %s %s", arn, expression, error)
            first = None
        self._remember(arn, expression, first, timezone)
        return first

    def _remember(self, arn: str, expression: str, due: float | None, timezone: str | None = None) -> None:
        store = self._platform.store
        with store.transaction():
            if timezone is None:
                store.update(_KIND, "", arn, lambda body: body.update(next=due))
            else:
                store.delete(_KIND, "", arn)
                store.insert(_KIND, "", arn, {"expression": f"{expression} {timezone}", "next": due})

    def _rules(self) -> list[tuple[str, str, str, float, Any]]:
        from moto.events.models import events_backends

        found = []
        for region, backend in list(events_backends[self._platform.account_id].items()):
            for rule in list(backend.event_buses["default"].rules.values()):
                if rule.scheduled_expression and rule.state != "DISABLED":
                    found.append((rule.arn, rule.scheduled_expression, "UTC", 0.0, self._rule_action(rule, region)))
        return found

    def _rule_action(self, rule: Any, region: str) -> Any:
        def act(due: float) -> None:
            self._platform.events.publish("aws.events", "Scheduled Event", {}, [rule.arn], region, rule=rule.name)

        return act

    def _schedules(self) -> list[tuple[str, str, str, float, Any]]:
        from moto.scheduler.models import scheduler_backends

        found = []
        now = self._platform.clock.time()
        for region, backend in list(scheduler_backends[self._platform.account_id].items()):
            for group in list(backend.schedule_groups.values()):
                for schedule in list(group.schedules.values()):
                    if schedule.state != "ENABLED" or (schedule.end_date and _seconds(schedule.end_date) <= now):
                        continue
                    start = _seconds(schedule.start_date) if schedule.start_date else 0.0
                    found.append((
                        schedule.arn, schedule.schedule_expression, schedule.schedule_expression_timezone, start,
                        self._schedule_action(schedule, group, region),
                    ))  # fmt: skip
        return found

    def _schedule_action(self, schedule: Any, group: Any, region: str) -> Any:
        def act(due: float) -> None:
            instant = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            execution = str(uuid.uuid4())
            text = schedule.target.get("Input") or json.dumps({
                "version": "0", "id": execution, "detail-type": "Scheduled Event", "source": "aws.scheduler",
                "account": self._platform.account_id, "time": instant, "region": region,
                "resources": [schedule.arn], "detail": "{}",
            })  # fmt: skip
            for name, value in (
                ("schedule-arn", schedule.arn), ("scheduled-time", instant),
                ("execution-id", execution), ("attempt-number", "1"),
            ):  # fmt: skip
                text = text.replace(f"<aws.scheduler.{name}>", value)
            self._platform.events.send_later(
                schedule.target["Arn"], schedule.target, text, region, f"schedule {schedule.name}"
            )
            if schedule.action_after_completion == "DELETE" and schedule.schedule_expression.startswith("at("):
                group.schedules.pop(schedule.name, None)
                self._platform.state.changed("scheduler")

        return act


def _seconds(value: Any) -> float:
    """A date of the Scheduler API as seconds since the epoch."""
    if isinstance(value, (int, float)):
        return float(value)
    found = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
