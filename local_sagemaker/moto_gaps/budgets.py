"""Budgets: subscribers, UpdateBudget and tags are missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.responses import BudgetsResponse

from local_sagemaker.moto_gaps.patching import replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def install(platform: Platform) -> None:
    _install_subscribers()
    _install_tags()

    @replace(BudgetsResponse)
    def update_budget(self: Any) -> str:
        new = self._get_param("NewBudget")
        budgets = self.backend.budgets[self._get_param("AccountId")]
        if new["BudgetName"] not in budgets:
            raise NotFoundException(f"Unable to update budget: {new['BudgetName']} - the budget doesn't exist.")
        budgets[new["BudgetName"]].budget.update(new)
        return "{}"


def _install_subscribers() -> None:
    @replace(BudgetsResponse)
    def describe_subscribers_for_notification(self: Any) -> str:
        return json.dumps({"Subscribers": _notification(self).subscribers})

    @replace(BudgetsResponse)
    def create_subscriber(self: Any) -> str:
        _notification(self).subscribers.append(self._get_param("Subscriber"))
        return "{}"

    @replace(BudgetsResponse)
    def delete_subscriber(self: Any) -> str:
        subscribers = _notification(self).subscribers
        subscriber = self._get_param("Subscriber")
        if subscriber not in subscribers:
            raise NotFoundException("Unable to delete subscriber - the subscriber doesn't exist.")
        subscribers.remove(subscriber)
        return "{}"

    @replace(BudgetsResponse)
    def update_subscriber(self: Any) -> str:
        subscribers = _notification(self).subscribers
        old = self._get_param("OldSubscriber")
        if old not in subscribers:
            raise NotFoundException("Unable to update subscriber - the subscriber doesn't exist.")
        subscribers[subscribers.index(old)] = self._get_param("NewSubscriber")
        return "{}"


def _notification(response: Any) -> Any:
    budgets = response.backend.budgets[response._get_param("AccountId")]
    name = response._get_param("BudgetName")
    wanted = _identity(response._get_param("Notification"))
    if name in budgets:
        for notification in budgets[name].notifications:
            if _identity(notification.details) == wanted:
                return notification
    raise NotFoundException(f"Unable to find the notification of budget {name}.")


def _identity(details: dict[str, Any]) -> tuple[str, str, float, str]:
    kind = details.get("ThresholdType", "PERCENTAGE")
    return details["NotificationType"], details["ComparisonOperator"], float(details["Threshold"]), kind


def _install_tags() -> None:
    def tags(response: Any) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = response.backend.__dict__.setdefault("resource_tags", {})
        return found

    @replace(BudgetsResponse)
    def create_budget(self: Any) -> str:
        answer: str = create_budget.original(self)  # type: ignore[attr-defined]
        given = self._get_param("ResourceTags") or []
        account, name = self._get_param("AccountId"), self._get_param("Budget")["BudgetName"]
        tags(self)[f"arn:aws:budgets::{account}:budget/{name}"] = {tag["Key"]: tag["Value"] for tag in given}
        return answer

    @replace(BudgetsResponse)
    def list_tags_for_resource(self: Any) -> str:
        found = tags(self).get(self._get_param("ResourceARN"), {})
        return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in found.items()]})

    @replace(BudgetsResponse)
    def tag_resource(self: Any) -> str:
        found = tags(self).setdefault(self._get_param("ResourceARN"), {})
        found.update({tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags")})
        return "{}"

    @replace(BudgetsResponse)
    def untag_resource(self: Any) -> str:
        found = tags(self).get(self._get_param("ResourceARN"), {})
        for key in self._get_param("ResourceTagKeys"):
            found.pop(key, None)
        return "{}"
