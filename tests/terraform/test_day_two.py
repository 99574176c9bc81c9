"""The life of a base: made, planned, changed, changed by hand, interrupted, taken down. One state, in order."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cv_factory.operations import infra
from cv_factory.operations.base import state_bucket, state_lock, templates
from local_sagemaker import control
from tests.terraform.conftest import Stack, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

SETTINGS = """\
name: days
aws: {region: eu-west-1, account_id: "123456789012"}
data: {source: ./photos}
serving: {instance_count: 1, max_instances: 1}
operations: {email: first@example.com, log_days: 14, budget_usd: 0}
github: {repository: acme/days}
environments: {local: {}}
"""

#: A changed setting -> root -> what its plan does, and to nothing else.
CHANGES = {
    ("instance_count: 1, max_instances: 1", "instance_count: 2, max_instances: 4"): {
        "data": {},
        "factory": {"aws_s3_object.settings": ["update"]},
    },
    ("email: first@example.com", "email: second@example.com"): {
        "data": {},
        "factory": {"module.operations.aws_sns_topic_subscription.email[0]": ["delete", "create"]},
    },
    ("log_days: 14", "log_days: 30"): {
        "data": {"module.log_bucket.aws_s3_bucket_lifecycle_configuration.this": ["update"]},
        "factory": {
            "aws_s3_object.settings": ["update"],  # the endpoint's log group is the deployer's
            "module.deployer.aws_cloudwatch_log_group.this": ["update"],
        },
    },
}


def test_the_life_of_a_base(checkout: Path, tmp_path: Path) -> None:
    file = checkout / "days.yaml"
    file.write_text(SETTINGS)
    with started(tmp_path / "aws", file) as stack:
        assert state_bucket.ensure(stack.target)
        infra.package.main([str(infra._zip())])

        interrupted(stack, "data")
        assert state_lock.find(stack.target, "data") is None
        for root in infra.ROOTS:
            assert apply(stack, root) == 0
            assert not changes(stack, root, tmp_path), "the plan after an apply is empty"

        for (before, after), expected in CHANGES.items():
            file.write_text(file.read_text().replace(before, after))
            found = {root: changes(stack, root, tmp_path) for root in infra.ROOTS}
            assert found == expected, f"{before} became {after}"
            for root in infra.ROOTS:
                assert not found[root] or apply(stack, root) == 0

        changed_by_hand(stack, tmp_path)

        for root in reversed(infra.ROOTS):
            assert stack.terraform(root, "destroy", "-auto-approve", "-input=false") == 0
        nothing_is_left(stack)


@contextlib.contextmanager
def started(folder: Path, file: Path) -> Iterator[Stack]:
    try:
        yield start(folder, file)
    finally:
        control.stop(folder)


def apply(stack: Stack, root: str) -> int:
    return stack.terraform(root, "apply", "-auto-approve", "-input=false")


def changes(stack: Stack, root: str, folder: Path) -> dict[str, list[str]]:
    """Address -> actions of what a plan would do."""
    plan = folder / f"{root}.plan"
    code = stack.terraform(root, "plan", "-detailed-exitcode", "-input=false", f"-out={plan}")
    assert code in (0, 2)
    document = stack.output(root, "show", "-json", str(plan))
    found = {
        item["address"]: item["change"]["actions"]
        for item in document["resource_changes"]
        if item["mode"] == "managed" and item["change"]["actions"] != ["no-op"]
    }
    assert bool(found) == (code == 2)
    return found


def interrupted(stack: Stack, root: str) -> None:
    """Begin an apply and interrupt it, as Ctrl-C and a cancelled workflow do, once something of it is made.

    Terraform then finishes what it is doing, writes its state and gives its lock back. After SIGKILL it cannot: see
    test_accounts.py for the lock that stays, test_killed.py for what the state has forgotten.
    """
    assert stack.terraform(root, "init") == 0
    process = subprocess.Popen(
        ["terraform", f"-chdir={templates.folder() / root}", "apply", "-auto-approve", "-input=false", "-no-color"],
        env=infra._environment(stack.target, root), stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "Creation complete" in line and "Interrupt received" not in printed:
            os.kill(process.pid, signal.SIGINT)
            break
    printed += process.stdout.read()
    process.stdout.close()
    assert process.wait(300) != 0 and "Interrupt received" in printed, printed
    assert "Apply complete" not in printed


def changed_by_hand(stack: Stack, folder: Path) -> None:
    """What somebody changed in the console is found, and only that; the apply puts it right."""
    names, s3, iam = stack.settings.names, stack.client("s3"), stack.client("iam")
    s3.delete_bucket_policy(Bucket=names.data_bucket)
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_role_policy(
        RoleName=names.role("job"), PolicyName="job",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}),
    )  # fmt: skip
    assert changes(stack, "data", folder) == {"module.data_bucket.aws_s3_bucket_policy.this": ["create"]}
    assert changes(stack, "factory", folder) == {'module.identity.aws_iam_role_policy.this["job/job"]': ["update"]}
    for root in infra.ROOTS:
        assert apply(stack, root) == 0
    assert not changes(stack, "factory", folder)


def nothing_is_left(stack: Stack) -> None:
    """All is gone but what is documented: the state bucket with its key, and keys that wait for their deletion."""
    names = stack.settings.names
    assert [item["Name"] for item in stack.client("s3").list_buckets()["Buckets"]] == [names.state_bucket]
    iam, empty = stack.client("iam"), {}
    assert not iam.list_roles()["Roles"] and not iam.list_policies(Scope="Local")["Policies"]
    assert not iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    listed: dict[str, Any] = {
        "functions": stack.client("lambda").list_functions()["Functions"],
        "rules": stack.client("events").list_rules()["Rules"],
        "repositories": stack.client("ecr").describe_repositories()["repositories"],
        "groups": stack.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"],
        "log groups": stack.client("logs").describe_log_groups()["logGroups"],
        "queues": stack.client("sqs").list_queues().get("QueueUrls"),
        "topics": stack.client("sns").list_topics()["Topics"],
        "alarms": stack.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "dashboards": stack.client("cloudwatch").list_dashboards()["DashboardEntries"],
    }
    assert {kind: items for kind, items in listed.items() if items} == empty
    kms = stack.client("kms")
    states = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    kept = kms.describe_key(KeyId=names.state_key_alias)["KeyMetadata"]["KeyId"]
    ours = [key for key in states if key["KeyManager"] == "CUSTOMER" and key["KeyId"] != kept]
    assert {key["KeyState"] for key in ours} == {"PendingDeletion"}
