"""Who makes a call, and which policies speak for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller.

    Attributes:
        arn: the session's ARN, as AWS's error messages name it.
        principal_arn: ``aws:PrincipalArn``: the role behind a session, else ``arn``.
        policies: name -> identity policy.
        boundary: the permissions boundary, which must allow too; None without one.
        session: the session's own policy, which must allow too; None without one.
        is_root: the account itself: policies do not bind it.
    """

    arn: str
    principal_arn: str
    policies: Mapping[str, Document]
    boundary: Document | None = None
    session: Document | None = None
    is_root: bool = False


def of_key(platform: Platform, access_key: str) -> Principal:
    """The caller that an access key belongs to.

    A key that neither STS nor IAM gave out acts as the account's root: whoever runs this server owns its account.
    """
    from moto.iam.models import iam_backends
    from moto.sts.models import sts_backends

    account = platform.account_id
    if access_key.startswith("ASIA"):
        sessions = list(sts_backends[account]["aws"].assumed_roles)
        found = next((item for item in sessions if item.access_key_id == access_key), None)
        if found is not None:
            return of_session(platform, found.role_arn, found.session_name, getattr(found, "policy", None))
    for user in list(iam_backends[account]["aws"].users.values()):
        if any(key.access_key_id == access_key for key in user.access_keys):
            return _user(platform, user)
    return root(platform)


def root(platform: Platform) -> Principal:
    arn = f"arn:aws:iam::{platform.account_id}:root"
    return Principal(arn, arn, {}, is_root=True)


def of_session(platform: Platform, role_arn: str, session_name: str, policy: str | None = None) -> Principal:
    """The session of a role; a role that is gone has no policies."""
    from moto.iam.models import iam_backends

    backend = iam_backends[platform.account_id]["aws"]
    name = role_arn.rpartition("/")[2]
    arn = f"arn:aws:sts::{platform.account_id}:assumed-role/{name}/{session_name}"
    role = next((item for item in list(backend.roles.values()) if item.arn == role_arn), None)
    if role is None:
        return Principal(arn, role_arn, {})
    policies = {name: _document(text) for name, text in role.policies.items()}
    policies |= {item.name: _managed(item) for item in role.managed_policies.values()}
    limit = _boundary(backend, role.permissions_boundary_arn)
    return Principal(arn, role_arn, policies, limit, json.loads(policy) if policy else None)


def _boundary(backend: Any, arn: str | None) -> Document | None:
    if not arn:
        return None
    policy = backend.managed_policies.get(arn)
    return _managed(policy) if policy is not None else {"Statement": []}  # a boundary that is gone: nothing


def _user(platform: Platform, user: Any) -> Principal:
    policies = {name: _document(text) for name, text in user.policies.items()}
    policies |= {item.name: _managed(item) for item in user.managed_policies.values()}
    return Principal(user.arn, user.arn, policies)


def _managed(policy: Any) -> Document:
    """The default version of a managed policy."""
    return _document(next(item.document for item in policy.versions if item.version_id == policy.default_version_id))


def _document(text: Any) -> Document:
    document: Document = json.loads(text) if isinstance(text, str | bytes) else text
    return document
