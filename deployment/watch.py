"""Puts and removes what watches the endpoint: log group, metric filters, alarms, scaling. Each may be done twice."""

from __future__ import annotations

from contracts.release import LABEL_SHIFT, ReleaseSettings
from deployment import aws, guards, log, monitor, scaling
from deployment.actions import Action
from deployment.clients import Clients
from deployment.goal import Goal


class Watch:
    """The part of a run that talks to CloudWatch and Application Auto Scaling.

    Attributes:
        armed: names of the alarms that may roll an update of this run back.
        usual: label -> share of the predictions of the day before; empty: not asked for, or too few.
    """

    def __init__(self, clients: Clients, settings: ReleaseSettings, goal: Goal) -> None:
        self._clients = clients
        self._settings = settings
        self._goal = goal
        self._group = guards.log_group(settings)
        self.armed = tuple(each.name for each in goal.alarms) if goal.guarded else ()
        self.usual: dict[str, float] = {}

    def create_log_group(self, action: Action) -> None:
        aws.made(lambda: self._clients.logs.create_log_group(logGroupName=self._group, tags=self._settings.names.tags))

    def keep_logs(self, action: Action) -> None:
        self._clients.logs.put_retention_policy(logGroupName=self._group, retentionInDays=self._goal.log_days)

    def put_filter(self, action: Action) -> None:
        for each in self._goal.filters:
            if each.name == action.name:
                self._clients.logs.put_metric_filter(**each.request(self._settings))

    def delete_filter(self, action: Action) -> None:
        aws.gone(lambda: self._clients.logs.delete_metric_filter(logGroupName=self._group, filterName=action.name))

    def put_alarm(self, action: Action) -> None:
        for each in self._goal.alarms:
            if each.name == action.name:
                self._clients.cloudwatch.put_metric_alarm(**guards.request(each, self._settings))

    def put_label_alarm(self, action: Action) -> None:
        """Without enough predictions of the day before nothing is usual: then no alarm of an earlier update stays."""
        self.usual = monitor.usual_labels(self._clients.cloudwatch, self._settings)
        alarm = guards.label_alarm(self._settings, self.usual)
        if alarm is None:
            log.event("label-guard-off", reason="too few predictions in the last day to know what is usual")
            self._clients.cloudwatch.delete_alarms(AlarmNames=[guards.alarm_name(self._settings, LABEL_SHIFT)])
            return
        self._clients.cloudwatch.put_metric_alarm(**guards.request(alarm, self._settings))
        self.armed += (alarm.name,)

    def delete_alarm(self, action: Action) -> None:
        self._clients.cloudwatch.delete_alarms(AlarmNames=[action.name])

    def register_scaling(self, action: Action) -> None:
        if self._goal.scaling is not None:
            scaling.register(self._clients.scaling, self._settings, self._goal.scaling)

    def put_scaling_policy(self, action: Action) -> None:
        if self._goal.scaling is not None:
            scaling.put_policy(self._clients.scaling, self._settings, self._goal.scaling)

    def deregister_scaling(self, action: Action) -> None:
        scaling.deregister(self._clients.scaling, self._settings)
