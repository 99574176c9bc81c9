"""``release/settings.json``, and what the pipeline and the deployer say to each other."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from contracts import jsonio, release
from contracts.errors import ContractError
from contracts.release import ReleaseSettings

SETTINGS = ReleaseSettings(
    name="cv-factory", env="dev", account_id="111122223333", region="ap-southeast-1", instance_type="ml.m5.xlarge",
    instance_count=1, max_instances=2, capture_share=0.1, image_url_hosts=("a.example.com", "b.example.com"),
    max_body_bytes=6_000_000, max_pixels=25_000_000, max_instances_per_request=64, max_frames=1,
    max_json_depth=32, max_headers=64, max_header_bytes=16384, queue=100, deadline_seconds=60, read_seconds=15,
    log_share=0.5, strategy="canary", percent=10,
    bake_minutes=5, expire_hours=0, isolated_endpoint=False, kms_key_id="",
    endpoint_role_arn="arn:aws:iam::111122223333:role/x",
    network={"subnets": ["subnet-1", "subnet-2"], "security_groups": ["sg-1"]},
)  # fmt: skip


def test_settings_are_read_back_as_written() -> None:
    for settings in (SETTINGS, replace(SETTINGS, image_url_hosts=(), network={})):
        again = ReleaseSettings.from_json(json.loads(jsonio.pretty(settings.to_json())))
        assert again == settings and again.names.endpoint == "cv-factory-dev"


def test_a_base_of_another_version_is_named_with_the_differing_fields() -> None:
    value = SETTINGS.to_json()
    value.pop("percent")
    value["surprise"] = 1
    with pytest.raises(ContractError, match="differ in: percent, surprise") as caught:
        ReleaseSettings.from_json(value)
    assert "infra apply" in caught.value.hint


def test_every_action_has_a_word_of_its_own() -> None:
    assert len(set(release.ACTIONS)) == len(release.ACTIONS)
    assert len(set(release.CHAMPION_OUTPUTS)) == 3 and len(set(release.KEEP_OUTPUTS)) == 15
