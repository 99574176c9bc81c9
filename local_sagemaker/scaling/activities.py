"""What was scaled, when and why: DescribeScalingActivities."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from local_sagemaker.store import Store

_KIND = "scaling-activity"
#: Of all targets together. AWS keeps six weeks.
KEPT = 500

IN_PROGRESS, SUCCESSFUL, FAILED = "InProgress", "Successful", "Failed"


class Activities:
    """Scaling activities of one account, oldest first."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def begin(self, region: str, target: Any, wanted: int, current: int, cause: str, note: str = "") -> str:
        """``target``: moto's scalable target. Returns the activity's id."""
        identity = str(uuid.uuid4())
        body = {
            "ActivityId": identity,
            "ServiceNamespace": target.service_namespace,
            "ResourceId": target.resource_id,
            "ScalableDimension": target.scalable_dimension,
            "Description": f"Setting desired instance count to {wanted}.",
            "Cause": cause,
            "StartTime": self._clock(),
            "StatusCode": IN_PROGRESS,
            "StatusMessage": f"Setting desired instance count to {wanted}. {note}".strip(),
        }
        self._store.insert(
            _KIND, region, identity, {"shown": body, "wanted": wanted, "out": wanted > current, "note": note}
        )
        for record in self._store.list(_KIND)[:-KEPT]:
            self._store.delete(_KIND, record.region, record.name)
        return identity

    def end(self, region: str, identity: str, why_not: str = "") -> None:
        """The activity is over; ``why_not``: it failed."""

        def change(body: dict[str, Any]) -> None:
            wanted, note = body["wanted"], body["note"]
            done = f"Successfully set desired instance count to {wanted}. Change successfully fulfilled by sagemaker."
            failed = f"Failed to set desired instance count to {wanted}. Reason: {why_not}"
            body["shown"] |= {
                "StatusCode": FAILED if why_not else SUCCESSFUL,
                "StatusMessage": failed if why_not else f"{done} {note}".strip(),
                "EndTime": self._clock(),
            }

        self._store.update(_KIND, region, identity, change)

    def of(self, region: str, resource_id: str | None = None) -> list[dict[str, Any]]:
        """The stored bodies of a region (``shown``, ``wanted``, ``out``), of one resource or of all."""
        found = [record.body for record in self._store.list(_KIND, region)]
        return [body for body in found if resource_id in (None, body["shown"]["ResourceId"])]
