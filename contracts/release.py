"""What the deployer Lambda reads and answers: its settings, the pin, and the actions of its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from contracts.errors import ContractError
from contracts.names import Names

# Values of the field ``action`` in the Lambda's event. An event of EventBridge has ``detail-type`` instead.
CHAMPION, KEEP, PUBLISH, DEPLOY, SWEEP = "champion", "keep", "publish", "deploy", "sweep"
ACTIONS = (CHAMPION, KEEP, PUBLISH, DEPLOY, SWEEP)

REGISTRY_EVENT = "SageMaker Model Package State Change"
ENDPOINT_EVENT = "SageMaker Endpoint State Change"
DEPLOYMENT_EVENT = "SageMaker Endpoint Deployment State Change"

PACKAGES_PREFIX = "packages/"
RUNS_PREFIX = "runs/"
CHECKPOINTS_PREFIX = "checkpoints/"

#: The Lambda's environment variable that names the settings object, ``s3://…/release/settings.json``.
SETTINGS_VARIABLE = "CVF_SETTINGS_URI"

# Keys of a package's CustomerMetadataProperties (values are strings).
META_BUNDLE_HASH = "bundle_hash"
META_DATASET_HASH = "dataset_hash"
META_SOURCE_HASH = "source_hash"
META_PROTOCOL = "protocol"
META_PRECISION = "serving_precision"
META_TRAINING_DIGEST = "training_image_digest"
META_INFERENCE_DIGEST = "inference_image_digest"
META_EXECUTION = "execution_id"


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """``release/settings.json``: what the Lambda needs of ``factory.yaml``. Terraform writes the same object.

    ``network`` is ``{"subnets": […], "security_groups": […]}`` or empty; ``kms_key_id`` is empty for the service's key.
    """

    name: str
    env: str
    account_id: str
    region: str
    instance_type: str
    instance_count: int
    max_instances: int
    capture_share: float
    image_url_hosts: tuple[str, ...]
    max_body_bytes: int
    max_pixels: int
    max_instances_per_request: int
    strategy: str
    percent: int
    bake_minutes: int
    isolated_endpoint: bool
    kms_key_id: str
    network: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        value["image_url_hosts"] = list(self.image_url_hosts)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ReleaseSettings:
        known = set(cls.__slots__)  # type: ignore[attr-defined]
        if known != set(value):
            raise ContractError(
                f"release/settings.json and this code differ in: {', '.join(sorted(known ^ set(value)))}",
                "Apply the base again (cv-factory infra apply, or cv-factory local up) with this version.",
            )
        return cls(**{**value, "image_url_hosts": tuple(value["image_url_hosts"])})

    @property
    def names(self) -> Names:
        return Names(self.name, self.env, self.account_id, self.region)
