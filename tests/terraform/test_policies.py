"""Policies and Terraform files before tools that know what people get wrong: parliament and checkov.

They live in an environment of their own, which ``make test-terraform`` makes.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from contracts import source
from tests.terraform.conftest import Stack

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]

TOOLS = source.root() / "build" / "policy-tools" / "bin"
_PARLIAMENT = """
import json, sys
import parliament
documents = json.load(sys.stdin)
print(json.dumps({
    name: [[finding.issue, str(finding.detail)] for finding in parliament.analyze_policy_string(text).findings]
    for name, text in documents.items()
}))
"""
#: (policy, finding) -> why it stays.
EXCUSED = {
    (
        "widgets-local-github-apply/github-apply",
        "UNKNOWN_CONDITION_FOR_ACTION",
    ): "kms:ResourceAliases is newer than its table",
    ("widgets-local-github-plan", "UNKNOWN_CONDITION_FOR_ACTION"): "kms:ResourceAliases is newer than its table",
    (
        "widgets-local-boundary",
        "RESOURCE_STAR",
    ): "a boundary grants nothing: it names services, the roles' policies resources",
    (
        "widgets-local-boundary",
        "RESOURCE_MISMATCH",
    ): "iam:* below this environment's names: actions on other kinds match nothing",
}


def tool(name: str) -> str:
    path = TOOLS / name
    assert path.is_file(), f"{path} is missing: make test-terraform installs it from requirements/policy-tools.txt"
    return str(path)


def test_parliament_finds_nothing_in_what_was_applied(applied: Stack) -> None:
    iam = applied.client("iam")
    documents: dict[str, Any] = {}
    for role in iam.list_roles()["Roles"]:
        for policy in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            answer = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)
            documents[f"{role['RoleName']}/{policy}"] = answer["PolicyDocument"]
    for item in iam.list_policies(Scope="Local")["Policies"]:
        version = iam.get_policy_version(PolicyArn=item["Arn"], VersionId=item["DefaultVersionId"])
        documents[item["PolicyName"]] = version["PolicyVersion"]["Document"]
    assert len(documents) >= 9
    found = parliament(documents)
    issues = {(name, issue): detail for name, listed in found.items() for issue, detail in listed}
    assert not {key: detail for key, detail in issues.items() if key not in EXCUSED}
    assert set(EXCUSED) <= set(issues), "an excuse that is no longer needed"


def test_parliament_would_find_something() -> None:
    everything = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}],
    }
    nothing = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObjekt", "Resource": "*"}]}
    found = parliament({"everything": everything, "nothing": nothing})
    assert "RESOURCE_STAR" in found["everything"][0] and "UNKNOWN_ACTION" in found["nothing"][0]


def parliament(documents: dict[str, Any]) -> dict[str, list[list[str]]]:
    done = subprocess.run(
        [tool("python"), "-c", _PARLIAMENT],
        input=json.dumps({name: json.dumps(document) for name, document in documents.items()}),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, list[list[str]]] = json.loads(done.stdout)
    return found


def test_checkov_finds_nothing_without_an_excuse(checkout: Path) -> None:
    folder = checkout / "terraform"
    done = subprocess.run(
        [tool("checkov"), "--config-file", str(folder / ".checkov.yaml"), "-d", str(folder), "-o", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    report = json.loads(done.stdout)
    failed = [f"{item['check_id']} {item['resource']}" for item in report["results"]["failed_checks"]]
    assert not failed, failed
    assert report["summary"]["passed"] > 200 and report["summary"]["parsing_errors"] == 0
