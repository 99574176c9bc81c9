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
from contracts.names import DEPLOYER_ALIAS
from local_sagemaker import policies
from local_sagemaker.iam import catalogue
from tests import open_statements
from tests.terraform import network
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
        "widgets-local-github-apply/github-apply-network",
        "RESOURCE_MISMATCH",
    ): "what a call makes and what it is made in have conditions of their own: two statements, each on its resources",
    ("widgets-local-boundary", "UNKNOWN_CONDITION_FOR_ACTION"): "kms:ResourceAliases is newer than its table",
    (
        "widgets-local-boundary",
        "RESOURCE_STAR",
    ): "a boundary grants nothing: it names services, the roles' policies resources",
    (
        "widgets-local-boundary",
        "RESOURCE_MISMATCH",
    ): "services below this environment's names: actions on other kinds match nothing",
}


def tool(name: str) -> str:
    path = TOOLS / name
    assert path.is_file(), f"{path} is missing: make test-terraform installs it from requirements/policy-tools.txt"
    return str(path)


def test_parliament_finds_nothing_in_what_was_applied(applied: Stack) -> None:
    documents = identity_policies(applied)
    assert len(documents) >= 9
    found = parliament(documents)
    issues = {(name, issue): detail for name, listed in found.items() for issue, detail in listed}
    assert not {key: detail for key, detail in issues.items() if key not in EXCUSED}
    assert set(EXCUSED) <= set(issues), "an excuse that is no longer needed"


def identity_policies(stack: Stack) -> dict[str, Any]:
    """``role/policy``, or the name of a managed policy -> document."""
    iam = stack.client("iam")
    documents: dict[str, Any] = {}
    for role in iam.list_roles()["Roles"]:
        for policy in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            answer = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)
            documents[f"{role['RoleName']}/{policy}"] = answer["PolicyDocument"]
    for item in iam.list_policies(Scope="Local")["Policies"]:
        version = iam.get_policy_version(PolicyArn=item["Arn"], VersionId=item["DefaultVersionId"])
        documents[item["PolicyName"]] = version["PolicyVersion"]["Document"]
    return documents


def resource_policies(stack: Stack) -> dict[str, Any]:
    """``kind name`` -> the policy that lies on a resource, of every resource in the account that has one."""
    names, client = stack.settings.names, stack.client
    found: dict[str, Any] = {
        f"trust {role['RoleName']}": role["AssumeRolePolicyDocument"] for role in client("iam").list_roles()["Roles"]
    }
    for bucket in (names.data_bucket, names.artifact_bucket, names.log_bucket, names.state_bucket):
        found[f"bucket {bucket}"] = client("s3").get_bucket_policy(Bucket=bucket)["Policy"]
    for alias in (names.key_alias, names.signing_key_alias):
        key = client("kms").describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
        found[f"key {alias}"] = client("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    for endpoint in network.endpoints(client("ec2")):
        found[f"endpoint {endpoint['ServiceName']}"] = endpoint["PolicyDocument"]
    for topic in client("sns").list_topics()["Topics"]:
        attributes = client("sns").get_topic_attributes(TopicArn=topic["TopicArn"])["Attributes"]
        found[f"topic {topic['TopicArn']}"] = attributes["Policy"]
    for queue in client("sqs").list_queues()["QueueUrls"]:
        attributes = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])["Attributes"]
        found[f"queue {queue}"] = attributes["Policy"]
    shared = client("ecr").get_repository_policy(repositoryName=names.inference_repository)
    found["repository"] = shared["policyText"]
    group = client("sagemaker").get_model_package_group_policy(ModelPackageGroupName=names.package_group)
    found["group"] = group["ResourcePolicy"]
    function = client("lambda").get_policy(FunctionName=names.deployer, Qualifier=DEPLOYER_ALIAS)
    found["function"] = function["Policy"]
    return {name: json.loads(text) if isinstance(text, str) else text for name, text in found.items()}


def test_every_action_and_condition_key_of_what_was_applied_is_one_that_aws_has(applied: Stack) -> None:
    """The policies that are written in HCL too, wherever they lie."""
    given = resource_policies(applied)
    assert len({name.partition(" ")[0] for name in given}) == 9
    for name, document in {**identity_policies(applied), **given}.items():
        assert not {key for key in policies.condition_keys(document) if not catalogue.knows_key(key)}, name
        assert not policies.condition_operators(document), name
        for statement in policies.statements(document):
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            if name.startswith("endpoint ") and actions == ["*"]:  # of the one service behind the endpoint
                assert statement["Condition"] == {
                    "StringEquals": {"aws:PrincipalAccount": applied.settings.aws.account_id}
                }
                continue
            assert not [action for action in actions if not catalogue.exists(action)], (name, statement)


def test_roles_name_every_resource_only_where_the_docs_say_why(applied: Stack) -> None:
    prefix, explained = applied.settings.names.prefix, open_statements.explained()
    for name, document in identity_policies(applied).items():
        policy = name.rpartition("/")[2].removeprefix(f"{prefix}-")
        if policy == "boundary":
            continue
        for statement in policies.statements(document):
            resources = [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            assert not any("*" in action for action in actions), (name, statement)
            assert "*" not in resources or (policy, statement["Sid"]) in explained, (name, statement)


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
