"""What a network that is made consists of; ``terraform/modules/network`` and ``terraform/factory`` have the same."""

from __future__ import annotations

import ipaddress
from typing import Any

from contracts.settings import Settings
from cv_factory.operations.base import templates

#: Service that has a gateway instead of an interface endpoint; it costs nothing.
GATEWAY = "s3"


def table(region: str) -> dict[str, Any]:
    """``terraform/endpoints.json``: which step calls which AWS service, and the services' names in ``region``.

    ``gateway`` and ``services`` (short name -> full name); ``platform``: what SageMaker itself calls beside every
    container; ``container``: step -> what its container may call, unless it is isolated; ``tracking``: what an MLflow
    server adds.
    """
    found: dict[str, Any] = templates.document("endpoints.json", {"region": region})
    return found


def called(settings: Settings) -> tuple[str, ...]:
    """Short names of the services that jobs and endpoint call beside S3, sorted: each needs a way there."""
    known = table(settings.aws.region)
    names = set(known["platform"])
    for step, services in known["container"].items():
        if step not in settings.network.isolated:
            names.update(services)
    if settings.tracking.mlflow != "none":
        names.update(known["tracking"])
    return tuple(sorted(names))


def with_endpoints(settings: Settings) -> bool:
    """Does Terraform make interface endpoints?"""
    network = settings.network
    return network.endpoints == "always" or (network.vpc == "create" and network.endpoints == "auto")


def private_subnets(cidr: str) -> dict[str, str]:
    """Letter of the subnet -> its addresses: the first two quarters of ``cidr``."""
    quarters = ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=2)
    return {letter: str(next(quarters)) for letter in ("a", "b")}


def group_rules(jobs: str, endpoints: str | None, prefix_list: str, *, nat: bool) -> dict[str, list[dict[str, Any]]]:
    """The rules of the security groups, ``IpPermissions`` as EC2 takes them.

    Args:
        jobs: id of the group of jobs and endpoint.
        endpoints: id of the interface endpoints' group; None where there are none.
        prefix_list: id of S3's prefix list.
        nat: a NAT gateway is the way to the internet.

    Returns:
        ``in`` and ``out`` of the jobs' group, ``endpoints`` (in) of the other.
    """
    https: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}

    def group(name: str, says: str) -> dict[str, Any]:
        return {"UserIdGroupPairs": [{"GroupId": name, "Description": says}]}

    among = {"IpProtocol": "-1", **group(jobs, "Between the instances of a job")}
    out = [among, {**https, "PrefixListIds": [{"PrefixListId": prefix_list, "Description": "HTTPS to S3"}]}]
    if endpoints is not None:
        out.append({**https, **group(endpoints, "HTTPS to the interface endpoints")})
    if nat:
        everywhere = {"CidrIp": "0.0.0.0/0", "Description": "HTTPS through the NAT gateway"}
        out.append({**https, "IpRanges": [everywhere]})
    return {"in": [among], "out": out, "endpoints": [{**https, **group(jobs, "HTTPS from jobs")}]}
