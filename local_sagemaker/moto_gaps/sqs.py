"""SQS: RedrivePolicy comes back with blanks that nobody sent, which Terraform reports as a change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.sqs.models import Queue

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def install(platform: Platform) -> None:
    original: Any = Queue.attributes

    def attributes(self: Any) -> dict[str, Any]:
        found: dict[str, Any] = original.fget(self)
        if found.get("RedrivePolicy"):
            found["RedrivePolicy"] = json.dumps(json.loads(found["RedrivePolicy"]), separators=(",", ":"))
        return found

    setattr(Queue, "attributes", property(attributes))  # noqa: B010  (mypy: no assignment to a property)
