"""EventBridge and its scheduler.

- PutEvents fails in moto when a function or a pipeline is a target. Here events go to :mod:`local_sagemaker.events`.
- Schedule expressions are checked in full, in PutRule and in CreateSchedule.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from moto.events.exceptions import ValidationException
from moto.events.models import EventsBackend
from moto.scheduler.exceptions import ValidationException as SchedulerValidationException
from moto.scheduler.models import EventBridgeSchedulerBackend

from local_sagemaker.cron import BadExpression
from local_sagemaker.moto_gaps.patching import replace
from local_sagemaker.schedules import next_time

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def install(platform: Platform) -> None:
    @replace(EventsBackend)
    def put_events(self: Any, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not 1 <= len(events) <= 10:
            limit = "less than or equal to 10" if events else "greater than or equal to 1"
            raise ValidationException(
                "1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed to satisfy "
                f"constraint: Member must have length {limit}"
            )
        return [_put(platform, self, event) for event in events]

    @replace(EventsBackend)
    def put_rule(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        expression = kwargs.get("scheduled_expression")
        if expression:
            _check(expression, "UTC", ValidationException)
            if expression.startswith("at("):
                raise ValidationException("Parameter ScheduleExpression is not valid.")
        return put_rule.original(self, name, *args, **kwargs)  # type: ignore[attr-defined]

    @replace(EventBridgeSchedulerBackend)
    def create_schedule(self: Any, *args: Any, **kwargs: Any) -> Any:
        _check_schedule(kwargs)
        return create_schedule.original(self, *args, **kwargs)  # type: ignore[attr-defined]

    @replace(EventBridgeSchedulerBackend)
    def update_schedule(self: Any, *args: Any, **kwargs: Any) -> Any:
        _check_schedule(kwargs)
        return update_schedule.original(self, *args, **kwargs)  # type: ignore[attr-defined]


def _put(platform: Platform, backend: Any, event: dict[str, Any]) -> dict[str, Any]:
    for name in ("Source", "DetailType", "Detail"):
        if not event.get(name):
            text = f"Parameter {name} is not valid. Reason: {name} is a required argument."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": text}
    try:
        detail = json.loads(event["Detail"])
    except ValueError:
        detail = None
    if not isinstance(detail, dict):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    if event["Source"].startswith("aws."):
        text = "Not authorized for the source."
        return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": text}
    stamp = event.get("Time")
    bus = (event.get("EventBusName") or "default").split("/")[-1]
    if bus not in backend.event_buses:
        text = f"Event bus {bus} does not exist."
        return {"ErrorCode": "InvalidArgument", "ErrorMessage": text}
    identity = platform.events.publish(
        event["Source"], event["DetailType"], detail, event.get("Resources") or [], backend.region_name, bus=bus,
        time_stamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp)) if isinstance(stamp, (int, float)) else None,
    )  # fmt: skip
    return {"EventId": identity}


def _check_schedule(fields: dict[str, Any]) -> None:
    timezone = fields.get("schedule_expression_timezone") or "UTC"
    _check(fields["schedule_expression"], timezone, lambda text: SchedulerValidationException(message=text))


def _check(expression: str, timezone: str, make: Any) -> None:
    try:
        next_time(expression, 0.0, timezone)
    except BadExpression as error:
        raise make(str(error)) from error
