"""The operations on endpoints: each checks, stores what is wanted, and lets the endpoint's worker make it so."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from local_sagemaker import models, tags
from local_sagemaker.api import Call, operation, page
from local_sagemaker.endpoints import configs, records, rollout
from local_sagemaker.errors import ResourceLimitExceeded, ValidationException
from local_sagemaker.iam import workloads
from local_sagemaker.iam.access import Denied
from local_sagemaker.store import Exists, Record

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

KIND = records.KIND


def find(call: Call, name: str) -> Record:
    """The endpoint of that name.

    Raises:
        ValidationException: there is none, in AWS's words.
    """
    record = call.platform.store.get(KIND, call.region, name.lower())
    if record is None:
        raise ValidationException(f'Could not find endpoint "{call.arn(KIND, name)}".')
    return record


@operation("CreateEndpoint")
def create(call: Call) -> dict[str, Any]:
    request, store = call.request, call.platform.store
    name = request["EndpointName"]
    arn = call.arn(KIND, name)
    spec = _fleet(call, configs.find(call, request["EndpointConfigName"]).body)
    deployment = request.get("DeploymentConfig")
    _check_deployment(call, deployment, spec)
    body = {
        "EndpointName": name,
        "EndpointArn": arn,
        "EndpointConfigName": request["EndpointConfigName"],
        "Status": records.CREATING,
        "Fleet": None,
        "Pending": {"Action": "create", "StartTime": call.platform.clock.time(), "Fleet": spec},
        **({"LastDeploymentConfig": deployment} if deployment else {}),
    }
    _flush(call)
    with store.transaction():
        if store.get(KIND, call.region, name.lower()) is None:
            _check_room(call, spec["Variants"][0], _size(spec))
        try:
            record = store.insert(KIND, call.region, name.lower(), body)
        except Exists:
            raise ValidationException(f'Cannot create already existing endpoint "{arn}".') from None
        tags.create(call, arn, request.get("Tags"))
        records.publish(call.platform, record, records.STATE_EVENT)
    call.platform.fleets.begin(call.region, record.name, "create")
    return {"EndpointArn": arn}


@operation("DescribeEndpoint")
def describe(call: Call) -> dict[str, Any]:
    return records.describe(find(call, call.request["EndpointName"]))


@operation("ListEndpoints")
def list_endpoints(call: Call) -> dict[str, Any]:
    names = ("EndpointName", "EndpointArn", "EndpointStatus", "CreationTime", "LastModifiedTime")

    def summary(record: Record) -> dict[str, Any]:
        described = records.describe(record)
        return {name: described[name] for name in names}

    return page(call, call.platform.store.list(KIND, call.region), summary, "Endpoints")


@operation("UpdateEndpoint")
def update(call: Call) -> dict[str, Any]:
    request, store = call.request, call.platform.store
    _flush(call)
    with store.transaction():
        endpoint = _idle(call, request["EndpointName"])
        old = endpoint.body["Fleet"]
        spec = _fleet(call, configs.find(call, request["EndpointConfigName"]).body)
        if request.get("RetainAllVariantProperties"):
            excluded = request.get("ExcludeRetainedVariantProperties") or []
            _retain(spec, old, {one["VariantPropertyType"] for one in excluded})
        elif request.get("ExcludeRetainedVariantProperties"):
            raise ValidationException("ExcludeRetainedVariantProperties needs RetainAllVariantProperties to be true.")
        deployment = request.get("DeploymentConfig")
        if request.get("RetainDeploymentConfig"):
            if deployment:
                raise ValidationException("DeploymentConfig cannot be given when RetainDeploymentConfig is true.")
            deployment = endpoint.body.get("LastDeploymentConfig")
        _check_deployment(call, deployment, spec, old)
        _check_room(call, spec["Variants"][0], rollout.surge(deployment, _size(spec), _size(old)))
        pending = {
            "Action": "update",
            "StartTime": call.platform.clock.time(),
            "Fleet": spec,
            "DeploymentConfig": deployment,
            "Moved": False,
        }

        def change(body: dict[str, Any]) -> None:
            body["Pending"] = pending
            for stale in ("LastDeploymentConfig", "FailureReason"):
                body.pop(stale, None)
            if deployment:
                body["LastDeploymentConfig"] = deployment

        records.move(call.platform, call.region, endpoint.name, records.UPDATING, change)
    call.platform.fleets.begin(call.region, endpoint.name, "update")
    return {"EndpointArn": endpoint.body["EndpointArn"]}


@operation("UpdateEndpointWeightsAndCapacities")
def scale(call: Call) -> dict[str, Any]:
    request, store = call.request, call.platform.store
    with store.transaction():
        endpoint = _idle(call, request["EndpointName"])
        fleet = endpoint.body["Fleet"]
        variants = {variant["VariantName"]: variant for variant in fleet["Variants"]}
        before = {name: {key: variant[key] for key in _SCALED} for name, variant in variants.items()}
        for wanted in request["DesiredWeightsAndCapacities"]:
            name = wanted["VariantName"]
            if name not in variants:
                raise ValidationException(f"Variant {name} of endpoint {endpoint.body['EndpointArn']} not found.")
            if wanted.get("DesiredInstanceCount") == 0:
                raise ValidationException(f"DesiredInstanceCount of variant {name} must be at least 1.")
            variants[name] |= {key: wanted[key] for key in _SCALED if wanted.get(key) is not None}
        more = sum(variants[name]["DesiredInstanceCount"] - before[name]["DesiredInstanceCount"] for name in variants)
        _check_room(call, fleet["Variants"][0], more)
        pending = {"Action": "scale", "StartTime": call.platform.clock.time(), "Before": before}

        def change(body: dict[str, Any]) -> None:
            body.update(Fleet=fleet, Pending=pending)
            body.pop("FailureReason", None)

        records.move(call.platform, call.region, endpoint.name, records.UPDATING, change)
    call.platform.fleets.begin(call.region, endpoint.name, "scale")
    return {"EndpointArn": endpoint.body["EndpointArn"]}


_SCALED = ("DesiredInstanceCount", "DesiredWeight")


@operation("DeleteEndpoint")
def delete(call: Call) -> None:
    with call.platform.store.transaction():
        endpoint = _idle(call, call.request["EndpointName"], failed=True)
        records.move(call.platform, call.region, endpoint.name, records.DELETING)
    call.platform.fleets.begin(call.region, endpoint.name, "delete")


def _idle(call: Call, name: str, *, failed: bool = False) -> Record:
    """The endpoint, when nothing is under way on it; ``failed``: also one that is Failed.

    Raises:
        ValidationException: in AWS's words.
    """
    endpoint = find(call, name)
    arn, status = endpoint.body["EndpointArn"], endpoint.body["Status"]
    if status in records.IN_PROGRESS:
        raise ValidationException(f'Cannot update in-progress endpoint "{arn}".')
    if status == records.FAILED and not failed:
        raise ValidationException(f'Endpoint "{arn}" is Failed; DeleteEndpoint is the only operation that it allows.')
    return endpoint


def _fleet(call: Call, config: dict[str, Any]) -> dict[str, Any]:
    """A new fleet for an endpoint configuration, as it is stored (:mod:`.records`)."""
    variants = []
    for variant in config["ProductionVariants"]:
        plan = models.launch_plan(call, variant["ModelName"])
        try:
            workloads.check_hosting(call.platform, config, plan["RoleArn"], call.region)
        except Denied as error:
            raise ValidationException(error.message) from None
        plan["Isolated"] = plan["Isolated"] or config["EnableNetworkIsolation"]
        variants.append(
            {
                "VariantName": variant["VariantName"],
                "ModelName": variant["ModelName"],
                "InstanceType": variant["InstanceType"],
                "DesiredInstanceCount": variant["InitialInstanceCount"],
                "CurrentInstanceCount": 0,
                "DesiredWeight": float(variant["InitialVariantWeight"]),
                "CurrentWeight": 0.0,
                "Routing": (variant.get("RoutingConfig") or {}).get("RoutingStrategy"),
                "StartupSeconds": variant.get("ContainerStartupHealthCheckTimeoutInSeconds"),
                "Plan": plan,
                "ResolutionTime": call.platform.clock.time(),
            }
        )
    return {
        "Id": secrets.token_hex(4),
        "ConfigName": config["EndpointConfigName"],
        "DataCaptureConfig": config.get("DataCaptureConfig"),
        "Variants": variants,
    }


def _retain(spec: dict[str, Any], old: dict[str, Any], excluded: set[str]) -> None:
    """Keep the variant properties of the fleet that serves, all but the excluded ones."""
    if "DataCaptureConfig" not in excluded:
        spec["DataCaptureConfig"] = old["DataCaptureConfig"]
    before = {variant["VariantName"]: variant for variant in old["Variants"]}
    for variant in spec["Variants"]:
        for name in {"DesiredInstanceCount", "DesiredWeight"} - excluded:
            if variant["VariantName"] in before:
                variant[name] = before[variant["VariantName"]][name]


def _flush(call: Call) -> None:
    """What an endpoint's record names is on disk before the record: a killed server can bring it back."""
    call.platform.state.flush("s3", "iam", "ecr", "cloudwatch")


def _check_deployment(
    call: Call, deployment: dict[str, Any] | None, spec: dict[str, Any], old: dict[str, Any] | None = None
) -> None:
    def names(fleet: dict[str, Any] | None) -> set[str]:
        return {variant["VariantName"] for variant in (fleet or {"Variants": []})["Variants"]}

    counts = [variant["DesiredInstanceCount"] for variant in spec["Variants"]]
    rollout.check(deployment, counts, names(old), names(spec))
    for alarm in rollout.alarms(deployment):
        if call.platform.alarms.state(call.region, alarm) is None:
            raise ValidationException(f"The alarm {alarm} of AutoRollbackConfiguration does not exist.")


def _size(spec: dict[str, Any]) -> int:
    return sum(variant["DesiredInstanceCount"] for variant in spec["Variants"])


def room(platform: Platform) -> int:
    """How many more instances this machine is set to run."""
    used = 0
    for record in platform.store.list(KIND):
        for fleet in (record.body["Fleet"], (record.body.get("Pending") or {}).get("Fleet")):
            used += sum(one["DesiredInstanceCount"] for one in fleet["Variants"]) if fleet else 0
    return max(0, platform.fleets.settings.instances - used)


def _check_room(call: Call, variant: dict[str, Any], more: int) -> None:
    """Refuse more instances than this machine is set to run, in the words of an account's service limit."""
    limit = call.platform.fleets.settings.instances
    used = limit - room(call.platform)
    if more > 0 and used + more > limit:
        raise ResourceLimitExceeded(
            f"The account-level service limit '{variant['InstanceType']} for endpoint usage' is {limit} Instances, "
            f"with current utilization of {used} Instances and a request delta of {more} Instances. Here an instance "
            "is a process of this machine; LOCAL_SAGEMAKER_HOSTING_INSTANCES sets the limit."
        )
