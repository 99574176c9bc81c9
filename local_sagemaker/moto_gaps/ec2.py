"""EC2.

- A rule's description gets lost where it is for a group or a prefix list.
- One endpoint service is not listed.
- A NAT gateway that is deleted keeps its address and its network interface.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from moto.core.base_backend import BaseBackend
from moto.ec2.models.flow_logs import FlowLogsBackend
from moto.ec2.models.nat_gateways import NatGatewayBackend
from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupRule
from moto.ec2.models.vpcs import VPCBackend

from local_sagemaker.iam import workloads
from local_sagemaker.iam.access import Denied
from local_sagemaker.moto_gaps.patching import original_of, put, replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


def install(platform: Platform) -> None:
    @replace(SecurityGroupRule)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        __init__.original(self, *args, **kwargs)  # type: ignore[attr-defined]
        given = args[7] if len(args) > 7 else kwargs.get("prefix_list_id")
        self.prefix_list_description = given.get("Description") if isinstance(given, dict) else None

    def description(self: Any) -> str | None:
        for part in (self.ip_range, self.source_group):
            if isinstance(part, dict) and part.get("Description"):
                return str(part["Description"])
        return getattr(self, "prefix_list_description", None)

    put(SecurityGroupRule, "description", property(description))

    @replace(SecurityGroup)
    def _flattened_rules(self: Any, rules: list[Any]) -> list[Any]:
        views: list[Any] = _flattened_rules.original(self, rules)  # type: ignore[attr-defined]
        for view in views:
            for item in view.prefix_list_ids:
                for rule in rules:
                    same = (rule.ip_protocol, rule.from_port, rule.to_port) == (
                        view.ip_protocol,
                        view.from_port,
                        view.to_port,
                    )
                    if same and rule.prefix_list_id == item["PrefixListId"] and rule.description:
                        item["Description"] = rule.description
        return views

    @replace(FlowLogsBackend)
    def create_flow_logs(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Whether the role may write is not asked by AWS either: the flow log is there, and stays empty."""
        role = kwargs.get("deliver_logs_permission_arn")
        group = kwargs.get("log_group_name") or str(kwargs.get("log_destination") or "").split(":log-group:")[-1]
        if role and group:
            with contextlib.suppress(Denied):
                workloads.check_flow_logs(platform, role, self.region_name, group.removesuffix(":*"))
        return create_flow_logs.original(self, *args, **kwargs)  # type: ignore[attr-defined]

    @replace(NatGatewayBackend)
    def delete_nat_gateway(self: Any, nat_gateway_id: str) -> Any:
        """Its address is free again, and its network interface gone."""
        gateway = delete_nat_gateway.original(self, nat_gateway_id)  # type: ignore[attr-defined]
        for address in self.addresses:
            if address.network_interface_id == gateway._eni.id:
                address.eni = address.association_id = address.instance = None
        self.enis.pop(gateway._eni.id, None)
        return gateway

    listed = original_of(VPCBackend, "_collect_default_endpoint_services")

    def collect(account_id: str, region: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = listed(account_id, region)
        return [*found, tracking_service(region, found[0]["AvailabilityZones"])]

    put(VPCBackend, "_collect_default_endpoint_services", staticmethod(collect))


def tracking_service(region: str, zones: list[str]) -> dict[str, Any]:
    """What DescribeVpcEndpointServices says of MLflow tracking servers.

    Source: AWS PrivateLink Guide, "AWS services that integrate with AWS PrivateLink".
    """
    (service,) = BaseBackend.default_vpc_endpoint_service_factory(region, zones, "experiments", private_dns_names=False)
    name = f"*.{region}.experiments.sagemaker.aws"
    return {
        **service,
        "ServiceName": f"aws.sagemaker.{region}.experiments",
        "PrivateDnsName": name,
        "PrivateDnsNames": [{"PrivateDnsName": name}],
        "PrivateDnsNameVerificationState": "verified",
    }
