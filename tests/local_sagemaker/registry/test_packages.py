from __future__ import annotations

from typing import Any

import pytest

from local_sagemaker.errors import ApiError

PREFIX = "arn:aws:sagemaker:ap-southeast-1:123456789012:model-package/"


@pytest.fixture
def register(call: Any, group: str, specification: dict[str, Any]) -> Any:
    def create(**more: Any) -> str:
        request = {"ModelPackageGroupName": group, "InferenceSpecification": specification, **more}
        return str(call("CreateModelPackage", **request)["ModelPackageArn"])

    return create


def test_versions_count_up_and_no_number_comes_twice(call: Any, register: Any) -> None:
    assert [register(), register()] == [f"{PREFIX}cells/1", f"{PREFIX}cells/2"]
    call("DeleteModelPackage", ModelPackageName=f"{PREFIX}cells/2")
    assert register() == f"{PREFIX}cells/3"


def test_a_version_is_described_with_what_it_was_given(call: Any, register: Any) -> None:
    arn = register(
        ModelPackageDescription="first",
        MetadataProperties={"CommitId": "abc"},
        CustomerMetadataProperties={"bundle_hash": "f00"},
        ModelMetrics={"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/e.json"}}},
    )
    for name in (arn, "Cells/1"):
        described = call("DescribeModelPackage", ModelPackageName=name)
        assert described["ModelPackageArn"] == arn
    assert described["ModelPackageGroupName"] == "Cells"
    assert described["ModelPackageVersion"] == 1
    assert described["ModelPackageStatus"] == "Completed"
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    assert described["MetadataProperties"] == {"CommitId": "abc"}
    assert described["CustomerMetadataProperties"] == {"bundle_hash": "f00"}
    assert "ModelPackageName" not in described  # as on AWS, a version has none


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"ModelPackageName": "p", "ModelPackageGroupName": "Cells"}, "Cannot determine which one to use"),
        ({}, "Missing ARN."),
        ({"ModelPackageGroupName": "other"}, r"ModelPackageGroup arn:.*model-package-group/other does not exist."),
        (
            {"ModelPackageGroupName": "Cells", "Tags": [{"Key": "a", "Value": "b"}]},
            "uses the tags of its model package",
        ),
        ({"ModelPackageName": "p", "ModelApprovalStatus": "Approved"}, "ModelApprovalStatus applies to versioned"),
        ({"ModelPackageName": "p"}, "InferenceSpecification.SupportedTransformInstanceTypes is required"),
        ({"ModelPackageGroupName": "Cells", "CertifyForMarketplace": True}, "CertifyForMarketplace is not supported"),
        ({"ModelPackageGroupName": "Cells", "ModelCard": {"ModelCardContent": "[1]"}}, "not a JSON object"),
        ({"ModelPackageGroupName": "Cells", "ModelApprovalStatus": "Yes"}, "enum value set"),
    ],
)
def test_requests_that_aws_refuses(
    call: Any, group: str, specification: dict[str, Any], request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(ApiError, match=message):
        call("CreateModelPackage", InferenceSpecification=specification, **request_)
    assert call("ListModelPackages", ModelPackageType="Both")["ModelPackageSummaryList"] == []
    assert call.events.sent == []


def test_a_package_on_its_own_has_a_name_and_tags(call: Any, specification: dict[str, Any]) -> None:
    full = specification | {
        "SupportedTransformInstanceTypes": ["ml.m5.xlarge"],
        "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.xlarge"],
    }
    arn = call(
        "CreateModelPackage", ModelPackageName="Alone", InferenceSpecification=full, Tags=[{"Key": "k", "Value": "v"}]
    )
    assert arn == {"ModelPackageArn": f"{PREFIX}alone"}
    assert call("DescribeModelPackage", ModelPackageName="Alone")["ModelPackageName"] == "Alone"
    assert call("ListTags", ResourceArn=f"{PREFIX}alone")["Tags"] == [{"Key": "k", "Value": "v"}]
    with pytest.raises(ApiError, match="already exists"):
        call("CreateModelPackage", ModelPackageName="alone", InferenceSpecification=full)
    with pytest.raises(ApiError, match="is not versioned"):
        call("UpdateModelPackage", ModelPackageArn=f"{PREFIX}alone", ModelApprovalStatus="Approved")


def test_lists_filter_by_group_type_and_approval(call: Any, register: Any, specification: dict[str, Any]) -> None:
    register()
    register(ModelApprovalStatus="Approved")
    call("CreateModelPackageGroup", ModelPackageGroupName="Cells-2")
    call("CreateModelPackage", ModelPackageGroupName="Cells-2", InferenceSpecification=specification)

    def listed(**request: Any) -> list[str]:
        packages = call("ListModelPackages", **request)["ModelPackageSummaryList"]
        return [package["ModelPackageArn"].removeprefix(PREFIX) for package in packages]

    assert listed() == []  # unversioned only, as AWS documents the default
    assert listed(ModelPackageType="Versioned") == ["cells/1", "cells/2", "cells-2/1"]
    assert listed(ModelPackageGroupName="Cells") == ["cells/1", "cells/2"]
    assert listed(ModelPackageGroupName="Cells", ModelPackageType="Unversioned") == []
    assert listed(ModelPackageGroupName="Cells", SortOrder="Descending", MaxResults=1) == ["cells/2"]
    assert listed(ModelPackageGroupName="Cells", ModelApprovalStatus="Approved") == ["cells/2"]
    assert listed(ModelPackageType="Both", NameContains="cells-") == ["cells-2/1"]
    with pytest.raises(ApiError, match="does not exist"):
        listed(ModelPackageGroupName="nothing")


def test_the_same_client_token_registers_once(call: Any, register: Any) -> None:
    assert register(ClientToken="t1") == register(ClientToken="t1")
    assert len(call.events.sent) == 1
    with pytest.raises(ApiError, match="used with another CreateModelPackage request") as error:
        register(ClientToken="t1", ModelPackageDescription="other")
    assert error.value.code == "ConflictException"


def test_a_new_package_and_an_approval_send_events_in_aws_shape(call: Any, register: Any) -> None:
    arn = register()
    call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="looks good")
    created, approved = call.events.sent
    for event in (created, approved):
        assert event["source"] == "aws.sagemaker"
        assert event["detail-type"] == "SageMaker Model Package State Change"
        assert event["resources"] == [arn]
        detail = event["detail"]
        assert detail["ModelPackageGroupName"] == "Cells"
        assert detail["ModelPackageVersion"] == 1
        assert detail["ModelPackageStatus"] == "Completed"
        assert detail["CreationTime"].endswith("Z")
        assert detail["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == "s3://b/m.tar.gz"
    assert created["detail"]["ModelApprovalStatus"] == "PendingManualApproval"
    assert "UpdatedModelPackageFields" not in created["detail"]
    assert approved["detail"]["ModelApprovalStatus"] == "Approved"
    assert approved["detail"]["ApprovalDescription"] == "looks good"
    assert approved["detail"]["UpdatedModelPackageFields"] == ["ModelApprovalStatus", "ApprovalDescription"]


def test_a_life_cycle_change_sends_an_event_and_a_card_or_no_change_none(call: Any, register: Any) -> None:
    arn = register(ModelApprovalStatus="Approved")
    call("UpdateModelPackage", ModelPackageArn=arn, ModelLifeCycle={"Stage": "Production", "StageStatus": "Live"})
    call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus="Approved")
    call("UpdateModelPackage", ModelPackageArn=arn, ModelCard={"ModelCardContent": "{}", "ModelCardStatus": "Draft"})
    assert [event["detail"].get("UpdatedModelPackageFields") for event in call.events.sent] == [
        None,
        ["ModelLifeCycle"],
    ]
    assert call("DescribeModelPackage", ModelPackageName=arn)["ModelCard"]["ModelCardStatus"] == "Draft"


def test_metadata_and_specifications_are_merged(call: Any, register: Any, specification: dict[str, Any]) -> None:
    arn = register(CustomerMetadataProperties={"a": "1", "b": "2"})
    call(
        "UpdateModelPackage",
        ModelPackageArn=arn,
        CustomerMetadataProperties={"b": "3", "c": "4"},
        CustomerMetadataPropertiesToRemove=["a", "unknown"],
        AdditionalInferenceSpecificationsToAdd=[{"Name": "small", "Containers": specification["Containers"]}],
    )
    described = call("DescribeModelPackage", ModelPackageName=arn)
    assert described["CustomerMetadataProperties"] == {"b": "3", "c": "4"}
    assert [one["Name"] for one in described["AdditionalInferenceSpecifications"]] == ["small"]
    with pytest.raises(ApiError, match="needs a name of its own"):
        call(
            "UpdateModelPackage",
            ModelPackageArn=arn,
            AdditionalInferenceSpecificationsToAdd=[{"Name": "small", "Containers": specification["Containers"]}],
        )
    with pytest.raises(ApiError, match="at most 50"):
        call("UpdateModelPackage", ModelPackageArn=arn, CustomerMetadataProperties={f"k{i}": "v" for i in range(50)})


def test_batch_describe_tells_the_missing_from_the_found(call: Any, register: Any) -> None:
    arn, missing = register(), f"{PREFIX}cells/9"
    answer = call("BatchDescribeModelPackage", ModelPackageArnList=[arn, missing])
    assert answer["ModelPackageSummaries"][arn]["ModelPackageVersion"] == 1
    assert answer["BatchDescribeModelPackageErrorMap"][missing]["ErrorCode"] == "ValidationException"


def test_a_package_of_another_account_is_not_found(call: Any, register: Any) -> None:
    register()
    with pytest.raises(ApiError, match="does not exist"):
        call("DescribeModelPackage", ModelPackageName=f"{PREFIX}cells/1".replace("123456789012", "999999999999"))


def test_tags_are_added_replaced_and_removed(call: Any) -> None:
    tags = [{"Key": "team", "Value": "solar"}]
    arn = call("CreateModelPackageGroup", ModelPackageGroupName="g", Tags=tags)["ModelPackageGroupArn"]
    call("AddTags", ResourceArn=arn, Tags=[{"Key": "team", "Value": "wind"}, {"Key": "env", "Value": "dev"}])
    assert call("ListTags", ResourceArn=arn)["Tags"] == [
        {"Key": "team", "Value": "wind"},
        {"Key": "env", "Value": "dev"},
    ]
    call("DeleteTags", ResourceArn=arn, TagKeys=["team"])
    assert call("ListTags", ResourceArn=arn)["Tags"] == [{"Key": "env", "Value": "dev"}]
    with pytest.raises(ApiError, match="aws: prefixed"):
        call("AddTags", ResourceArn=arn, Tags=[{"Key": "aws:x", "Value": ""}])
    with pytest.raises(ApiError, match="at most 50"):
        call("AddTags", ResourceArn=arn, Tags=[{"Key": str(i), "Value": ""} for i in range(50)])
