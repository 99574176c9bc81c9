"""What an account has of the network of ``widgets``, in comparable form."""

from __future__ import annotations

from typing import Any

_OURS: list[Any] = [{"Name": "tag:Project", "Values": ["widgets"]}]


def ids(ec2: Any) -> dict[str, str]:
    """Id of each VPC, subnet, security group and prefix list -> its name."""
    found = {item["VpcId"]: _name(item) for item in ec2.describe_vpcs(Filters=_OURS)["Vpcs"]}
    found |= {item["SubnetId"]: _name(item) for item in ec2.describe_subnets(Filters=_OURS)["Subnets"]}
    found |= {item["GroupId"]: _name(item) for item in ec2.describe_security_groups(Filters=_OURS)["SecurityGroups"]}
    return found | {item["PrefixListId"]: item["PrefixListName"] for item in ec2.describe_prefix_lists()["PrefixLists"]}


def read(ec2: Any, left_out: set[str]) -> dict[str, Any]:
    """Name -> what matters of each VPC, subnet and security group; those named in ``left_out`` are not told."""
    found: dict[str, Any] = {}
    for vpc in ec2.describe_vpcs(Filters=_OURS)["Vpcs"]:
        dns = {
            name: ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=name)
            for name in ("enableDnsSupport", "enableDnsHostnames")
        }
        found[f"vpc {_name(vpc)}"] = {
            "addresses": vpc["CidrBlock"], "tags": _tags(vpc),
            "dns": {name: answer[name[0].upper() + name[1:]]["Value"] for name, answer in dns.items()},
        }  # fmt: skip
    for subnet in ec2.describe_subnets(Filters=_OURS)["Subnets"]:
        fields = ("CidrBlock", "AvailabilityZone", "MapPublicIpOnLaunch", "VpcId")
        if _name(subnet) not in left_out:
            found[f"subnet {_name(subnet)}"] = {"tags": _tags(subnet), **{field: subnet[field] for field in fields}}
    for group in ec2.describe_security_groups(Filters=_OURS)["SecurityGroups"]:
        found[f"group {_name(group)}"] = {
            "name": group["GroupName"], "description": group["Description"], "tags": _tags(group),
            "vpc": group["VpcId"], "rules": rules(ec2, group["GroupId"]),
        }  # fmt: skip
    return found


def rules(ec2: Any, group: str) -> list[tuple[Any, ...]]:
    """The rules of a security group: egress, protocol, ports, other side, description; sorted by what they say."""
    answer = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    return sorted(
        (
            (
                rule["IsEgress"],
                rule["IpProtocol"],
                # AWS answers -1 for the ports of a rule for all protocols, whichever way it was made.
                rule.get("FromPort", -1),
                rule.get("ToPort", -1),
                rule.get("ReferencedGroupInfo", {}).get("GroupId") or rule.get("PrefixListId") or rule.get("CidrIpv4"),
                rule["Description"],
            )
            for rule in answer["SecurityGroupRules"]
        ),
        key=lambda rule: (rule[0], rule[-1]),
    )


def rest(ec2: Any) -> list[str]:
    """Ids of what is left of the network."""
    found = [*ids_of(ec2.describe_vpcs(Filters=_OURS)["Vpcs"], "VpcId")]
    found += ids_of(ec2.describe_subnets(Filters=_OURS)["Subnets"], "SubnetId")
    found += ids_of(ec2.describe_security_groups(Filters=_OURS)["SecurityGroups"], "GroupId")
    found += ids_of(ec2.describe_route_tables(Filters=_OURS)["RouteTables"], "RouteTableId")
    found += ids_of(ec2.describe_internet_gateways(Filters=_OURS)["InternetGateways"], "InternetGatewayId")
    found += ids_of(ec2.describe_addresses()["Addresses"], "AllocationId")
    found += ids_of(ec2.describe_flow_logs()["FlowLogs"], "FlowLogId")
    # As with endpoints, those that were deleted are listed.
    gateways = ec2.describe_nat_gateways()["NatGateways"]
    found += ids_of([one for one in gateways if one["State"] != "deleted"], "NatGatewayId")
    return found + ids_of(endpoints(ec2), "VpcEndpointId")


def endpoints(ec2: Any) -> list[dict[str, Any]]:
    """The VPC endpoints that there are; those that were deleted are listed for a while."""
    return [one for one in ec2.describe_vpc_endpoints()["VpcEndpoints"] if one["State"] != "deleted"]


def ids_of(items: list[dict[str, Any]], key: str) -> list[str]:
    return [item[key] for item in items]


def _name(item: dict[str, Any]) -> str:
    return _tags(item)["Name"]


def _tags(item: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item["Tags"]}
