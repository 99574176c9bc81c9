"""What there is of a planned network. Its parts have ids and no names: each is found by its tags, in its parent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts.errors import FactoryError

if TYPE_CHECKING:
    from cv_factory.session import Target

#: EC2 lists for a while what was taken down.
_GONE = {"deleted", "deleting", "failed", "rejected", "expired"}
#: The rule that EC2 gives every new security group, and that the provider takes away by a second call.
_ALL_OUT = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


@dataclass(frozen=True, slots=True)
class _Kind:
    """How EC2 lists a kind of thing.

    Attributes:
        parent: attribute of the plan -> field of EC2's answer; both name the same parent.
        filters: name of the parameter of the call.
    """

    call: str
    answer: str
    id: str
    parent: tuple[str, str] | None = ("vpc_id", "VpcId")
    filters: str = "Filters"


_TAGGED = {
    "aws_eip": _Kind("describe_addresses", "Addresses", "AllocationId", None),
    "aws_flow_log": _Kind("describe_flow_logs", "FlowLogs", "FlowLogId", ("vpc_id", "ResourceId"), "Filter"),
    "aws_internet_gateway": _Kind("describe_internet_gateways", "InternetGateways", "InternetGatewayId", None),
    "aws_nat_gateway": _Kind("describe_nat_gateways", "NatGateways", "NatGatewayId", ("subnet_id", "SubnetId")),
    "aws_route_table": _Kind("describe_route_tables", "RouteTables", "RouteTableId"),
    "aws_security_group": _Kind("describe_security_groups", "SecurityGroups", "GroupId"),
    "aws_subnet": _Kind("describe_subnets", "Subnets", "SubnetId"),
    "aws_vpc": _Kind("describe_vpcs", "Vpcs", "VpcId", None),
    "aws_vpc_endpoint": _Kind("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
}
_RULES = {"aws_vpc_security_group_egress_rule": True, "aws_vpc_security_group_ingress_rule": False}
_ROUTE, _ASSOCIATION = "aws_route", "aws_route_table_association"
KINDS = frozenset({*_TAGGED, *_RULES, _ROUTE, _ASSOCIATION})


def find(target: Target, kind: str, values: Mapping[str, Any]) -> str | None:
    """What Terraform imports a planned part of the network by; None: it is not there, or its parent is not.

    Raises:
        ClientError: AWS refuses to say.
        FactoryError: several parts have the same tags.
    """
    ec2 = target.client("ec2")
    if kind in _TAGGED:
        return _tagged(ec2, _TAGGED[kind], values)
    if kind in _RULES:
        return _rule(ec2, values, egress=_RULES[kind])
    table = values.get("route_table_id")
    if table is None:
        return None
    (about,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    if kind == _ROUTE:
        cidr = values["destination_cidr_block"]
        there = any(route.get("DestinationCidrBlock") == cidr for route in about["Routes"])
        return f"{table}_{cidr}" if there else None
    subnet = values.get("subnet_id")
    there = subnet is not None and any(item.get("SubnetId") == subnet for item in about["Associations"])
    return f"{subnet}/{table}" if there else None


def _tagged(ec2: Any, kind: _Kind, values: Mapping[str, Any]) -> str | None:
    parent = None if kind.parent is None else values.get(kind.parent[0])
    if kind.parent is not None and parent is None:
        return None
    tags = values["tags_all"]
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    found = [
        item[kind.id]
        for item in _listed(ec2, kind, filters)
        if str(item.get("State")).lower() not in _GONE and (kind.parent is None or item.get(kind.parent[1]) == parent)
    ]
    if len(found) > 1:
        raise FactoryError(
            f"{len(found)} of {kind.answer} have the tags of one ({tags}): {', '.join(found)}",
            "Take away what is not used, or its tags, then try again.",
        )
    return found[0] if found else None


def _listed(ec2: Any, kind: _Kind, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    arguments = {kind.filters: filters}
    if not ec2.can_paginate(kind.call):
        return list(getattr(ec2, kind.call)(**arguments)[kind.answer])
    return [item for page in ec2.get_paginator(kind.call).paginate(**arguments) for item in page[kind.answer]]


def _rule(ec2: Any, values: Mapping[str, Any], *, egress: bool) -> str | None:
    """Each rule of a group has a description of its own."""
    group = values.get("security_group_id")
    if group is None:
        return None
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    for rule in rules:
        if rule["IsEgress"] == egress and rule.get("Description") == values["description"]:
            return str(rule["SecurityGroupRuleId"])
    return None


def close(target: Target, group: str) -> bool:
    """Take from a security group the rule that EC2 gave it, if it is there; nothing else would ever see it."""
    ec2 = target.client("ec2")
    (about,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    for rule in about["IpPermissionsEgress"]:
        if rule["IpProtocol"] == "-1" and any(item["CidrIp"] == "0.0.0.0/0" for item in rule.get("IpRanges", [])):
            ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[_ALL_OUT])
            return True
    return False
