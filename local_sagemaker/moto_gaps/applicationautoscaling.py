"""Application Auto Scaling: tags and activities are missing, policies and scheduled actions do nothing.

Here those on variants of endpoints act (:mod:`local_sagemaker.scaling`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.models import ApplicationAutoscalingBackend, FakeApplicationAutoscalingPolicy
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.exceptions import JsonRESTError

from local_sagemaker.cron import BadExpression
from local_sagemaker.moto_gaps.patching import replace
from local_sagemaker.scaling import policies
from local_sagemaker.scaling.policies import DIMENSION, BadPolicy
from local_sagemaker.schedules import next_time

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def install(platform: Platform) -> None:
    _tags(platform)
    _policies(platform)
    _actions(platform)

    @replace(ApplicationAutoscalingBackend)
    def deregister_scalable_target(self: Any, namespace: str, r_id: str, dimension: str) -> None:
        """Policies and scheduled actions of the target go with it."""
        deregister_scalable_target.original(self, namespace, r_id, dimension)  # type: ignore[attr-defined]
        for policy in list(self.policies.values()):
            if (policy.resource_id, policy.scalable_dimension) == (r_id, dimension):
                self.delete_scaling_policy(policy.policy_name, namespace, r_id, dimension)
        self.scheduled_actions = [
            one for one in self.scheduled_actions if (one.resource_id, one.scalable_dimension) != (r_id, dimension)
        ]

    @replace(ApplicationAutoScalingResponse)
    def describe_scaling_activities(self: Any) -> str:
        platform.scaler.settle()
        wanted = (self._get_param("ServiceNamespace"), self._get_param("ScalableDimension"))
        found = [
            body["shown"]
            for body in platform.scaler.activities.of(self.region, self._get_param("ResourceId"))
            if body["shown"]["ServiceNamespace"] == wanted[0]
            and wanted[1] in (None, body["shown"]["ScalableDimension"])
        ]
        first = int(self._get_param("NextToken") or 0)
        last = first + int(self._get_param("MaxResults") or 50)
        answer: dict[str, Any] = {"ScalingActivities": found[::-1][first:last]}
        return json.dumps(answer | ({"NextToken": str(last)} if last < len(found) else {}))


def _policies(platform: Platform) -> None:
    @replace(FakeApplicationAutoscalingPolicy)
    def create_alarms(self: Any) -> None:
        create_alarms.original(self)  # type: ignore[attr-defined]
        if self.scalable_dimension != DIMENSION:
            return
        from moto.cloudwatch.models import cloudwatch_backends

        try:
            what = policies.tracked(self)
        except BadPolicy as error:
            raise AWSValidationException(str(error)) from None
        backend = cloudwatch_backends[self.account_id][self.region_name]
        self.alarms.extend(backend.put_metric_alarm(**alarm) for alarm in policies.alarms(self, what))
        platform.state.changed("cloudwatch")

    @replace(ApplicationAutoscalingBackend)
    def put_scaling_policy(self: Any, **given: Any) -> Any:
        """A policy that is put again keeps its ARN; its alarms are new."""
        place = (given["service_namespace"], given["resource_id"], given["scalable_dimension"])
        if place[2] == DIMENSION and place[1] not in self.targets.get(DIMENSION, {}):
            raise JsonRESTError(
                "ObjectNotFoundException",
                f"No scalable target registered for service namespace: {place[0]}, resource ID: {place[1]}, "
                f"scalable dimension: {place[2]}",
            )
        key = FakeApplicationAutoscalingPolicy.formulate_key(*place, given["policy_name"])
        before = self.policies.get(key)
        policy = put_scaling_policy.original(self, **given)  # type: ignore[attr-defined]
        if before is not None:
            before.delete_alarms(self.account_id, self.region_name)
            policy.policy_arn, policy.creation_time = before.policy_arn, before.creation_time
            for alarm in policy.alarms:
                alarm.alarm_actions = [policy.policy_arn]
        return policy

    @replace(ApplicationAutoscalingBackend)
    def register_scalable_target(self: Any, *args: Any, **kwargs: Any) -> Any:
        target = register_scalable_target.original(self, *args, **kwargs)  # type: ignore[attr-defined]
        platform.scaler.poke()
        return target


def _actions(platform: Platform) -> None:
    @replace(ApplicationAutoscalingBackend)
    def put_scheduled_action(self: Any, **given: Any) -> None:
        try:
            next_time(given["schedule"], platform.clock.time(), given.get("timezone") or "UTC")
        except BadExpression as error:
            raise AWSValidationException(str(error)) from None
        put_scheduled_action.original(self, **given)  # type: ignore[attr-defined]
        platform.clock.wake()


def _tags(platform: Platform) -> None:
    def tags(response: Any) -> dict[str, dict[str, str]]:
        backend = response.applicationautoscaling_backend
        found: dict[str, dict[str, str]] = backend.__dict__.setdefault("resource_tags", {})
        return found

    @replace(ApplicationAutoScalingResponse)
    def register_scalable_target(self: Any) -> str:
        answer: str = register_scalable_target.original(self)  # type: ignore[attr-defined]
        given = self._get_param("Tags")
        if given:
            tags(self).setdefault(json.loads(answer)["ScalableTargetARN"], {}).update(given)
        return answer

    @replace(ApplicationAutoScalingResponse)
    def list_tags_for_resource(self: Any) -> str:
        return json.dumps({"Tags": tags(self).get(self._get_param("ResourceARN"), {})})

    @replace(ApplicationAutoScalingResponse)
    def tag_resource(self: Any) -> str:
        tags(self).setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags") or {})
        return "{}"

    @replace(ApplicationAutoScalingResponse)
    def untag_resource(self: Any) -> str:
        found = tags(self).get(self._get_param("ResourceARN"), {})
        for key in self._get_param("TagKeys") or []:
            found.pop(key, None)
        return "{}"
