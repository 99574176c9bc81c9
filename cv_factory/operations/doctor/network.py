"""The VPC that jobs and the endpoint run in, where the settings want one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

import deployment
from contracts.errors import FactoryError
from contracts.names import SETTINGS_KEY
from cv_factory.operations.base import network as networks
from cv_factory.operations.doctor.base import apply, missing
from cv_factory.operations.doctor.finding import PROBLEM, Finding
from cv_factory.session import Target


def network(target: Target) -> Iterator[Finding]:
    """The network's parts are there, in one VPC, with a way to every service that the steps call."""
    settings = target.settings
    match settings.network.vpc:
        case "existing":
            existing = settings.aws.existing
            subnets, groups = list(existing.subnet_ids or ()), list(existing.security_group_ids or ())
            repair, expected = (
                "Correct aws.existing.subnet_ids and security_group_ids in factory.yaml.",
                existing.vpc_id,
            )
        case "create":
            made = _made(target)
            subnets, groups = made.get("subnets", []), made.get("security_groups", [])
            repair, expected = apply(target), None
            if not subnets or not groups:
                yield Finding("network", PROBLEM, "network.vpc is create, but the base has no network yet", repair)
                return
        case _:
            return
    ec2 = target.client("ec2")
    try:
        found = [
            *ec2.describe_subnets(SubnetIds=subnets)["Subnets"],
            *ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"],
        ]
    except ClientError as error:
        if not missing(error):
            raise
        yield Finding("network", PROBLEM, error.response["Error"]["Message"], repair)
        return
    vpcs = {part["VpcId"] for part in found}
    if len(vpcs) > 1 or expected not in (None, "", *vpcs):
        where = ", ".join(f"{part.get('SubnetId') or part['GroupId']} of {part['VpcId']}" for part in found)
        wanted = f" of {expected}, as aws.existing.vpc_id says" if expected else ""
        yield Finding("network", PROBLEM, f"there are {where}", f"Name subnets and groups of one VPC{wanted}.")
        return
    # The local base makes no endpoints: there every service is at one address on loopback.
    if not (settings.network.vpc == "create" and target.is_local):
        yield from _ways_out(target, vpcs.pop())


def _made(target: Target) -> dict[str, Any]:
    """What the base wrote of the network that it made; empty where there is none, or no base."""
    uri = target.settings.names.artifacts(SETTINGS_KEY)
    try:
        return dict(deployment.read_settings(target.session, uri).network)
    except FactoryError:
        return {}


def _ways_out(target: Target, vpc: str) -> Iterator[Finding]:
    """Services that nothing in the VPC leads to."""
    settings, ec2 = target.settings, target.client("ec2")
    only: list[Any] = [{"Name": "vpc-id", "Values": [vpc]}]
    if any(one["State"] == "available" for one in ec2.describe_nat_gateways(Filter=only)["NatGateways"]):
        return
    pages = ec2.get_paginator("describe_vpc_endpoints").paginate(Filters=only)
    there = {
        one["ServiceName"] for page in pages for one in page["VpcEndpoints"] if one["State"].lower() == "available"
    }
    names = networks.table(settings.aws.region)["services"]
    ours = networks.with_endpoints(settings)
    needed = (networks.GATEWAY, *networks.called(settings))
    if settings.network.vpc == "create" and not ours:
        needed = (networks.GATEWAY,)  # network.endpoints: none was chosen
    for service in needed:
        if names[service] in there:
            continue
        gateway = service == networks.GATEWAY
        by_hand = (
            f"aws ec2 create-vpc-endpoint --vpc-id {vpc} --vpc-endpoint-type {'Gateway' if gateway else 'Interface'}"
            f" --service-name {names[service]}"
        )
        made_here = settings.network.vpc == "create" or (ours and not gateway)
        yield Finding(
            "network", PROBLEM, f"{vpc} has neither a NAT gateway nor an endpoint for {service}",
            apply(target) if made_here else by_hand,
        )  # fmt: skip
