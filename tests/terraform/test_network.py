"""The network module by itself: applied, planned again without a change, changed by hand, destroyed without a rest."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from contracts import source
from cv_factory import session as sessions
from local_sagemaker import control
from tests.terraform import network
from tests.terraform.mirror import find_mirror

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(600)]

ACCOUNT, REGION = "123456789012", "eu-west-1"
PROVIDER = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  region = "eu-west-1"
  default_tags { tags = { Project = "widgets", Environment = "dev" } }
}
"""
NETWORK = """
variable "cidr" { default = "10.20.0.0/16" }
module "network" {
  source       = "./terraform/modules/network"
  name         = "widgets-dev"
  account_id   = "123456789012"
  region       = "eu-west-1"
  cidr         = var.cidr
  s3_service   = "com.amazonaws.eu-west-1.s3"
  services     = { sts = "com.amazonaws.eu-west-1.sts", experiments = "aws.sagemaker.eu-west-1.experiments" }
  buckets      = ["widgets-dev-data-123456789012"]
  read_buckets = ["their-bucket"]
  nat          = false
  log_days     = 14
}
output "network" { value = module.network }
"""
EXISTING = """
variable "vpc_id" { type = string }
variable "subnet_id" { type = string }
variable "group_id" { type = string }
module "endpoints" {
  source        = "./terraform/modules/interface_endpoints"
  name          = "widgets-dev"
  account_id    = "123456789012"
  vpc_id        = var.vpc_id
  subnet_ids    = [var.subnet_id]
  client_groups = { (var.group_id) = var.group_id }
  services      = { sts = "com.amazonaws.eu-west-1.sts" }
}
"""


class Root:
    """A root of Terraform that holds one module, and the account that it acts on."""

    def __init__(self, folder: Path, text: str, url: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        shutil.copytree(source.root() / "terraform", folder / "terraform", ignore=shutil.ignore_patterns(".terraform*"))
        (folder / "main.tf").write_text(PROVIDER + text)
        mirror = find_mirror()
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_"))},
            "AWS_ENDPOINT_URL": url, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": sessions.LOCAL_KEY,
            "AWS_SECRET_ACCESS_KEY": sessions.LOCAL_SECRET, "AWS_EC2_METADATA_DISABLED": "true",
            "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1",
        }  # fmt: skip
        done = self("init", "-input=false", *([f"-plugin-dir={mirror}"] if mirror else []))
        assert done.returncode == 0, done.stderr

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *args, "-no-color"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def apply(self, *args: str) -> None:
        done = self("apply", "-auto-approve", "-input=false", *args)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("network")
    server = control.start(folder, ACCOUNT, REGION)
    try:
        yield sessions.local_session(server.endpoint_url, REGION), server.endpoint_url
    finally:
        control.stop(folder)


@pytest.fixture(scope="module")
def root(account: tuple[boto3.Session, str], tmp_path_factory: pytest.TempPathFactory) -> Root:
    made = Root(tmp_path_factory.mktemp("root") / "network", NETWORK, account[1])
    made.apply()
    return made


@pytest.fixture
def ec2(account: tuple[boto3.Session, str]) -> Any:
    return account[0].client("ec2")


def test_the_second_plan_is_empty(root: Root) -> None:
    done = root("plan", "-detailed-exitcode", "-input=false")
    assert done.returncode == 0, done.stdout


def test_jobs_reach_the_services_and_nothing_else(root: Root, ec2: Any) -> None:
    names = network.ids(ec2)
    groups = {names[item["GroupId"]]: item["GroupId"] for item in _ours(ec2.describe_security_groups)["SecurityGroups"]}
    told = {
        name: [(rule[0], names.get(rule[4], rule[4])) for rule in network.rules(ec2, groups[name])] for name in groups
    }
    jobs, endpoints = "widgets-dev-jobs", "widgets-dev-endpoints"
    assert sorted(told[jobs]) == [
        (False, jobs), (True, "com.amazonaws.eu-west-1.s3"), (True, endpoints), (True, jobs),
    ]  # fmt: skip
    assert told[endpoints] == [(False, jobs)] and told["widgets-dev-unused"] == []
    routes = [
        route
        for table in _ours(ec2.describe_route_tables)["RouteTables"]
        for route in table["Routes"]
        if route.get("DestinationCidrBlock") == "0.0.0.0/0"
    ]
    assert not routes and not ec2.describe_nat_gateways()["NatGateways"]


def test_the_gateway_lets_through_what_is_ours(root: Root, ec2: Any) -> None:
    endpoints = {item["ServiceName"]: item for item in network.endpoints(ec2)}
    statements = {
        item["Sid"]: item for item in json.loads(endpoints["com.amazonaws.eu-west-1.s3"]["PolicyDocument"])["Statement"]
    }
    account_only = {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}
    assert statements["OwnBuckets"]["Condition"] == statements["SourceBuckets"]["Condition"] == account_only
    assert set(statements["OwnBuckets"]["Resource"]) == {
        "arn:aws:s3:::widgets-dev-data-123456789012", "arn:aws:s3:::widgets-dev-data-123456789012/*",
    }  # fmt: skip
    assert not any("Put" in action or "*" in action for action in statements["SourceBuckets"]["Action"])
    assert statements["ImageLayers"]["Resource"] == "arn:aws:s3:::prod-eu-west-1-starport-layer-bucket/*"
    (sts,) = json.loads(endpoints["com.amazonaws.eu-west-1.sts"]["PolicyDocument"])["Statement"]
    assert sts["Condition"] == account_only
    assert endpoints["com.amazonaws.eu-west-1.sts"]["PrivateDnsEnabled"]
    assert "aws.sagemaker.eu-west-1.experiments" in endpoints


def test_flow_logs_go_to_a_group_of_their_own(root: Root, account: tuple[boto3.Session, str], ec2: Any) -> None:
    (flow,) = ec2.describe_flow_logs()["FlowLogs"]
    (group,) = account[0].client("logs").describe_log_groups()["logGroups"]
    assert flow["LogDestination"] == group["arn"].removesuffix(":*") and flow["TrafficType"] == "ALL"
    assert (group["logGroupName"], group["retentionInDays"]) == ("/aws/vpc/widgets-dev", 14)
    iam = account[0].client("iam")
    role = iam.get_role(RoleName="widgets-dev-flow-logs")["Role"]
    assert flow["DeliverLogsPermissionArn"] == role["Arn"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    policy = iam.get_role_policy(RoleName=role["RoleName"], PolicyName="flow-logs")["PolicyDocument"]
    writes = next(item for item in policy["Statement"] if "logs:PutLogEvents" in item["Action"])
    assert writes["Resource"] == f"{group['arn'].removesuffix(':*')}:*"


def test_a_rule_in_the_default_group_is_seen(root: Root, ec2: Any) -> None:
    (group,) = ec2.describe_security_groups(
        Filters=[{"Name": "tag:Name", "Values": ["widgets-dev-unused"]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    anybody = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=anybody)
    done = root("plan", "-detailed-exitcode", "-input=false")
    assert done.returncode == 2 and "aws_default_security_group.this will be updated" in done.stdout
    root.apply()
    assert not network.rules(ec2, group["GroupId"])


@pytest.mark.parametrize("cidr", ["10.20.0.0/25", "10.0.0.0/15", "10.20.0.7/16", "everything"])
def test_a_network_of_the_wrong_size_is_refused(root: Root, cidr: str) -> None:
    done = root("plan", "-input=false", f"-var=cidr={cidr}")
    assert done.returncode == 1
    assert re.search(
        r"network\.cidr must be .* For example 10\.20\.0\.0/16\.|network\.cidr must be an IPv4", _plain(done)
    )


def test_endpoints_in_a_vpc_that_is_there(account: tuple[boto3.Session, str], ec2: Any, tmp_path: Path) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="theirs", Description="theirs", VpcId=vpc)["GroupId"]
    made = Root(tmp_path / "existing", EXISTING, account[1])
    given = (f"-var=vpc_id={vpc}", f"-var=subnet_id={subnet}", f"-var=group_id={group}")
    made.apply(*given)
    assert made("plan", "-detailed-exitcode", "-input=false", *given).returncode == 0
    (endpoint,) = [item for item in network.endpoints(ec2) if item["VpcId"] == vpc]
    assert endpoint["ServiceName"] == "com.amazonaws.eu-west-1.sts" and endpoint["SubnetIds"] == [subnet]
    assert made("destroy", "-auto-approve", "-input=false", *given).returncode == 0
    assert not [item for item in network.endpoints(ec2) if item["VpcId"] == vpc]
    assert ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]  # theirs stays


def test_destroyed_nothing_is_left(root: Root, account: tuple[boto3.Session, str], ec2: Any) -> None:
    """Last: it takes down what the other tests share."""
    done = root("destroy", "-auto-approve", "-input=false")
    assert done.returncode == 0, done.stderr
    assert not network.rest(ec2)
    assert not account[0].client("logs").describe_log_groups()["logGroups"]
    assert not account[0].client("iam").list_roles()["Roles"]


def _ours(describe: Any) -> Any:
    return describe(Filters=[{"Name": "tag:Project", "Values": ["widgets"]}])


def _plain(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(re.sub(r"[│╵╷\n]", " ", done.stderr).split())
