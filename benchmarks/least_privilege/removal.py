"""Is each statement needed? Every call that the run made is decided again without it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.least_privilege.stack import Stack
from local_sagemaker import policies
from local_sagemaker.iam import on_behalf


@dataclass(frozen=True)
class Statement:
    """A statement of a role's policy, and what the run made of it.

    Attributes:
        calls: different calls that need it: without it they are refused.
        unused: its actions that no call of the run asked for.
        pages: AWS's pages of the permissions among them that the service itself uses.
    """

    role: str
    policy: str
    sid: str
    calls: int
    unused: tuple[str, ...]
    pages: tuple[str, ...] = field(default=())

    @property
    def needed(self) -> bool:
        return self.calls > 0


def role_policies(stack: Stack) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Role -> policy -> document, of every role in the account, as they were applied."""
    iam = stack.client(stack.root, "iam")
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for role in iam.list_roles(MaxItems=1000)["Roles"]:
        name = role["RoleName"]
        found[name] = {
            policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        }
        for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            arn = attached["PolicyArn"]
            version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
            found[name][attached["PolicyName"]] = document
    return found


def examine(
    documents: Mapping[str, Mapping[str, Mapping[str, Any]]], calls: Iterable[Mapping[str, Any]]
) -> list[Statement]:
    """Every statement of every role's policies, decided about on the recorded calls.

    Args:
        documents: role -> policy -> document.
        calls: what :meth:`local_sagemaker.iam.access.Access.recorded` answers.
    """
    by_role: dict[str, list[Mapping[str, Any]]] = {}
    for call in calls:
        if call["allowed"]:
            by_role.setdefault(call["principal"].rpartition("/")[2], []).append(call)
    found = []
    for role, held in documents.items():
        made = by_role.get(role, [])
        for policy, document in held.items():
            for statement in policies.statements(document):
                found.append(_examined(role, held, policy, statement, made))
    return found


def _examined(
    role: str, held: Mapping[str, Mapping[str, Any]], policy: str, statement: Mapping[str, Any],
    made: list[Mapping[str, Any]],
) -> Statement:  # fmt: skip
    alone = {"Statement": [statement]}
    rest = without(held, policy, statement)
    covered = [call for call in made if _allows([alone], call)]
    needing = [call for call in covered if not _allows(rest, call)]
    asked = {call["action"].lower() for call in covered}
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    unused = [action for action in actions if not any(policies.like(action.lower(), one) for one in asked)]
    rows = [(row.action.replace("{operation}", "*").lower(), row.page) for row in on_behalf.TABLE]
    pages = sorted(
        {page for call in needing for pattern, page in rows if policies.like(pattern, call["action"].lower())}
    )
    return Statement(role, policy, statement["Sid"], len(needing), tuple(unused), tuple(pages))


def without(
    held: Mapping[str, Mapping[str, Any]], policy: str, statement: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """The documents of a role but for one statement."""
    return [
        {**document, "Statement": [item for item in policies.statements(document) if item != statement]}
        if name == policy
        else document
        for name, document in held.items()
    ]


def _allows(documents: Iterable[Mapping[str, Any]], call: Mapping[str, Any]) -> bool:
    return policies.evaluate(documents, call["action"], call["resource"], call["context"]) == "Allow"


def take_out(stack: Stack, role: str, policy: str, sid: str) -> Mapping[str, Any]:
    """Take a statement out of a role's policy in the account; returns the document as it was."""
    iam, name = stack.client(stack.root, "iam"), stack.settings.names.role(role)
    document: Mapping[str, Any] = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    kept = [statement for statement in policies.statements(document) if statement["Sid"] != sid]
    if len(kept) == len(policies.statements(document)):
        raise KeyError(f"{policy} of {name} has no statement {sid}")
    put(stack, role, policy, {**document, "Statement": kept})
    return document


def put(stack: Stack, role: str, policy: str, document: Mapping[str, Any]) -> None:
    iam, name = stack.client(stack.root, "iam"), stack.settings.names.role(role)
    if policies.statements(document):
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
    else:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
