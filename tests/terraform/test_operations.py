"""What Terraform makes around the factory does its work: who is told, who may read, what encrypts the state."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.waiting import eventually

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]

READERS = {"arn:aws:iam::111122223333:root", "arn:aws:iam::210987654321:root"}
#: A pipeline that fails as soon as it starts.
FAILS = {
    "Version": "2020-12-01",
    "Steps": [{"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": "not good enough"}}],
}


def statements(policy: str) -> dict[str, Any]:
    return {item["Sid"]: item for item in json.loads(policy)["Statement"]}


def test_a_failed_execution_is_told_with_its_name_and_what_to_run(applied: Any) -> None:
    names, sqs, sns = applied.settings.names, applied.client("sqs"), applied.client("sns")
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = f"arn:aws:sns:{names.region}:{names.account_id}:{names.prefix}-alerts"
    subscription = sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
    )["SubscriptionArn"]
    sagemaker = applied.client("sagemaker")
    sagemaker.create_pipeline(
        PipelineName=names.pipeline,
        PipelineDefinition=json.dumps(FAILS),
        ClientRequestToken="a" * 32,
        RoleArn=applied.settings.role_arn("pipeline"),
    )
    try:
        execution = sagemaker.start_pipeline_execution(PipelineName=names.pipeline)["PipelineExecutionArn"]
        (message,) = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
        assert f"the execution {execution} failed" in message["Body"]
        assert f"cv-factory --env local status {execution}" in message["Body"]
    finally:
        sagemaker.delete_pipeline(PipelineName=names.pipeline, ClientRequestToken="b" * 32)
        sns.unsubscribe(SubscriptionArn=subscription)
        sqs.delete_queue(QueueUrl=queue)


def test_what_the_deployer_logs_as_an_error_becomes_a_metric(applied: Any) -> None:
    names, cloudwatch = applied.settings.names, applied.client("cloudwatch")
    answer = applied.client("lambda").invoke(
        FunctionName=names.deployer, Qualifier="live", Payload=json.dumps({"action": "keep"})
    )
    assert answer["FunctionError"] == "Unhandled" and answer["ExecutedVersion"] == "1"
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[f"{names.deployer}-logged-errors"])["MetricAlarms"]
    now = datetime.now(UTC)

    def counted() -> float:
        points = cloudwatch.get_metric_statistics(
            Namespace=alarm["Namespace"],
            MetricName=alarm["MetricName"],
            StartTime=now - timedelta(minutes=10),
            EndTime=now + timedelta(minutes=10),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    assert eventually(counted) >= 1


def test_the_budget_counts_what_is_tagged_and_tells_the_topic(applied: Any) -> None:
    names, budgets = applied.settings.names, applied.client("budgets")
    budget = budgets.describe_budget(AccountId=names.account_id, BudgetName=names.prefix)["Budget"]
    assert float(budget["BudgetLimit"]["Amount"]) == 50
    assert budget["CostFilters"] == {"TagKeyValue": ["user:Environment$local", "user:Project$widgets"]}
    told = budgets.describe_notifications_for_budget(AccountId=names.account_id, BudgetName=names.prefix)
    kinds = {(item["NotificationType"], item["Threshold"]) for item in told["Notifications"]}
    assert kinds == {("FORECASTED", 80.0), ("ACTUAL", 100.0)}


def test_readers_read_packages_and_nothing_else(applied: Any) -> None:
    names, ecr = applied.settings.names, applied.client("ecr")
    group = applied.client("sagemaker").get_model_package_group_policy(ModelPackageGroupName=names.package_group)
    shared = statements(group["ResourcePolicy"])["ReadersRead"]
    assert set(shared["Principal"]["AWS"]) == READERS
    pull = statements(ecr.get_repository_policy(repositoryName=names.inference_repository)["policyText"])
    assert set(pull) == {"ReadersPull"} and set(pull["ReadersPull"]["Principal"]["AWS"]) == READERS
    with pytest.raises(ecr.exceptions.RepositoryPolicyNotFoundException):
        ecr.get_repository_policy(repositoryName=names.training_repository)
    s3 = applied.client("s3")
    for bucket in (names.data_bucket, names.artifact_bucket):
        policy = statements(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        assert ("ReadersRead" in policy) == (bucket == names.artifact_bucket)
    policy = statements(s3.get_bucket_policy(Bucket=names.artifact_bucket)["Policy"])
    assert policy["ReadersRead"]["Resource"] == f"arn:aws:s3:::{names.artifact_bucket}/packages/*"
    kms = applied.client("kms")
    key = kms.describe_key(KeyId=names.key_alias)["KeyMetadata"]["KeyId"]
    document = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    assert set(statements(document)["ReadersDecrypt"]["Principal"]["AWS"]) == READERS


def test_the_state_is_encrypted_with_its_own_key(applied: Any) -> None:
    names, s3 = applied.settings.names, applied.client("s3")
    key = applied.client("kms").describe_key(KeyId=names.state_key_alias)["KeyMetadata"]["Arn"]
    for root in ("data", "factory"):
        found = s3.head_object(Bucket=names.state_bucket, Key=f"{root}.tfstate")
        assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)
