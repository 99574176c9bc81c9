"""An apply that is killed (SIGKILL, a machine that goes) goes on: nothing is made twice, nothing of others is taken."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import FactoryError
from cv_factory.operations import infra
from cv_factory.operations.base import leftovers, state_lock, templates
from local_sagemaker import control
from tests.terraform import network
from tests.terraform.conftest import FACTORY_YAML, Stack, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

#: Root, and how many resources are made when Terraform is killed there.
MOMENTS = (("data", 3), ("factory", 88))

#: A Terraform that is killed with its providers once an apply in ``$KILL_ROOT`` has made ``$KILL_AFTER`` resources.
KILLED = """#!{python}
import os, signal, subprocess, sys
mortal = "apply" in sys.argv and sys.argv[1].endswith("/" + os.environ.get("KILL_ROOT", "none"))
if not mortal:
    os.execv({terraform!r}, ["terraform", *sys.argv[1:]])
child = subprocess.Popen([{terraform!r}, *sys.argv[1:]], stdout=subprocess.PIPE, text=True, start_new_session=True)
made = 0
for line in child.stdout:
    print(line, end="", flush=True)
    made += "Creation complete" in line
    if made == int(os.environ["KILL_AFTER"]):
        os.killpg(child.pid, signal.SIGKILL)
        break
sys.exit(child.wait() and 137)
"""


@pytest.fixture
def mortal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "terraform").write_text(KILLED.format(python=sys.executable, terraform=shutil.which("terraform")))
    (folder / "terraform").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def stack(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """An account that is empty but for the bucket of the state."""
    file = checkout / "killed.yaml"
    file.write_text(FACTORY_YAML)
    try:
        made = start(tmp_path / "aws", file)
        monkeypatch.setattr(infra.sessions, "open", lambda *_: made.target)
        assert infra.state_bucket.ensure(made.target)
        yield made
    finally:
        control.stop(tmp_path / "aws")


@pytest.fixture
def run(stack: Stack) -> Callable[..., tuple[int, str]]:
    def run(*args: str) -> tuple[int, str]:
        said: list[str] = []
        code = infra.run(stack.settings, stack.target.file, args, yes=True, say=said.append)
        return code, "\n".join(said)

    return run


def test_a_killed_apply_goes_on(
    stack: Stack, run: Callable[..., tuple[int, str]], mortal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted = ""
    for root, made in MOMENTS:
        monkeypatch.setenv("KILL_ROOT", root)
        monkeypatch.setenv("KILL_AFTER", str(made))
        code, said = run("apply", "-input=false")
        assert code == 137, (root, made)
        adopted += said
        lock = state_lock.find(stack.target, root)
        assert lock is not None
        with pytest.raises(FactoryError, match=f"terraform/{root} is locked"):
            run("apply", "-input=false")
        assert run("force-unlock", lock.id)[0] == 0
    monkeypatch.delenv("KILL_ROOT")
    code, said = run("apply", "-input=false")
    assert code == 0, said
    # How much, depends on when Terraform last wrote its state: of the first three parts nothing was written yet.
    assert "terraform/data: adopting" in adopted + said
    assert run("plan", "-detailed-exitcode", "-input=false")[0] == 0
    assert not list(templates.folder().rglob("adopted-*"))
    nothing_twice(stack)
    for root in reversed(infra.ROOTS):
        assert stack.terraform(root, "destroy", "-auto-approve", "-input=false") == 0
    nothing_left(stack)


def test_what_has_the_name_and_is_another_environments_is_left_alone(
    stack: Stack, run: Callable[..., tuple[int, str]]
) -> None:
    names, kms = stack.settings.names, stack.client("kms")
    tags = [{"TagKey": "Project", "TagValue": "widgets"}, {"TagKey": "Environment", "TagValue": "prod"}]
    key = kms.create_key(Tags=tags, Description=f"Data of {names.prefix}")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=names.key_alias, TargetKeyId=key)
    for command in ("plan", "apply"):
        with pytest.raises(
            FactoryError, match=r"aws_kms_alias\.main would be alias/widgets-local, which is there"
        ) as caught:
            run(command, "-input=false")
        assert "Environment=prod" in caught.value.headline and "Environment=local" in caught.value.hint
    assert state_lock.find(stack.target, "data") is None
    assert len(customer_keys(kms)) == 2, "the state's and theirs: nothing was made"
    assert not list(templates.folder().rglob("adopted-*"))


def nothing_twice(stack: Stack) -> None:
    """What has no name of its own is there as often as the state says."""
    ec2, kms = stack.client("ec2"), stack.client("kms")
    resources = [item for root in infra.ROOTS for item in in_state(stack, root)]
    known = Counter(item["type"] for item in resources)
    ours = [{"Name": "tag:Project", "Values": ["widgets"]}]
    there = {
        "aws_vpc": len(ec2.describe_vpcs(Filters=ours)["Vpcs"]),
        "aws_subnet": len(ec2.describe_subnets(Filters=ours)["Subnets"]),
        "aws_route_table": len(ec2.describe_route_tables(Filters=ours)["RouteTables"]),
        "aws_internet_gateway": len(ec2.describe_internet_gateways(Filters=ours)["InternetGateways"]),
        "aws_nat_gateway": len(ec2.describe_nat_gateways()["NatGateways"]),
        "aws_eip": len(ec2.describe_addresses()["Addresses"]),
        "aws_flow_log": len(ec2.describe_flow_logs()["FlowLogs"]),
        "aws_vpc_endpoint": len(network.endpoints(ec2)),
        # The VPC's default group is one that it came with.
        "aws_security_group": len(ec2.describe_security_groups(Filters=ours)["SecurityGroups"]) - 1,
        "aws_kms_key": len(customer_keys(kms)) - 1,  # the state's is bootstrap's
    }
    assert there == {kind: known[kind] for kind in there}
    for group in (item["values"]["id"] for item in resources if item["type"] == "aws_security_group"):
        assert not [rule for rule in network.rules(ec2, group) if rule[1] == "-1" and rule[4] == "0.0.0.0/0"], group
    made = {item["type"] for item in resources}
    assert leftovers.KINDS - made == {"aws_sagemaker_mlflow_tracking_server"}


def nothing_left(stack: Stack) -> None:
    assert [item["Name"] for item in stack.client("s3").list_buckets()["Buckets"]] == [
        stack.settings.names.state_bucket
    ]
    assert not network.rest(stack.client("ec2"))
    assert not stack.client("iam").list_roles()["Roles"]
    states = Counter(key["KeyState"] for key in customer_keys(stack.client("kms")))
    assert states == {"Enabled": 1, "PendingDeletion": 2}


def customer_keys(kms: Any) -> list[dict[str, Any]]:
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    return [key for key in keys if key["KeyManager"] == "CUSTOMER"]


def in_state(stack: Stack, root: str) -> list[dict[str, Any]]:
    def resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from (item for item in module.get("resources", []) if item["mode"] == "managed")
        for child in module.get("child_modules", []):
            yield from resources(child)

    return list(resources(stack.output(root, "show", "-json")["values"]["root_module"]))
