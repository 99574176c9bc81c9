"""The documents that Terraform and the local base share: files below ``terraform/`` with ``${name}`` in them.

Terraform reads them with ``templatefile``, this module fills them in the same way.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from contracts import source
from contracts.errors import ContractError
from contracts.s3uri import S3Uri
from contracts.settings import Settings

_PLACE = re.compile(r"\$\{(\w+)\}")


def folder() -> Path:
    """``terraform/`` of this checkout."""
    return source.root() / "terraform"


def values(settings: Settings, *, key_arn: str, signing_key_arn: str) -> dict[str, str]:
    """What the places stand for. ``terraform/factory/roles.tf`` computes the same."""
    names = settings.names
    return {
        "account_id": names.account_id,
        "region": names.region,
        "env": names.env,
        "project": names.name,
        "prefix": names.prefix,
        "data_bucket": names.data_bucket,
        "artifact_bucket": names.artifact_bucket,
        "log_bucket": names.log_bucket,
        "state_bucket": names.state_bucket,
        "source_bucket": source_bucket(settings),
        "job_role_arn": settings.role_arn("job"),
        "endpoint_role_arn": settings.role_arn("endpoint"),
        "tracking_server_arn": settings.tracking_server_arn,
        "key_arn": key_arn,
        "signing_key_arn": signing_key_arn,
    }


def source_bucket(settings: Settings) -> str:
    """The bucket that jobs read images from: the one that ``data.source`` names, else the data bucket."""
    text = settings.data.source
    return S3Uri.parse(text).bucket if text.startswith("s3://") else settings.names.data_bucket


def document(name: str, places: dict[str, str]) -> Any:
    """The JSON value of ``terraform/<name>`` with its places filled.

    Raises:
        ContractError: the file names a place that has no value, or is not JSON.
    """
    text = (folder() / name).read_text(encoding="utf-8")
    missing = sorted(set(_PLACE.findall(text)) - set(places))
    if missing:
        raise ContractError(f"terraform/{name} names {', '.join(missing)}, which nobody fills in")
    try:
        return json.loads(_PLACE.sub(lambda found: json.dumps(places[found[1]])[1:-1], text))
    except ValueError as error:
        raise ContractError(f"terraform/{name} is not JSON: {error}") from None


def role_documents(settings: Settings, actor: str) -> tuple[str, tuple[str, ...]]:
    """The trust document and the inline policies (by name) of ``actor``: pipeline, job, endpoint or deployer."""
    trust = "trust-lambda" if actor == "deployer" else "trust-sagemaker"
    policies = [actor]
    if actor == "job" and settings.data.source.startswith("s3://"):
        policies.append("source")
    if actor in ("job", "endpoint") and settings.network.vpc != "none":
        policies.append("network")
    if actor == "job" and settings.tracking_server_arn:
        policies.append("tracking")
    return trust, tuple(policies)
