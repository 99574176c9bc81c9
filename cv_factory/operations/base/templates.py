"""The documents that Terraform and the local base share: files below ``terraform/`` with ``${name}`` in them.

Terraform reads them with ``templatefile``, this module fills them in the same way.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from contracts import source
from contracts.errors import ContractError
from contracts.s3uri import S3Uri
from contracts.settings import Settings

#: The factory's own actors, which the local base makes too.
ACTORS: tuple[Literal["pipeline", "job", "endpoint", "deployer"], ...] = ("pipeline", "job", "endpoint", "deployer")

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


@dataclass(frozen=True, slots=True)
class Role:
    """Names of documents below ``policies/``.

    Attributes:
        trust: who may take the role.
        policies: its inline policies.
        shared: policies of the account that are attached, because several roles have them.
    """

    trust: str
    policies: tuple[str, ...]
    shared: tuple[str, ...] = ()


def roles(settings: Settings) -> dict[str, Role]:
    """Actor -> the role that the base makes for it; ``terraform/factory/roles.tf`` has the same."""
    existing = settings.aws.existing
    found: dict[str, Role] = {
        actor: Role(*role_documents(settings, actor)) for actor in ACTORS if not getattr(existing, f"{actor}_role")
    }
    found["owner"] = Role("trust-owner", ("owner",))
    if settings.tracking.mlflow == "create":
        found["tracking"] = Role("trust-sagemaker", ("tracking-server",))
    if settings.github.repository:
        network = settings.network.vpc != "none"
        readings = ("github-plan", *(["github-plan-network"] if network else []))
        applies = ("github-apply", *(["github-apply-network"] if network else []))
        found["github-plan"] = Role("trust-github-plan", (), readings)
        found["github-apply"] = Role("trust-github", applies, readings)
        found["github-release"] = Role("trust-github", ("github-release",))
    return found


def role_values(settings: Settings, *, key_arn: str, signing_key_arn: str) -> dict[str, str]:
    """:func:`values`, and what only the roles of people and workflows and the boundary name."""
    names, existing = settings.names, settings.aws.existing
    account = f"arn:aws:iam::{names.account_id}"
    return {
        **values(settings, key_arn=key_arn, signing_key_arn=signing_key_arn),
        "pipeline_role_arn": settings.role_arn("pipeline"),
        "deployer_role_arn": settings.role_arn("deployer"),
        "github_repository": settings.github.repository,
        "github_branch": settings.github.branch,
        "boundary_arn": existing.permissions_boundary or f"{account}:policy/{names.prefix}-boundary",
        "oidc_provider_arn": existing.oidc_provider or f"{account}:oidc-provider/token.actions.githubusercontent.com",
    }


def trust(settings: Settings, role: Role, places: dict[str, str]) -> Any:
    """The document that says who may take the role; ``release.owners`` stands for the account, where it is set."""
    if role.trust != "trust-owner" or not settings.release.owners:
        return document(f"policies/{role.trust}.json", places)
    owners = {
        "Sid": "ReleaseOwners",
        "Effect": "Allow",
        "Principal": {"AWS": list(settings.release.owners)},
        "Action": "sts:AssumeRole",
    }
    return {"Version": "2012-10-17", "Statement": [owners]}
