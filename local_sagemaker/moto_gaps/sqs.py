"""SQS: RedrivePolicy comes back with blanks that nobody sent, which Terraform reports as a change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.sqs.models import Queue

from local_sagemaker.moto_gaps.patching import original_of, put

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def install(platform: Platform) -> None:
    original = original_of(Queue, "attributes")

    def attributes(self: Any) -> dict[str, Any]:
        found: dict[str, Any] = original.fget(self)
        if found.get("RedrivePolicy"):
            found["RedrivePolicy"] = json.dumps(json.loads(found["RedrivePolicy"]), separators=(",", ":"))
        return found

    put(Queue, "attributes", property(attributes))
