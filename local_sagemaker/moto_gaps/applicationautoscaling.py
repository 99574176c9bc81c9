"""Application Auto Scaling: tags are missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse

from local_sagemaker.moto_gaps.patching import replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def install(platform: Platform) -> None:
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
