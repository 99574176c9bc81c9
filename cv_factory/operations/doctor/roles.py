"""Each actor's role: there, trusted by the right ones, with exactly its policies, inside the boundary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from contracts import jsonio
from cv_factory.operations.base import templates
from cv_factory.operations.base.templates import Role
from cv_factory.operations.doctor import rights
from cv_factory.operations.doctor.base import apply, missing
from cv_factory.operations.doctor.finding import PROBLEM, WARNING, Finding
from cv_factory.session import Target


def roles(target: Target) -> Iterator[Finding]:
    """The roles of the environment. On a laptop: of the factory's own actors, without a boundary."""
    wanted = templates.roles(target.settings)
    if target.is_local:
        yield from check(target, {actor: wanted[actor] for actor in templates.ACTORS if actor in wanted}, bounded=False)
    else:
        yield from check(target, wanted, bounded=True)
        yield from rights.rights(target)
    for actor in templates.ACTORS:
        if actor not in wanted:  # somebody else's: what it may do is not ours to say
            name = target.settings.role_arn(actor).rsplit("/", 1)[-1]
            if _role(target, name) is None:
                yield Finding(
                    "roles", PROBLEM, f"there is no role {name}", f"Make it, or take aws.existing.{actor}_role out."
                )


def check(target: Target, wanted: dict[str, Role], *, bounded: bool) -> Iterator[Finding]:
    """Findings on these roles; ``bounded``: with the boundary and the policies that several of them share."""
    settings = target.settings
    places = templates.role_values(settings, key_arn=_key(target, 0), signing_key_arn=_key(target, 1))
    if bounded:
        shared = {name for role in wanted.values() for name in role.shared}
        own = [] if settings.aws.existing.permissions_boundary else ["boundary"]
        for name in (*own, *sorted(shared)):
            yield from _managed(target, name, templates.document(f"policies/{name}.json", places))
    for actor, role in wanted.items():
        name = settings.names.role(actor)
        found = _role(target, name)
        if found is None:
            yield Finding("roles", PROBLEM, f"there is no role {name}", apply(target))
            continue
        if not _same(found["AssumeRolePolicyDocument"], templates.trust(settings, role, places)):
            yield Finding("roles", PROBLEM, f"{name} is trusted by others than it should be", apply(target))
        if bounded:
            boundary = found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "no boundary")
            if boundary != places["boundary_arn"]:
                yield Finding(
                    "roles", PROBLEM, f"{name} has {boundary}; right is {places['boundary_arn']}", apply(target)
                )
        yield from _inline(target, name, role, places)
        yield from _attached(target, name, role)


def _role(target: Target, name: str) -> dict[str, Any] | None:
    try:
        return dict(target.client("iam").get_role(RoleName=name)["Role"])
    except ClientError as error:
        if not missing(error):
            raise
        return None


def _inline(target: Target, name: str, role: Role, places: dict[str, str]) -> Iterator[Finding]:
    iam = target.client("iam")
    there = set(iam.list_role_policies(RoleName=name)["PolicyNames"])
    for policy in role.policies:
        if policy not in there:
            yield Finding("roles", PROBLEM, f"{name} lacks its policy {policy}", apply(target))
        elif not _same(
            iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"],
            templates.document(f"policies/{policy}.json", places),
        ):
            yield Finding("roles", WARNING, f"the policy {policy} of {name} is not this checkout's", apply(target))
    for policy in sorted(there - set(role.policies)):
        yield Finding(
            "roles", PROBLEM, f"{name} has a policy more than it should: {policy}",
            f"aws iam delete-role-policy --role-name {name} --policy-name {policy}",
        )  # fmt: skip


def _attached(target: Target, name: str, role: Role) -> Iterator[Finding]:
    pages = target.client("iam").get_paginator("list_attached_role_policies").paginate(RoleName=name)
    there = {one["PolicyArn"] for page in pages for one in page["AttachedPolicies"]}
    wanted = {_arn(target, policy) for policy in role.shared}
    for arn in sorted(wanted - there):
        yield Finding("roles", PROBLEM, f"{name} lacks its policy {arn}", apply(target))
    for arn in sorted(there - wanted):
        yield Finding(
            "roles", PROBLEM, f"{arn} is attached to {name}: the role may do more than it should",
            f"aws iam detach-role-policy --role-name {name} --policy-arn {arn}",
        )  # fmt: skip


def _managed(target: Target, name: str, wanted: Any) -> Iterator[Finding]:
    """A policy of its own in the account: the boundary, or one that several roles share."""
    iam, arn = target.client("iam"), _arn(target, name)
    try:
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    except ClientError as error:
        if not missing(error):
            raise
        yield Finding("roles", PROBLEM, f"there is no policy {arn}", apply(target))
        return
    if not _same(found, wanted):
        yield Finding("roles", WARNING, f"the policy {arn} is not this checkout's", apply(target))


def _arn(target: Target, policy: str) -> str:
    names = target.settings.names
    return f"arn:aws:iam::{names.account_id}:policy/{names.prefix}-{policy}"


def _key(target: Target, which: int) -> str:
    names = target.settings.names
    alias = (names.key_alias, names.signing_key_alias)[which]
    try:
        return str(target.client("kms").describe_key(KeyId=alias)["KeyMetadata"]["Arn"])
    except ClientError:
        return f"(there is no {alias})"  # the check of the keys says so


def _same(found: Any, wanted: Any) -> bool:
    document = json.loads(unquote(found)) if isinstance(found, str) else found
    return jsonio.canonical(document) == jsonio.canonical(wanted)
