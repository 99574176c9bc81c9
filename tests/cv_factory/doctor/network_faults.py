"""Faults of the network that jobs and the endpoint run in."""

from __future__ import annotations

import boto3
import pytest

from cv_factory.operations import local_base
from cv_factory.operations.base import network
from tests.cv_factory.doctor.conftest import Healthy
from tests.cv_factory.doctor.faults import fault


@fault("network", "endpoint for kms")
def a_network_without_a_way_out(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    ec2 = it.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for service in {network.GATEWAY, *network.called(it.settings)} - {"kms"}:
        ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=f"com.amazonaws.eu-west-1.{service}")
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=vpc)["GroupId"]
    existing = f"{{subnet_ids: [{subnet}], security_group_ids: [{group}]}}"
    it.more(f"network: {{vpc: existing}}, aws: {{existing: {existing}}}")
    it.make_roles()


@fault("network", "does not exist")
def a_subnet_that_is_gone(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.more(
        "network: {vpc: existing}, aws: {existing: {subnet_ids: [subnet-00000000], security_group_ids: [sg-00000000]}}"
    )
    it.make_roles()


@fault("network", "Name subnets and groups of one VPC")
def a_group_of_another_vpc(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    ec2 = it.client("ec2")
    here, there = (ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"] for _ in range(2))
    subnet = ec2.create_subnet(VpcId=here, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=there)["GroupId"]
    it.more(f"network: {{vpc: existing}}, aws: {{existing: {{subnet_ids: [{subnet}], security_group_ids: [{group}]}}}}")
    it.make_roles()


@fault("network", "the base has no network yet -> cv-factory --env dev infra apply")
def a_network_that_is_not_made_yet(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.more("network: {vpc: create}")
    it.make_roles()


@fault("network", "endpoint for s3 -> cv-factory --env dev infra apply")
def a_made_network_without_its_gateway(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.more("network: {vpc: create, endpoints: none}")
    local_base.ensure(it.settings, boto3.Session(region_name="eu-west-1"))
    it.make_roles()
