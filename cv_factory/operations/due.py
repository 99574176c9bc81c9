"""What is due of a release, as far as whoever asks may look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from cv_factory.operations.release import settings_of
from deployment import actions, aws, looking, observed
from deployment.clients import Clients
from deployment.goal import Goal
from deployment.observed import Observed
from deployment.planner import Plan

if TYPE_CHECKING:
    from cv_factory.session import Target

_T = TypeVar("_T")
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what is there that a role may not be allowed to read.

    Attributes:
        title: for a person.
        needs: the actions that read it.
        kinds: the kinds of action that hang on it.
    """

    title: str
    needs: tuple[str, ...]
    kinds: frozenset[str]


PARTS = {
    observed.MODELS: Part(
        "models and endpoint configurations",
        ("sagemaker:ListModels", "sagemaker:ListEndpointConfigs"),
        frozenset(
            {
                actions.CREATE_MODEL, actions.CREATE_CONFIG, actions.DELETE_MODEL, actions.DELETE_CONFIG,
                actions.TIDY_TRIAL,
            }
        ),
    ),
    observed.MONITOR: Part(
        "alarms, metric filters and the log group",
        ("cloudwatch:DescribeAlarms", "logs:DescribeLogGroups", "logs:DescribeMetricFilters"),
        frozenset(
            {
                actions.CREATE_LOG_GROUP, actions.KEEP_LOGS, actions.PUT_FILTER, actions.DELETE_FILTER,
                actions.PUT_ALARM, actions.PUT_LABEL_ALARM, actions.DELETE_ALARM,
            }
        ),
    ),
    observed.SCALING: Part(
        "autoscaling",
        ("application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies"),
        frozenset({actions.REGISTER_SCALING, actions.PUT_SCALING_POLICY, actions.DEREGISTER_SCALING}),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planned:
    """What is desired, what is there, and what is due.

    Attributes:
        plan: without the actions that hang on what could not be read. Its result and its message hang on none of that.
        not_readable: parts that these credentials may not read.
    """

    goal: Goal
    seen: Observed
    plan: Plan
    not_readable: tuple[Part, ...] = ()

    def to_json(self) -> dict[str, Any]:
        package, endpoint, noted = self.goal.package, self.seen.endpoint, self.seen.attempt
        return {
            "desired": {"model_package_arn": package.arn, "version": package.version} if package else None,
            "pinned": self.goal.pinned,
            "endpoint": {"status": endpoint.status, "endpoint_config": endpoint.config} if endpoint else None,
            "open_release": noted.to_json() if noted else None,
            **self.plan.to_json(),
            "not_readable": [{"part": each.title, "needs": list(each.needs)} for each in self.not_readable],
        }


def plan(target: Target) -> Planned:
    """What the deployer would do now. Changes nothing.

    Raises:
        ContractError: the base is not there.
        ClientError: packages, the endpoint or the release's records may not be read.
    """
    denied: list[Part] = []

    def part(name: str, read: Callable[[], _T], nothing: _T, /) -> _T:
        try:
            return read()
        except ClientError as error:
            if aws.error_code(error) not in _DENIED:
                raise
            denied.append(PARTS[name])
            return nothing

    goal, seen, due = looking.look(Clients(target.session), settings_of(target), part=part)
    hidden = {kind for each in denied for kind in each.kinds}
    left = tuple(action for action in due.actions if action.kind not in hidden)
    return Planned(goal, seen, replace(due, actions=left), tuple(denied))
