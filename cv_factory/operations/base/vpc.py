"""The network of environment ``local``: VPC, subnets and security groups, made with boto3.

Routes, endpoints, NAT gateway and flow logs are Terraform's alone: on loopback nothing is routed. The ids are what the
pipeline's parameters and the deployer need, so that the same definition and the same deployer run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from contracts.errors import FactoryError
from contracts.names import Names
from contracts.settings import Settings
from cv_factory.operations.base import network


def ensure(ec2: Any, settings: Settings) -> dict[str, list[str]]:
    """The network of ``settings``, made or completed; of other addresses than ``network.cidr`` it is made again.

    Returns:
        Field ``network`` of the release settings: two subnets, one security group.

    Raises:
        FactoryError: the region has fewer than two availability zones with all services.
    """
    return _Vpc(ec2, settings.names).ensure(settings)


def remove(ec2: Any, names: Names) -> None:
    """Delete the network with all that :func:`ensure` put into it; nothing where there is none."""
    made = _Vpc(ec2, names)
    for vpc in made.found():
        made.remove(vpc["VpcId"])


class _Vpc:
    def __init__(self, ec2: Any, names: Names) -> None:
        self.ec2 = ec2
        self.names = names

    def ensure(self, settings: Settings) -> dict[str, list[str]]:
        zones = self._zones(settings)  # first: what is refused must change nothing
        cidr, vpc_id = settings.network.cidr, ""
        for vpc in self.found():
            if vpc["CidrBlock"] == cidr:
                vpc_id = vpc["VpcId"]
            else:
                self.remove(vpc["VpcId"])
        if not vpc_id:
            vpc_id = self.ec2.create_vpc(CidrBlock=cidr, TagSpecifications=self._tags("vpc", self.names.prefix))["Vpc"][
                "VpcId"
            ]
        for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
            self.ec2.modify_vpc_attribute(VpcId=vpc_id, **{attribute: {"Value": True}})
        subnets = self._subnets(vpc_id, cidr, zones)
        return {"subnets": subnets, "security_groups": [self._groups(vpc_id, settings)]}

    def found(self) -> list[dict[str, Any]]:
        """The VPCs of this environment: one, or none."""
        wanted = {**self.names.tags, "Name": self.names.prefix}
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in wanted.items()]
        vpcs: list[dict[str, Any]] = self.ec2.describe_vpcs(Filters=filters)["Vpcs"]
        return vpcs

    def remove(self, vpc_id: str) -> None:
        groups = [group["GroupId"] for group in self._in(vpc_id, "security_groups") if group["GroupName"] != "default"]
        for group in groups:  # rules first: the groups name each other
            self._revoke(group)
        for group in groups:
            self.ec2.delete_security_group(GroupId=group)
        for subnet in self._in(vpc_id, "subnets"):
            self.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
        self.ec2.delete_vpc(VpcId=vpc_id)

    def _subnets(self, vpc_id: str, cidr: str, zones: list[str]) -> list[str]:
        there = {item["CidrBlock"]: item["SubnetId"] for item in self._in(vpc_id, "subnets")}
        wanted = network.private_subnets(cidr)
        for zone, (letter, addresses) in zip(zones, wanted.items(), strict=True):
            if addresses not in there:
                there[addresses] = self.ec2.create_subnet(
                    VpcId=vpc_id,
                    CidrBlock=addresses,
                    AvailabilityZone=zone,
                    TagSpecifications=self._tags("subnet", f"{self.names.prefix}-{letter}"),
                )["Subnet"]["SubnetId"]
        return [there[addresses] for addresses in wanted.values()]

    def _zones(self, settings: Settings) -> list[str]:
        """The first two zones by name that every service with an interface endpoint is in."""
        available = self.ec2.describe_availability_zones(Filters=[{"Name": "state", "Values": ["available"]}])
        zones = {item["ZoneName"] for item in available["AvailabilityZones"]}
        if network.with_endpoints(settings):
            names = network.table(self.names.region)["services"]
            needed = {names[service] for service in network.called(settings)}
            for service in self.ec2.describe_vpc_endpoint_services()["ServiceDetails"]:
                if service["ServiceName"] in needed:
                    zones &= set(service["AvailabilityZones"])
        if len(zones) < 2:
            raise FactoryError(
                f"{self.names.region} has {len(zones)} availability zones with all services that the steps call;"
                " the network needs two",
                "Choose another aws.region, or set network.endpoints or network.vpc to none.",
            )
        return sorted(zones)[:2]

    def _groups(self, vpc_id: str, settings: Settings) -> str:
        """The id of the jobs' group, with its rules; beside it the endpoints' group and a default one without any."""
        prefix = self.names.prefix
        there = {item["GroupName"]: item["GroupId"] for item in self._in(vpc_id, "security_groups")}
        jobs = self._group(there, vpc_id, f"{prefix}-jobs", f"Jobs and endpoint of {prefix}")
        endpoints = None
        if network.with_endpoints(settings):
            endpoints = self._group(there, vpc_id, f"{prefix}-endpoints", f"Interface endpoints of {prefix}")
        s3 = f"com.amazonaws.{self.names.region}.{network.GATEWAY}"
        lists = self.ec2.describe_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [s3]}])["PrefixLists"]
        rules = network.group_rules(jobs, endpoints, lists[0]["PrefixListId"], nat=settings.network.nat)
        self._set_rules(jobs, rules["in"], rules["out"])
        if endpoints is not None:
            self._set_rules(endpoints, rules["endpoints"], [])
        elif f"{prefix}-endpoints" in there:
            self.ec2.delete_security_group(GroupId=there[f"{prefix}-endpoints"])
        self._revoke(there["default"])
        self.ec2.create_tags(
            Resources=[there["default"]], Tags=self._tags("security-group", f"{prefix}-unused")[0]["Tags"]
        )
        return jobs

    def _group(self, there: dict[str, str], vpc_id: str, name: str, description: str) -> str:
        if name in there:
            return there[name]
        made: str = self.ec2.create_security_group(
            GroupName=name, Description=description, VpcId=vpc_id, TagSpecifications=self._tags("security-group", name)
        )["GroupId"]
        return made

    def _set_rules(self, group: str, ingress: list[dict[str, Any]], egress: list[dict[str, Any]]) -> None:
        self._revoke(group)
        if ingress:
            self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=ingress)
        if egress:
            self.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=egress)

    def _revoke(self, group: str) -> None:
        """Take every rule out of ``group``."""
        rules = self.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
        for direction in ("ingress", "egress"):
            ids = [
                rule["SecurityGroupRuleId"]
                for rule in rules["SecurityGroupRules"]
                if rule["IsEgress"] is (direction == "egress")
            ]
            if ids:
                revoke = getattr(self.ec2, f"revoke_security_group_{direction}")
                revoke(GroupId=group, SecurityGroupRuleIds=ids)

    def _in(self, vpc_id: str, what: str) -> Iterable[dict[str, Any]]:
        """The subnets or security groups of a VPC."""
        describe = getattr(self.ec2, f"describe_{what}")
        answer = describe(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])
        found: list[dict[str, Any]] = answer["Subnets" if what == "subnets" else "SecurityGroups"]
        return found

    def _tags(self, kind: str, name: str) -> list[dict[str, Any]]:
        tags = {**self.names.tags, "Name": name}
        return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
