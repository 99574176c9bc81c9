"""The network of environment local: the addresses, the ways to services, and what boto3 makes of them."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.ec2.models.vpcs import VPCBackend

import deployment
from contracts.errors import FactoryError
from contracts.names import SETTINGS_KEY
from cv_factory.operations import local_base
from cv_factory.operations.base import network, vpc

CREATE = "network: {vpc: create}"
PLATFORM = {"ecr.api", "ecr.dkr", "kms", "logs", "monitoring"}


class Network:
    """What the account has of a network of its own, by name."""

    def __init__(self, session: Any) -> None:
        ec2 = session.client("ec2")
        ours = {"Filters": [{"Name": "tag:Project", "Values": ["shapes"]}]}
        self.vpcs = ec2.describe_vpcs(**ours)["Vpcs"]
        self.subnets = {_name(item): item for item in ec2.describe_subnets(**ours)["Subnets"]}
        self.groups = {_name(item): item for item in ec2.describe_security_groups(**ours)["SecurityGroups"]}
        self.all_groups = ec2.describe_security_groups()["SecurityGroups"]

    def egress(self, group: str) -> set[tuple[str, str]]:
        """(protocol, target) of every rule out of a group; a group by its name."""
        names = {item["GroupId"]: name for name, item in self.groups.items()}
        found = set()
        for rule in self.groups[group]["IpPermissionsEgress"]:
            found |= {(rule["IpProtocol"], names[pair["GroupId"]]) for pair in rule["UserIdGroupPairs"]}
            found |= {(rule["IpProtocol"], item["CidrIp"]) for item in rule["IpRanges"]}
            found |= {(rule["IpProtocol"], "prefix list") for _ in rule["PrefixListIds"]}
        return found


def _name(item: dict[str, Any]) -> str:
    return next(tag["Value"] for tag in item["Tags"] if tag["Key"] == "Name")


def test_two_private_subnets_and_groups_that_let_out_to_the_services_only(session: Any, other_settings: Any) -> None:
    settings = other_settings(CREATE)
    local_base.ensure(settings, session)
    made = Network(session)
    assert [item["CidrBlock"] for item in made.vpcs] == ["10.20.0.0/16"]
    assert {name: item["CidrBlock"] for name, item in made.subnets.items()} == {
        "shapes-local-a": "10.20.0.0/18", "shapes-local-b": "10.20.64.0/18",
    }  # fmt: skip
    assert len({item["AvailabilityZone"] for item in made.subnets.values()}) == 2
    assert not any(item["MapPublicIpOnLaunch"] for item in made.subnets.values())
    assert set(made.groups) == {"shapes-local-jobs", "shapes-local-endpoints", "shapes-local-unused"}
    jobs = "shapes-local-jobs"
    assert made.egress(jobs) == {("-1", jobs), ("tcp", "shapes-local-endpoints"), ("tcp", "prefix list")}
    assert made.egress("shapes-local-endpoints") == made.egress("shapes-local-unused") == set()
    assert not made.groups["shapes-local-unused"]["IpPermissions"]
    written = deployment.read_settings(session, settings.names.artifacts(SETTINGS_KEY)).network
    assert written == {
        "subnets": [made.subnets[f"shapes-local-{letter}"]["SubnetId"] for letter in "ab"],
        "security_groups": [made.groups[jobs]["GroupId"]],
    }
    session.calls.clear()
    assert local_base.ensure(settings, session).parts == ()
    assert session.calls == ["GetObject"]


def test_with_nat_and_without_endpoints_the_rules_follow(session: Any, other_settings: Any) -> None:
    local_base.ensure(other_settings(CREATE), session)
    before = Network(session)
    made = local_base.ensure(other_settings("network: {vpc: create, nat: true, endpoints: none}"), session)
    assert made.parts == ("network",)
    after = Network(session)
    assert before.vpcs[0]["VpcId"] == after.vpcs[0]["VpcId"]
    assert after.egress("shapes-local-jobs") == {
        ("-1", "shapes-local-jobs"), ("tcp", "0.0.0.0/0"), ("tcp", "prefix list"),
    }  # fmt: skip
    assert "shapes-local-endpoints" not in after.groups


def test_a_zone_that_a_service_is_not_in_is_left_out(
    session: Any, other_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones = {"com.amazonaws.eu-west-1.sts": ["eu-west-1b", "eu-west-1c"]}
    all_services = VPCBackend._collect_default_endpoint_services

    def listed(account_id: str, region: str) -> list[Any]:
        return [
            {**one, "AvailabilityZones": zones.get(one["ServiceName"], one["AvailabilityZones"])}
            for one in all_services(account_id, region)
        ]

    monkeypatch.setattr(VPCBackend, "_collect_default_endpoint_services", staticmethod(listed))
    local_base.ensure(other_settings(CREATE), session)
    assert {item["AvailabilityZone"] for item in Network(session).subnets.values()} == {"eu-west-1b", "eu-west-1c"}
    zones["com.amazonaws.eu-west-1.kms"] = ["eu-west-1a"]
    with pytest.raises(FactoryError, match="has 0 availability zones with all services"):
        local_base.ensure(other_settings("network: {vpc: create, cidr: 10.9.0.0/16}"), session)
    assert local_base.ensure(other_settings("network: {vpc: create, endpoints: none}"), session).parts == ("network",)


def test_other_addresses_are_another_network(session: Any, other_settings: Any) -> None:
    local_base.ensure(other_settings(CREATE), session)
    changed = other_settings("network: {vpc: create, cidr: 10.9.8.0/24}")
    assert local_base.ensure(changed, session).parts == ("network", "objects")
    made = Network(session)
    assert [item["CidrBlock"] for item in made.vpcs] == ["10.9.8.0/24"]
    assert {item["CidrBlock"] for item in made.subnets.values()} == {"10.9.8.0/26", "10.9.8.64/26"}


def test_a_network_that_is_no_longer_wanted_goes(session: Any, settings: Any, other_settings: Any) -> None:
    groups = len(Network(session).all_groups)
    local_base.ensure(other_settings(CREATE), session)
    assert "network" in local_base.ensure(settings, session).parts
    made = Network(session)
    assert not made.vpcs and not made.subnets and len(made.all_groups) == groups
    vpc.remove(session.client("ec2"), settings.names)  # and a second time nothing is there


def test_a_network_that_was_half_made_is_completed(session: Any, other_settings: Any) -> None:
    """However far an interrupted call came, the next one ends with the same network, and with one."""
    settings, ec2 = other_settings(CREATE), session.client("ec2")

    class Killed(BaseException):
        pass

    calls_left = [0]

    def happened(**_: Any) -> None:
        calls_left[0] -= 1
        if calls_left[0] == 0:
            raise Killed

    session.events.register("after-call", happened)
    ec2 = session.client("ec2")
    for limit in range(1, 40):
        calls_left[0] = limit
        try:
            vpc.ensure(ec2, settings)
            break
        except Killed:
            continue
    else:
        pytest.fail("the network takes more than 40 calls")
    calls_left[0] = 0
    first = vpc.ensure(ec2, settings)
    made = Network(session)
    assert len(made.vpcs) == 1 and len(made.subnets) == 2 and len(made.groups) == 3
    assert vpc.ensure(ec2, settings) == first


@given(st.integers(16, 24), st.integers(0, 2**24 - 1))
def test_the_subnets_lie_apart_inside_the_network(prefix: int, address: int) -> None:
    whole = ipaddress.IPv4Network((0x0A000000 + address, prefix), strict=False)
    first, second = (ipaddress.IPv4Network(text) for text in network.private_subnets(str(whole)).values())
    assert first.subnet_of(whole) and second.subnet_of(whole) and not first.overlaps(second)
    # AWS keeps 5 addresses of a subnet, every interface endpoint takes one.
    assert first.num_addresses - 5 - len(network.table("eu-west-1")["services"]) >= 40


def test_an_isolated_container_calls_nothing_and_tracking_adds_its_service(other_settings: Any) -> None:
    everything = PLATFORM | {"sagemaker.api", "sagemaker.runtime", "sts"}
    assert set(network.called(other_settings(CREATE))) == everything
    jobs_isolated = "network: {vpc: create, isolated: [preprocess, train, evaluate]}"
    assert set(network.called(other_settings(jobs_isolated))) == PLATFORM | {"sagemaker.runtime", "sts"}
    all_isolated = "network: {vpc: create, isolated: [preprocess, train, evaluate, endpoint]}"
    assert set(network.called(other_settings(all_isolated))) == PLATFORM
    server = "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/t"
    tracked = other_settings(f"{CREATE}\ntracking: {{mlflow: '{server}'}}")
    assert set(network.called(tracked)) == everything | {"experiments"}


def test_every_service_of_the_table_has_a_full_name() -> None:
    table = network.table("eu-west-1")
    short = {*table["gateway"], *table["platform"], *table["tracking"]}.union(*table["container"].values())
    assert short == set(table["services"])
    assert set(table["container"]) == {"preprocess", "train", "evaluate", "endpoint"}
    assert table["services"]["sts"] == "com.amazonaws.eu-west-1.sts"
