"""CloudWatch: PutCompositeAlarm is missing, although moto's alarm knows an alarm rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.cloudwatch.responses import CloudWatchResponse

from local_sagemaker.moto_gaps.patching import replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def install(platform: Platform) -> None:
    @replace(CloudWatchResponse)
    def put_composite_alarm(self: Any) -> Any:
        return self.put_metric_alarm()
