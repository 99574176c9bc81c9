"""``release/settings.json``, and what the pipeline and the deployer say to each other."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from contracts import jsonio, release, source
from contracts.errors import ContractError
from contracts.release import ReleaseSettings
from contracts.settings.model import fields

SETTINGS = ReleaseSettings(
    name="cv-factory", env="dev", account_id="111122223333", region="ap-southeast-1", instance_type="ml.m5.xlarge",
    fallback_instance_types=("ml.c5.xlarge",), instance_count=1, max_instances=2, requests_per_instance=600,
    serverless=None, capture_share=0.1, image_url_hosts=("a.example.com", "b.example.com"), max_body_bytes=6_000_000,
    max_pixels=25_000_000, max_instances_per_request=64, max_frames=1, max_json_depth=32, max_headers=64,
    max_header_bytes=16384, queue=100, deadline_seconds=60, read_seconds=15, log_share=0.5, strategy="canary",
    percent=10, bake_minutes=5, termination_minutes=0, guards={"errors_5xx": 5.0, "label_shift": 0.25}, log_days=30,
    expire_hours=0,
    isolated_endpoint=False, kms_key_id="", endpoint_role_arn="arn:aws:iam::111122223333:role/x",
    staging=False, scan_severity="HIGH",
    network={"subnets": ["subnet-1", "subnet-2"], "security_groups": ["sg-1"]},
)  # fmt: skip


def test_settings_are_read_back_as_written() -> None:
    serverless = replace(SETTINGS, serverless={"memory_mb": 2048, "max_concurrency": 5}, guards={})
    for settings in (SETTINGS, replace(SETTINGS, image_url_hosts=(), network={}), serverless):
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


def test_terraform_writes_the_same_fields_from_the_same_settings() -> None:
    """``tests/terraform`` compares the objects; this one says on any machine which field one of the two forgot."""
    text = (source.root() / "terraform" / "factory" / "release.tf").read_text(encoding="utf-8")
    block = text[text.index("  release_settings = {") :].partition("\n  }\n")[0]
    lines = dict(re.findall(r"^    (\w+)\s+= (.+)$", block, re.M))
    assert list(lines) == list(ReleaseSettings.__slots__)
    read = re.findall(r"local\.settings\.(\w+)\.(\w+)", " ".join(lines.values()))
    assert len(read) > 15 and not [path for path in read if path[1] not in fields((path[0],))]
    for name in ("strategy", "percent", "bake_minutes", "staging", "scan_severity"):
        assert lines[name] == f"local.settings.release.{name}"
