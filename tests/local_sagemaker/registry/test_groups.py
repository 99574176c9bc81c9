from __future__ import annotations

from typing import Any

import pytest

from local_sagemaker.errors import ApiError

ARN = "arn:aws:sagemaker:ap-southeast-1:123456789012:model-package-group/cells"


def test_a_group_is_created_described_listed_and_deleted(call: Any) -> None:
    answer = call("CreateModelPackageGroup", ModelPackageGroupName="Cells", ModelPackageGroupDescription="solar")
    assert answer == {"ModelPackageGroupArn": ARN}
    described = call("DescribeModelPackageGroup", ModelPackageGroupName="Cells")
    assert described["ModelPackageGroupName"] == "Cells"
    assert described["ModelPackageGroupStatus"] == "Completed"
    assert described["ModelPackageGroupDescription"] == "solar"
    assert described["CreatedBy"]["IamIdentity"]["Arn"].endswith("user/someone")
    listed = call("ListModelPackageGroups")["ModelPackageGroupSummaryList"]
    assert [group["ModelPackageGroupArn"] for group in listed] == [ARN]
    call("DeleteModelPackageGroup", ModelPackageGroupName="Cells")
    with pytest.raises(ApiError, match=f"ModelPackageGroup {ARN} does not exist."):
        call("DescribeModelPackageGroup", ModelPackageGroupName="Cells")


def test_a_group_of_that_name_is_refused_whatever_its_case(call: Any, group: str) -> None:
    with pytest.raises(ApiError, match=f"Model Package Group already exists: {ARN}") as error:
        call("CreateModelPackageGroup", ModelPackageGroupName="CELLS")
    assert error.value.code == "ValidationException"


def test_a_group_with_packages_stays(call: Any, group: str, specification: dict[str, Any]) -> None:
    call("CreateModelPackage", ModelPackageGroupName=group, InferenceSpecification=specification)
    with pytest.raises(ApiError, match="cannot be deleted because it contains Model Packages") as error:
        call("DeleteModelPackageGroup", ModelPackageGroupName=group)
    assert error.value.code == "ConflictException"


def test_the_policy_is_kept_returned_and_removed(call: Any, group: str) -> None:
    with pytest.raises(ApiError, match="Cannot find Model Package Group Policy: Cells"):
        call("GetModelPackageGroupPolicy", ModelPackageGroupName=group)
    with pytest.raises(ApiError, match="not a JSON policy document"):
        call("PutModelPackageGroupPolicy", ModelPackageGroupName=group, ResourcePolicy="{")
    call("PutModelPackageGroupPolicy", ModelPackageGroupName=group, ResourcePolicy='{"Statement": []}')
    assert call("GetModelPackageGroupPolicy", ModelPackageGroupName=group) == {"ResourcePolicy": '{"Statement": []}'}
    call("DeleteModelPackageGroupPolicy", ModelPackageGroupName=group)
    with pytest.raises(ApiError, match="Cannot find"):
        call("GetModelPackageGroupPolicy", ModelPackageGroupName=group)


def test_groups_come_oldest_first_and_in_pages(call: Any) -> None:
    for name in ("b", "a", "c"):
        call("CreateModelPackageGroup", ModelPackageGroupName=name)
    first = call("ListModelPackageGroups", MaxResults=2)
    second = call("ListModelPackageGroups", MaxResults=2, NextToken=first["NextToken"])
    names = [g["ModelPackageGroupName"] for page in (first, second) for g in page["ModelPackageGroupSummaryList"]]
    assert names == ["b", "a", "c"]
    assert "NextToken" not in second
