"""The objects that the base puts below ``release/``, byte for byte as Terraform's ``jsonencode`` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts import jsonio
from contracts.names import NO_CHAMPION_KEY, SETTINGS_KEY
from contracts.release import ReleaseSettings
from contracts.settings import Settings

_MB = 1024 * 1024


def release_settings(settings: Settings, made: Mapping[str, Any] | None = None) -> ReleaseSettings:
    """What the deployer needs of the settings.

    Args:
        settings: of the environment.
        made: with ``network.vpc: create`` the subnets and groups that were made (:func:`vpc.ensure`); no part of the
            settings.
    """
    network: dict[str, Any] = dict(made or {}) if settings.network.vpc == "create" else {}
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
        fallback_instance_types=serving.fallback_instance_types,
        instance_count=serving.instance_count,
        max_instances=serving.max_instances,
        requests_per_instance=serving.requests_per_instance,
        serverless=serving.serverless.model_dump() if serving.serverless else None,
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
        staging=release.staging,
        scan_severity=release.scan_severity,
        strategy=release.strategy,
        percent=release.percent,
        bake_minutes=release.bake_minutes,
        termination_minutes=release.termination_minutes,
        guards={str(name): limit for name, limit in release.guards.items()},
        log_days=settings.operations.log_days,
        expire_hours=release.expire_hours,
        isolated_endpoint="endpoint" in settings.network.isolated,
        kms_key_id=names.key_alias_arn,
        endpoint_role_arn=settings.role_arn("endpoint"),
        network=network,
    )


def objects(settings: Settings, made: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """Key in the artifact bucket -> body; ``made`` as in :func:`release_settings`."""
    return {
        SETTINGS_KEY: jsonio.canonical(release_settings(settings, made).to_json()).encode(),
        NO_CHAMPION_KEY: jsonio.canonical({"champion": None}).encode(),
    }
