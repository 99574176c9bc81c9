"""Evaluates every alarm once a minute of the server's clock, and tells the world when a state changes.

A clock that jumps is followed minute by minute: whoever waits for a bake of ten minutes to pass sees each breach in it.
"""

from __future__ import annotations

import datetime
import json
import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from local_sagemaker.alarms import messages, metric_alarms
from local_sagemaker.alarms.metric_alarms import BadAlarm, Data, Settings
from local_sagemaker.alarms.rules import BadRule, Rule
from local_sagemaker.alarms.verdicts import ALARM, INSUFFICIENT_DATA, OK
from local_sagemaker.metrics.expressions import BadExpression
from local_sagemaker.minutes import EveryMinute

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)

#: Minutes of a jump that are evaluated one by one.
_FOLLOWED = 24 * 60
#: State changes that DescribeAlarmHistory remembers of an alarm.
_REMEMBERED = 200
#: Composite alarms may name composite alarms, so deep.
_DEEPEST = 10


class Alarms:
    """The alarms of one account. Safe to use from several threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = threading.RLock()
        self._done = 0
        self._last_alarm: dict[tuple[str, str], float] = {}
        self._reported: set[tuple[str, str]] = set()
        self._minutes = EveryMinute("alarms", platform.clock, self.evaluate)

    def start(self) -> None:
        self._minutes.start()

    def stop(self) -> None:
        self._minutes.stop()

    def state(self, region: str, name: str) -> str | None:
        """The state of an alarm; None when there is no such alarm."""
        alarm = self._alarms(region).get(name)
        return str(alarm.state_value) if alarm is not None else None

    def tripped(self, region: str, names: Iterable[str], since: float) -> list[str]:
        """Which of these alarms are in state ALARM now, or were at any time from ``since`` (this clock) on."""
        self.evaluate()
        with self._lock:
            return [
                name
                for name in names
                if self.state(region, name) == ALARM or self._last_alarm.get((region, name), -1.0) >= since
            ]

    def check(self, region: str, alarm: Any) -> None:
        """Can this alarm, of moto's class, be evaluated?

        Raises:
            BadAlarm: no; the message says why.
        """
        if alarm.rule is None:
            metric_alarms.settings(alarm)
            return
        try:
            unknown = [name for name in Rule(alarm.rule).names() if name not in self._alarms(region)]
        except BadRule as error:
            raise BadAlarm(f"AlarmRule {alarm.rule!r}: {error}") from None
        if unknown:
            raise BadAlarm(
                f"Could not save the composite alarm as alarms [{', '.join(unknown)}] in the alarm rule do not exist"
            )

    def added(self, region: str, alarm: Any) -> None:
        """A new or changed alarm: it is evaluated at once."""
        with self._lock:
            minute = int(self._platform.clock.time() // 60)
            if alarm.rule is None:
                self._evaluate_metric(region, alarm, range(minute, minute + 1))
            self._evaluate_composites(region)

    def was_set(self, region: str, alarm: Any, old: dict[str, Any]) -> None:
        """Somebody set the state (SetAlarmState); ``old`` is what it was, from :meth:`snapshot`."""
        with self._lock:
            now = self._platform.clock.time()
            self._note(region, alarm, now)
            if alarm.state_value != old["value"]:
                self._tell(region, alarm, old, now)
            self._evaluate_composites(region)

    def snapshot(self, alarm: Any) -> dict[str, Any]:
        """An alarm's state as events show it."""
        at = alarm.state_updated_timestamp.replace(tzinfo=datetime.UTC).timestamp()
        return messages.state(alarm.state_value, alarm.state_reason, alarm.state_reason_data, at)

    def evaluate(self) -> None:
        """Bring every alarm up to the clock's minute."""
        with self._lock:
            minute = int(self._platform.clock.time() // 60)
            if minute <= self._done:
                return
            first = max(self._done + 1, minute - _FOLLOWED) if self._done else minute
            self._done = minute
            for region in self._regions():
                self._evaluate_region(region, range(first, minute + 1))

    def _evaluate_region(self, region: str, minutes: range) -> None:
        """All alarms of a region, minute by minute: a composite alarm sees its children as they were."""
        plain = [alarm for alarm in self._alarms(region).values() if alarm.rule is None]
        prepared = [(alarm, *found) for alarm in plain if (found := self._prepare(region, alarm, minutes))]
        for minute in minutes:
            for alarm, wanted, data in prepared:
                self._step(region, alarm, wanted, data, minute * 60)
            self._evaluate_composites(region, minute * 60)

    def _evaluate_metric(self, region: str, alarm: Any, minutes: range) -> None:
        found = self._prepare(region, alarm, minutes)
        if found is not None:
            for minute in minutes:
                self._step(region, alarm, found[0], found[1], minute * 60)

    def _prepare(self, region: str, alarm: Any, minutes: range) -> tuple[Settings, Data] | None:
        from local_sagemaker.moto_gaps.cloudwatch import reader

        try:
            wanted = metric_alarms.settings(alarm)
        except BadAlarm as error:  # stored by a server that did not check, or made by moto itself
            if (region, alarm.name) not in self._reported:
                self._reported.add((region, alarm.name))
                _log.warning("the alarm %s is not evaluated: %s", alarm.name, error)
            return None
        start, end = minutes.start * 60 - wanted.range_seconds, minutes.stop * 60
        return wanted, Data(reader(self._platform, region), wanted, start, end)

    def _step(self, region: str, alarm: Any, wanted: Settings, data: Data, at: int) -> None:
        try:
            verdict = metric_alarms.judge(alarm, wanted, data, at)
        except BadExpression as error:
            self._change(region, alarm, INSUFFICIENT_DATA, f"Insufficient Data: {error}", "{}", at)
            return
        why = messages.reason(alarm, verdict, wanted.periods, wanted.to_alarm, at - wanted.period)
        start = at - wanted.period * wanted.periods
        self._change(region, alarm, verdict.state, why, messages.reason_data(alarm, verdict, at, start), at)

    def _evaluate_composites(self, region: str, at: float | None = None) -> None:
        """Until nothing changes: they may name each other."""
        now = self._platform.clock.time() if at is None else at
        composites = [alarm for alarm in self._alarms(region).values() if alarm.rule is not None]
        for _ in range(_DEEPEST):
            changed = False
            for alarm in composites:
                try:
                    holds = Rule(alarm.rule).holds(lambda name: self.state(region, name))
                except BadRule as error:
                    _log.warning("the composite alarm %s is not evaluated: %s", alarm.name, error)
                    continue
                value = ALARM if holds else OK
                why = f"AlarmRule {alarm.rule} is {'true' if holds else 'false'}"
                changed = self._change(region, alarm, value, why, "{}", now) or changed
            if not changed:
                return

    def _change(self, region: str, alarm: Any, value: str, why: str, data: str, at: float) -> bool:
        """Give an alarm this state; False when it has it already."""
        if alarm.state_value == value:
            self._note(region, alarm, at)
            return False
        old = self.snapshot(alarm)
        with self._platform.state.using("cloudwatch"):
            alarm.update_state(why, data, value)
            alarm.state_updated_timestamp = datetime.datetime.fromtimestamp(at, datetime.UTC).replace(tzinfo=None)
        self._note(region, alarm, at)
        self._tell(region, alarm, old, at)
        return True

    def _note(self, region: str, alarm: Any, at: float) -> None:
        if alarm.state_value == ALARM:
            self._last_alarm[region, alarm.name] = at

    def _tell(self, region: str, alarm: Any, old: dict[str, Any], at: float) -> None:
        """A state has changed: history, event, actions."""
        platform, new = self._platform, self.snapshot(alarm)
        remembered: list[dict[str, Any]] = alarm.__dict__.setdefault("changes", [])
        remembered.append({"at": at, "old": old, "new": new})
        del remembered[:-_REMEMBERED]
        del alarm.history[:-_REMEMBERED]
        platform.state.changed("cloudwatch")
        detail = messages.event(alarm, old, new)
        platform.events.publish("aws.cloudwatch", messages.EVENT, detail, [alarm.alarm_arn], region)
        for action in messages.actions(alarm, new["value"]):
            if ":sns:" in action:
                text = messages.notification(alarm, old, new, platform.account_id, region)
                target = {"Subject": f'{new["value"]}: "{alarm.name}" in {region}'[:100]}
                platform.events.send_later(action, target, text, region, f"alarm {alarm.name}")
            elif ":lambda:" in action:
                text = messages.invocation(alarm, old, new, platform.account_id, region)
                platform.events.send_later(action, {}, text, region, f"alarm {alarm.name}")

    def _regions(self) -> list[str]:
        from moto.cloudwatch.models import cloudwatch_backends

        return list(cloudwatch_backends[self._platform.account_id])

    def _alarms(self, region: str) -> dict[str, Any]:
        from moto.cloudwatch.models import cloudwatch_backends

        alarms: dict[str, Any] = cloudwatch_backends[self._platform.account_id][region].alarms
        return dict(alarms)


def history(alarm: Any) -> list[dict[str, Any]]:
    """DescribeAlarmHistory's items of an alarm, oldest first."""
    kind = "MetricAlarm" if alarm.rule is None else "CompositeAlarm"
    return [
        {
            "AlarmName": alarm.name,
            "AlarmType": kind,
            "Timestamp": datetime.datetime.fromtimestamp(one["at"], datetime.UTC).replace(tzinfo=None),
            "HistoryItemType": "StateUpdate",
            "HistorySummary": f"Alarm updated from {one['old']['value']} to {one['new']['value']}",
            "HistoryData": json.dumps({"version": "1.0", "oldState": _old(one["old"]), "newState": _old(one["new"])}),
        }
        for one in alarm.__dict__.get("changes", [])
    ]


def _old(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"stateValue": state["value"], "stateReason": state["reason"]}
    data = state.get("reasonData")
    return found | ({"stateReasonData": json.loads(data)} if data else {})
