"""The VPC that jobs and the endpoint run in, where the settings want one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from cv_factory.operations.doctor.base import missing
from cv_factory.operations.doctor.finding import PROBLEM, Finding
from cv_factory.session import Target

#: Services that a step calls, as the last part of an interface endpoint's name. S3 has a gateway.
#: Source: SageMaker Developer Guide, "Give SageMaker training jobs access to resources in your Amazon VPC".
SERVICES = ("s3", "ecr.api", "ecr.dkr", "logs", "monitoring", "sts", "kms", "sagemaker.api")


def network(target: Target) -> Iterator[Finding]:
    """An existing VPC: its parts are there, and there is a way to every service that the steps call."""
    settings, existing = target.settings, target.settings.aws.existing
    if settings.network.vpc != "existing":
        return
    ec2 = target.client("ec2")
    try:
        subnets = ec2.describe_subnets(SubnetIds=list(existing.subnet_ids or ()))["Subnets"]
        ec2.describe_security_groups(GroupIds=list(existing.security_group_ids or ()))
    except ClientError as error:
        if not missing(error):
            raise
        yield Finding(
            "network", PROBLEM, error.response["Error"]["Message"],
            "Correct aws.existing.subnet_ids and security_group_ids in factory.yaml.",
        )  # fmt: skip
        return
    vpcs = {subnet["VpcId"] for subnet in subnets}
    if len(vpcs) > 1 or existing.vpc_id not in (None, "", *vpcs):
        yield Finding(
            "network",
            PROBLEM,
            f"the subnets are of {', '.join(sorted(vpcs))}",
            "Name subnets of one VPC, aws.existing.",
        )
        return
    vpc = vpcs.pop()
    only: list[Any] = [{"Name": "vpc-id", "Values": [vpc]}]
    if any(one["State"] == "available" for one in ec2.describe_nat_gateways(Filter=only)["NatGateways"]):
        return
    found = {one["ServiceName"].split(f".{settings.aws.region}.")[-1] for one in _endpoints(target, only)}
    for service in SERVICES:
        if service not in found:
            kind = "Gateway" if service == "s3" else "Interface"
            yield Finding(
                "network", PROBLEM, f"{vpc} has neither a NAT gateway nor an endpoint for {service}",
                f"aws ec2 create-vpc-endpoint --vpc-id {vpc} --vpc-endpoint-type {kind}"
                f" --service-name com.amazonaws.{settings.aws.region}.{service}",
            )  # fmt: skip


def _endpoints(target: Target, only: list[Any]) -> Iterator[dict[str, str]]:
    for page in target.client("ec2").get_paginator("describe_vpc_endpoints").paginate(Filters=only):
        yield from page["VpcEndpoints"]
