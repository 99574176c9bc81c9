"""The objects that the base puts below ``release/``, byte for byte as Terraform's ``jsonencode`` writes them."""

from __future__ import annotations

from typing import Any

from contracts import jsonio
from contracts.errors import RefusedError
from contracts.names import NO_CHAMPION_KEY, SETTINGS_KEY
from contracts.release import ReleaseSettings
from contracts.settings import Settings

_MB = 1024 * 1024


def release_settings(settings: Settings) -> ReleaseSettings:
    """What the deployer needs of the settings.

    Raises:
        RefusedError: ``network.vpc: create``, whose subnets only Terraform knows.
    """
    network: dict[str, Any] = {}
    if settings.network.vpc == "create":
        raise RefusedError(
            "network.vpc is create, and a network of one's own is not built yet",
            "Set network.vpc to none, or to existing with aws.existing.subnet_ids and security_group_ids.",
        )
    if settings.network.vpc == "existing":
        existing = settings.aws.existing
        network = {
            "subnets": list(existing.subnet_ids or ()),
            "security_groups": list(existing.security_group_ids or ()),
        }
    serving, release, names = settings.serving, settings.release, settings.names
    return ReleaseSettings(
        name=settings.name,
        env=settings.env,
        account_id=names.account_id,
        region=names.region,
        instance_type=serving.instance_type,
        instance_count=serving.instance_count,
        max_instances=serving.max_instances,
        capture_share=serving.capture_share,
        image_url_hosts=serving.image_url_hosts,
        max_body_bytes=serving.max_body_mb * _MB,
        max_pixels=serving.max_pixels,
        max_instances_per_request=serving.max_images_per_request,
        max_frames=serving.max_frames,
        max_json_depth=serving.max_json_depth,
        max_headers=serving.max_headers,
        max_header_bytes=serving.max_header_kb * 1024,
        queue=serving.queue,
        deadline_seconds=serving.deadline_seconds,
        read_seconds=serving.read_seconds,
        log_share=serving.log_share,
        strategy=release.strategy,
        percent=release.percent,
        bake_minutes=release.bake_minutes,
        expire_hours=release.expire_hours,
        isolated_endpoint="endpoint" in settings.network.isolated,
        kms_key_id=names.key_alias_arn,
        endpoint_role_arn=settings.role_arn("endpoint"),
        network=network,
    )


def objects(settings: Settings) -> dict[str, bytes]:
    """Key in the artifact bucket -> body."""
    return {
        SETTINGS_KEY: jsonio.canonical(release_settings(settings).to_json()).encode(),
        NO_CHAMPION_KEY: jsonio.canonical({"champion": None}).encode(),
    }
