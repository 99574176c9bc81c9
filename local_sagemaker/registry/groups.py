"""Model package groups and their resource policies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from local_sagemaker import tags
from local_sagemaker.api import Call, operation, page
from local_sagemaker.errors import ConflictException, ValidationException
from local_sagemaker.registry.names import GROUP, PACKAGE, arn, key
from local_sagemaker.store import Exists, Record


def find(call: Call, name_or_arn: str) -> Record:
    """The group of that name or ARN.

    Raises:
        ValidationException: there is none, in AWS's words.
    """
    record = call.platform.store.get(GROUP, call.region, key(call, GROUP, name_or_arn))
    if record is None:
        raise ValidationException(f"ModelPackageGroup {arn(call, GROUP, name_or_arn)} does not exist.")
    return record


@operation("CreateModelPackageGroup")
def create(call: Call) -> dict[str, Any]:
    name = call.request["ModelPackageGroupName"]
    group_arn = call.arn(GROUP, name)
    body = {
        "ModelPackageGroupName": name,
        "ModelPackageGroupArn": group_arn,
        "ModelPackageGroupStatus": "Completed",
        "CreatedBy": {"IamIdentity": {"Arn": call.caller_arn}},
    }
    if call.request.get("ModelPackageGroupDescription") is not None:
        body["ModelPackageGroupDescription"] = call.request["ModelPackageGroupDescription"]
    with call.platform.store.transaction():
        try:
            call.platform.store.insert(GROUP, call.region, name.lower(), body)
        except Exists:
            raise ValidationException(f"Model Package Group already exists: {group_arn}") from None
        tags.create(call, group_arn, call.request.get("Tags"))
    return {"ModelPackageGroupArn": group_arn}


@operation("DescribeModelPackageGroup")
def describe(call: Call) -> dict[str, Any]:
    record = find(call, call.request["ModelPackageGroupName"])
    return {name: value for name, value in record.body.items() if name != "Policy"} | {"CreationTime": record.created}


@operation("ListModelPackageGroups")
def list_groups(call: Call) -> dict[str, Any]:
    ascending = replace(call, request={"SortOrder": "Ascending", **call.request})
    records = call.platform.store.list(GROUP, call.region)
    if call.request.get("CrossAccountFilterOption") == "CrossAccount":
        records = []  # one account: nobody shares anything
    return page(ascending, records, _summary, "ModelPackageGroupSummaryList")


def _summary(record: Record) -> dict[str, Any]:
    names = ("ModelPackageGroupName", "ModelPackageGroupArn", "ModelPackageGroupDescription", "ModelPackageGroupStatus")
    return {name: record.body[name] for name in names if name in record.body} | {"CreationTime": record.created}


@operation("DeleteModelPackageGroup")
def delete(call: Call) -> None:
    store = call.platform.store
    with store.transaction():
        group = find(call, call.request["ModelPackageGroupName"])
        group_arn = group.body["ModelPackageGroupArn"]
        if store.list(PACKAGE, call.region, prefix=f"{group.name}/"):
            raise ConflictException(
                f"Model Package Group {group_arn} cannot be deleted because it contains Model Packages."
            )
        store.delete(GROUP, call.region, group.name)
        tags.drop(call, group_arn)


@operation("PutModelPackageGroupPolicy")
def put_policy(call: Call) -> dict[str, Any]:
    group, policy = find(call, call.request["ModelPackageGroupName"]), call.request["ResourcePolicy"]
    try:
        valid = isinstance(json.loads(policy), dict)
    except ValueError:
        valid = False
    if not valid:
        raise ValidationException("The resource policy is not a JSON policy document.")
    call.platform.store.update(GROUP, call.region, group.name, lambda body: body.update(Policy=policy))
    return {"ModelPackageGroupArn": group.body["ModelPackageGroupArn"]}


@operation("GetModelPackageGroupPolicy")
def get_policy(call: Call) -> dict[str, Any]:
    name = call.request["ModelPackageGroupName"]
    policy = find(call, name).body.get("Policy")
    if policy is None:
        raise ValidationException(f"Cannot find Model Package Group Policy: {name}")
    return {"ResourcePolicy": policy}


@operation("DeleteModelPackageGroupPolicy")
def delete_policy(call: Call) -> None:
    group = find(call, call.request["ModelPackageGroupName"])

    def change(body: dict[str, Any]) -> None:
        body.pop("Policy", None)

    call.platform.store.update(GROUP, call.region, group.name, change)
