"""How long the lines of jobs are kept. Their two log groups are SageMaker's, one pair for all jobs of the account."""

from __future__ import annotations

from collections.abc import Iterator

from cv_factory.operations.doctor.finding import WARNING, Finding
from cv_factory.operations.executions import LOG_GROUPS
from cv_factory.session import Target


def logs(target: Target) -> Iterator[Finding]:
    """Groups that are there and never expire. Not ours to change: other factories and teams write there too."""
    if target.is_local:
        return
    days = target.settings.operations.log_days
    for name in sorted(set(LOG_GROUPS.values())):
        found = target.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        if any(one["logGroupName"] == name and "retentionInDays" not in one for one in found):
            yield Finding(
                "logs", WARNING, f"{name} never expires: its lines are kept, and paid for, for ever",
                f"For all jobs of the account: aws logs put-retention-policy --log-group-name {name}"
                f" --retention-in-days {days}",
            )  # fmt: skip
