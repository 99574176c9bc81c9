"""EC2: the description of a security group rule for a group or a prefix list gets lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.ec2.models.security_groups import SecurityGroupRule

from local_sagemaker.moto_gaps.patching import put, replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def install(platform: Platform) -> None:
    @replace(SecurityGroupRule)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        __init__.original(self, *args, **kwargs)  # type: ignore[attr-defined]
        given = args[7] if len(args) > 7 else kwargs.get("prefix_list_id")
        self.prefix_list_description = given.get("Description") if isinstance(given, dict) else None

    def description(self: Any) -> str | None:
        for part in (self.ip_range, self.source_group):
            if isinstance(part, dict) and part.get("Description"):
                return str(part["Description"])
        return getattr(self, "prefix_list_description", None)

    put(SecurityGroupRule, "description", property(description))
