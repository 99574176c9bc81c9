"""What is due around the endpoint: its alarms, metric filters, log group and autoscaling. Pure, as the planner."""

from __future__ import annotations

from contracts.release import LABEL_SHIFT
from deployment.actions import (
    CREATE_LOG_GROUP,
    DELETE_ALARM,
    DELETE_FILTER,
    DEREGISTER_SCALING,
    KEEP_LOGS,
    PUT_ALARM,
    PUT_FILTER,
    PUT_LABEL_ALARM,
    PUT_SCALING_POLICY,
    REGISTER_SCALING,
    Action,
)  # fmt: skip
from deployment.goal import Goal
from deployment.observed import Observed

#: How the name of the alarm on labels ends (deployment/guards.py, alarm_name).
_LABELS = "-" + LABEL_SHIFT.replace("_", "-")


def before_update(goal: Goal, seen: Observed) -> list[Action]:
    """What must be there before an update: every alarm that may roll it back, as the settings say now."""
    # A fleet of a fixed size must not be scaled while it is updated.
    actions = _scaled(goal, seen) if goal.scaling is None else []
    if not goal.guarded:
        return actions
    actions += [*_filtered(goal, seen), *_alarmed(goal, seen)]
    if goal.labels:
        actions.append(Action(PUT_LABEL_ALARM, "", "it may roll the update back; what is usual is counted first"))
    return actions


def while_serving(goal: Goal, seen: Observed) -> list[Action]:
    """Put what is missing or was changed by hand, remove what is off."""
    actions = [*_filtered(goal, seen), *_alarmed(goal, seen)]
    wanted = {each.name for each in goal.alarms}
    for name in sorted(set(seen.monitor.alarms) - wanted):
        if not (goal.labels and name.endswith(_LABELS)):
            actions.append(Action(DELETE_ALARM, name, "its guard is off"))
    return [*actions, *_scaled(goal, seen)]


def when_gone(seen: Observed) -> list[Action]:
    """The endpoint is gone, and none is desired: its alarms, filters and scaling go, too. Its log stays."""
    if seen.endpoint is not None:
        return []
    why, monitor = "the endpoint is gone", seen.monitor
    actions = [Action(DELETE_ALARM, name, why) for name in sorted(monitor.alarms)]
    actions += [Action(DELETE_FILTER, name, why) for name in sorted(monitor.filters)]
    if seen.scaling is not None:
        actions.append(Action(DEREGISTER_SCALING, "", why))
    return actions


def _alarmed(goal: Goal, seen: Observed) -> list[Action]:
    """Alarms that are missing or different. One that is right is not put again: so it keeps its state."""
    there = seen.monitor.alarms
    return [
        Action(PUT_ALARM, each.name, "it is not as the settings say" if each.name in there else "it is missing")
        for each in goal.alarms
        if each.name not in there or not there[each.name].matches(each)
    ]


def _filtered(goal: Goal, seen: Observed) -> list[Action]:
    monitor, wanted = seen.monitor, goal.filters
    actions: list[Action] = []
    if monitor.log_days is None:
        actions.append(Action(CREATE_LOG_GROUP, "", "the endpoint's lines go there"))
    if monitor.log_days != goal.log_days:
        actions.append(Action(KEEP_LOGS, "", f"lines are kept for {goal.log_days} days"))
    why = "the guard on labels counts with it"
    actions += [Action(PUT_FILTER, each.name, why) for each in wanted if not monitor.has(each)]
    needed = {each.name for each in wanted}
    return actions + [Action(DELETE_FILTER, name, "its guard is off") for name in sorted(set(monitor.filters) - needed)]


def _scaled(goal: Goal, seen: Observed) -> list[Action]:
    wanted, there = goal.scaling, seen.scaling
    if wanted is None:
        why = "the settings ask for a fleet of a fixed size"
        return [Action(DEREGISTER_SCALING, "", why)] if there is not None else []
    actions: list[Action] = []
    if there is None or (there.least, there.most) != (wanted.least, wanted.most):
        actions.append(Action(REGISTER_SCALING, "", f"{wanted.least} to {wanted.most} instances"))
    if there is None or there.per_instance != wanted.per_instance:
        why = f"an instance for each {wanted.per_instance:g} requests a minute"
        actions.append(Action(PUT_SCALING_POLICY, "", why))
    return actions
