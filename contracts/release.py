"""What the deployer Lambda reads and answers: its settings, the pin, and the actions of its events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from contracts import jsonio
from contracts.bundle import FLOAT32
from contracts.errors import ContractError
from contracts.names import Names

# Values of the field ``action`` in the Lambda's event. An event of EventBridge has ``detail-type`` instead.
CHAMPION, KEEP, PUBLISH, DEPLOY, SWEEP = "champion", "keep", "publish", "deploy", "sweep"
#: What a person asks for: try again what failed, or at once, without guards and waits.
RETRY, AT_ONCE = "retry", "at-once"
ACTIONS = (CHAMPION, KEEP, PUBLISH, DEPLOY, SWEEP, RETRY, AT_ONCE)

# What the pipeline's steps Champion and Keep answer: all strings, "" for what there is not.
CHAMPION_OUTPUTS = ("champion_uri", "package_arn", "bundle_hash")
KEEP_OUTPUTS = (
    "package_uri", "model_uri", "evaluation_file_uri", "report_uri", "model_card_uri",
    "bundle_hash", "dataset_hash", "source_hash", "protocol", "precision", "known", "known_status",
    "evaluation_sha256", "report_sha256", "champion_bundle_hash",
)  # fmt: skip

# The guards of ``release.guards``: what rolls an update back.
ERRORS_5XX, SHARE_4XX, LATENCY_P99 = "errors_5xx", "share_4xx", "latency_p99_ms"
MEMORY, LABEL_SHIFT = "memory_percent", "label_shift"
GUARDS = (ERRORS_5XX, SHARE_4XX, LATENCY_P99, MEMORY, LABEL_SHIFT)

REGISTRY_EVENT = "SageMaker Model Package State Change"
ENDPOINT_EVENT = "SageMaker Endpoint State Change"
DEPLOYMENT_EVENT = "SageMaker Endpoint Deployment State Change"

PACKAGES_PREFIX = "packages/"
RUNS_PREFIX = "runs/"
CHECKPOINTS_PREFIX = "checkpoints/"
CAPTURE_PREFIX = "capture/"
SIGNATURES_PREFIX = "signatures/"

#: In ``packages/<bundle hash>/``: the prepared dataset's manifest, and the list of what was kept, written last.
DATASET_MANIFEST = "dataset_manifest.json"
KEPT = "kept.json"
#: The release that is open, or the last one that failed (deployment/attempt.py); removed when it succeeded.
ATTEMPT_KEY = "release/attempt.json"
#: Which run may act on the release now (deployment/lease.py).
LEASE_KEY = "release/lease.json"
#: What was released, by whom and how it ended: one object for each change of state, never changed, never removed.
LEDGER_PREFIX = "release/ledger/"

#: On what a release makes: hours since the endpoint's last change, after which ``cleanup`` takes it down.
EXPIRY_TAG = "ExpireHours"

#: The Lambda's environment variable that names the settings object, ``s3://…/release/settings.json``.
SETTINGS_VARIABLE = "CVF_SETTINGS_URI"
#: What the checks before a roll-out found last, and of what (deployment/checked.py).
CHECKS_KEY = "release/checks.json"
#: What the golden requests on the temporary endpoint gave last, ``{"config", "report"}``.
STAGING_KEY = "release/staging.json"
#: What a person wants to see rolled out without guards and waits.
AT_ONCE_KEY = "release/at-once.json"

# Keys of a package's CustomerMetadataProperties (values are strings).
META_BUNDLE_HASH = "bundle_hash"
META_DATASET_HASH = "dataset_hash"
META_SOURCE_HASH = "source_hash"
META_PROTOCOL = "protocol"
META_PRECISION = "serving_precision"
META_TRAINING_DIGEST = "training_image_digest"
META_INFERENCE_DIGEST = "inference_image_digest"
META_EXECUTION = "execution_id"
#: SHA-256 of the kept ``evaluation.json`` and ``report.html``, and the bundle that the evaluation compared with.
META_EVALUATION = "evaluation_sha256"
META_REPORT = "report_sha256"
META_CHAMPION = "champion_bundle_hash"
#: Who approves: ``manual`` (a person), or right after it was registered ``automatic`` (the pipeline) or ``promoted``
#: (the person who brought it from another environment).
META_APPROVAL = "approval"
#: The STS identities of who started the execution and of who approved (:func:`recorded_identity`).
META_STARTED_BY = "started_by"
META_APPROVED_BY = "approved_by"
#: Of a package that was promoted: the package it was copied from, and how that one did before.
META_ORIGIN = "origin_package_arn"
META_SOAK = "origin_soak"

MANUAL, AUTOMATIC, PROMOTED = "manual", "automatic", "promoted"
#: ``champion_bundle_hash`` of an evaluation that had no champion: a value must not be empty.
NO_CHAMPION = "none"
#: Who started an execution that does not say.
UNKNOWN = "unknown"
#: Values of CustomerMetadataProperties. Source: API reference, CreateModelPackage.
MAX_META_VALUE = 256
_NOT_IN_META = re.compile(r"[^\w\s.:/=+\-@]")


#: Fields that are lists in JSON and tuples here.
_LISTS = ("image_url_hosts", "fallback_instance_types")


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """``release/settings.json``: what the Lambda needs of ``factory.yaml``. Terraform writes the same object.

    ``serverless`` is ``{"memory_mb", "max_concurrency"}`` or None; ``guards`` maps guards that are on to thresholds;
    ``network`` is ``{"subnets": […], "security_groups": […]}`` or empty; ``kms_key_id`` is empty for the service's key;
    ``endpoint_role_arn`` is what the model's container runs as.
    """

    name: str
    env: str
    account_id: str
    region: str
    instance_type: str
    fallback_instance_types: tuple[str, ...]
    instance_count: int
    max_instances: int
    requests_per_instance: int
    serverless: Mapping[str, int] | None
    capture_share: float
    image_url_hosts: tuple[str, ...]
    max_body_bytes: int
    max_pixels: int
    max_instances_per_request: int
    max_frames: int
    max_json_depth: int
    max_headers: int
    max_header_bytes: int
    queue: int
    deadline_seconds: int
    read_seconds: int
    log_share: float
    staging: bool
    scan_severity: str
    strategy: str
    percent: int
    bake_minutes: int
    termination_minutes: int
    guards: Mapping[str, float]
    log_days: int
    expire_hours: int
    isolated_endpoint: bool
    kms_key_id: str
    endpoint_role_arn: str
    network: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The object's value. A whole number has no fraction, as Terraform's ``jsonencode`` writes it."""
        value = asdict(self)
        for name in _LISTS:
            value[name] = list(value[name])
        for name in ("capture_share", "log_share"):
            value[name] = _number(value[name])
        value["guards"] = {name: _number(limit) for name, limit in self.guards.items()}
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ReleaseSettings:
        known = set(cls.__slots__)
        if known != set(value):
            raise ContractError(
                f"release/settings.json and this code differ in: {', '.join(sorted(known ^ set(value)))}",
                "Apply the base again (cv-factory infra apply, or cv-factory local up) with this version.",
            )
        return cls(**{**value, **{name: tuple(value[name]) for name in _LISTS}})

    @property
    def names(self) -> Names:
        return Names(self.name, self.env, self.account_id, self.region)


def _number(value: float) -> float:
    return int(value) if value == int(value) else value


@dataclass(frozen=True, slots=True)
class Pin:
    """``release/pin.json``: the Approved package that is to be served whatever the highest version is."""

    package_arn: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Pin:
        try:
            return cls(package_arn=str(value["package_arn"]), reason=str(value["reason"]))
        except (KeyError, TypeError):
            raise ContractError(
                "release/pin.json is not a pin",
                "Remove it with cv-factory deploy, or set it again with deploy --package.",
            ) from None


@dataclass(frozen=True, slots=True)
class ImageSignature:
    """``signatures/<digest without "sha256:">.json``: who vouches for an image of our repositories.

    Attributes:
        digest: the manifest's, ``sha256:…``.
        payload: the signed text: cosign's simple signing JSON, which names the repository and the digest.
        signature: base64 of the DER signature of ``payload``.
        key: the signing key's alias.
        algorithm: KMS's name of the algorithm.
    """

    digest: str
    payload: str
    signature: str
    key: str
    algorithm: str = "ECDSA_SHA_256"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ImageSignature:
        try:
            return cls(**value)
        except TypeError:
            raise ContractError("the image's signature file is not one", "Sign the image again.") from None


def recorded_identity(arn: str) -> str:
    """An identity's ARN as a package's metadata can hold it: other characters become ``_``; 256 characters at most."""
    return _NOT_IN_META.sub("_", arn)[:MAX_META_VALUE] or UNKNOWN


def signature_key(digest: str) -> str:
    """The key in the artifact bucket of the signature of the image with this digest."""
    return f"{SIGNATURES_PREFIX}{digest.removeprefix('sha256:')}.json"


def sbom_key(digest: str) -> str:
    """The key in the artifact bucket of the list of what is in the image with this digest (CycloneDX JSON)."""
    return f"{SIGNATURES_PREFIX}{digest.removeprefix('sha256:')}.cdx.json"


def signed_payload(image: str, digest: str) -> str:
    """What is signed for ``image`` (``registry/repository``): cosign's simple signing JSON.

    Source: github.com/sigstore/cosign, specs/SIGNATURE_SPEC.md, "Simple Signing".
    """
    return jsonio.canonical(
        {
            "critical": {
                "identity": {"docker-reference": image},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )


def package_prefix(bundle_hash: str, precision: str = FLOAT32) -> str:
    """Where in the artifact bucket a bundle and what belongs to it are kept."""
    return f"{PACKAGES_PREFIX}{bundle_hash}{'' if precision == FLOAT32 else f'-{precision}'}/"
