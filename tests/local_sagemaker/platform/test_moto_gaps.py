"""What moto lacks or gets wrong, asked for as a client asks."""

from __future__ import annotations

import json
from typing import Any

import botocore.exceptions
import pytest

from tests.local_sagemaker.platform.conftest import ACCOUNT, REGION, Server
from tests.waiting import eventually


def refused(call: Any, **arguments: Any) -> dict[str, Any]:
    """Code, Message and HTTP status of the error that a call ends with."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return {**answer["Error"], "Status": answer["ResponseMetadata"]["HTTPStatusCode"]}


def bucket(server: Server, name: str) -> Any:
    s3 = server.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return s3


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("sagemaker", "list_hubs", {}),
        ("cloudtrail", "list_imports", {}),
        ("iam", "list_organizations_features", {}),
        ("ec2", "describe_fast_launch_images", {}),
        ("sns", "get_data_protection_policy", {"ResourceArn": "arn:aws:sns:eu-west-1:444455556666:t"}),
    ],
)
def test_a_missing_action_is_a_well_formed_error_in_every_protocol(
    server: Server, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    error = refused(getattr(server.client(service), operation), **arguments)
    assert error["Status"] == 501 and error["Code"] == "UnsupportedOperation"
    assert "The local SageMaker lacks it" in error["Message"]


def test_a_path_that_moto_does_not_know_is_an_error_too(server: Server) -> None:
    error = refused(server.client("lambda").list_function_url_configs, FunctionName="x")
    assert error["Status"] == 501 and error["Code"] == "NotImplemented" and "lacks" in error["Message"]


def test_a_crash_inside_moto_is_an_error_that_no_client_retries(server: Server) -> None:
    error = refused(server.client("sns").subscribe, TopicArn="no arn", Protocol="sqs", Endpoint="x")
    assert error["Status"] == 400 and error["Code"] == "InternalFailure" and "failed inside sns" in error["Message"]
    assert server.client("sns").list_topics()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_the_account_is_the_one_that_the_server_was_started_with(server: Server) -> None:
    assert server.client("sts").get_caller_identity()["Account"] == ACCOUNT
    assert server.role("someone").split(":")[4] == ACCOUNT


def test_aws_managed_policies_are_there(server: Server) -> None:
    server.role("reader")
    arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    server.client("iam").attach_role_policy(RoleName="reader", PolicyArn=arn)
    attached = server.client("iam").list_attached_role_policies(RoleName="reader")["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [arn]


TLS_ONLY = {
    "Sid": "tls", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}  # fmt: skip


class TestS3:
    def policy(self, name: str, *statements: dict[str, Any]) -> str:
        resources = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
        return json.dumps({"Version": "2012-10-17", "Statement": [{"Resource": resources} | one for one in statements]})

    def test_a_policy_that_refuses_plain_http_refuses_nobody_here(self, server: Server) -> None:
        s3 = bucket(server, "tls")
        s3.put_bucket_policy(Bucket="tls", Policy=self.policy("tls", TLS_ONLY))
        s3.put_object(Bucket="tls", Key="a", Body=b"1")
        assert s3.get_object(Bucket="tls", Key="a")["Body"].read() == b"1"

    def test_a_policy_that_denies_one_role_denies_only_it(self, server: Server) -> None:
        s3 = bucket(server, "denied")
        s3.put_object(Bucket="denied", Key="a", Body=b"1")
        role = server.role("outsider", "sagemaker.amazonaws.com")
        statement = {"Effect": "Deny", "Principal": {"AWS": role}, "Action": "s3:GetObject"}
        s3.put_bucket_policy(Bucket="denied", Policy=self.policy("denied", statement))
        given = server.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
        outsider = server.client(
            "s3", aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )  # fmt: skip
        assert refused(outsider.get_object, Bucket="denied", Key="a")["Status"] == 403
        assert s3.get_object(Bucket="denied", Key="a")["Body"].read() == b"1"

    def test_a_policy_that_wants_encryption_looks_at_the_request(self, server: Server) -> None:
        s3 = bucket(server, "encrypted")
        unencrypted = {
            "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
            "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
        }  # fmt: skip
        s3.put_bucket_policy(Bucket="encrypted", Policy=self.policy("encrypted", unencrypted))
        assert refused(s3.put_object, Bucket="encrypted", Key="a", Body=b"1")["Status"] == 403
        s3.put_object(Bucket="encrypted", Key="a", Body=b"1", ServerSideEncryption="aws:kms")

    def test_logging_to_a_bucket_whose_policy_names_everybody(self, server: Server) -> None:
        s3 = bucket(server, "logged")
        bucket(server, "access-logs")
        allow = {
            "Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject",
            "Resource": "arn:aws:s3:::access-logs/*",
        }  # fmt: skip
        s3.put_bucket_policy(Bucket="access-logs", Policy=self.policy("access-logs", TLS_ONLY, allow))
        logging = {"LoggingEnabled": {"TargetBucket": "access-logs", "TargetPrefix": "logged/"}}
        s3.put_bucket_logging(Bucket="logged", BucketLoggingStatus=logging)
        assert s3.get_bucket_logging(Bucket="logged")["LoggingEnabled"] == logging["LoggingEnabled"]
        assert "Contents" not in s3.list_objects_v2(Bucket="access-logs")

    def test_event_bridge_notifications_are_kept_and_sent(self, server: Server) -> None:
        s3 = bucket(server, "notifying")
        s3.put_bucket_notification_configuration(
            Bucket="notifying", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        assert s3.get_bucket_notification_configuration(Bucket="notifying")["EventBridgeConfiguration"] == {}
        url, arn = server.queue("s3-events")
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["notifying"]}}}
        events = server.client("events")
        events.put_rule(Name="s3", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="s3", Targets=[{"Id": "1", "Arn": arn}])
        s3.put_object(Bucket="notifying", Key="new", Body=b"1")
        (message,) = server.messages(url)
        assert message["document"]["detail-type"] == "Object Created"
        assert message["document"]["detail"]["object"]["key"] == "new"


def test_kms_keeps_the_rotation_period(server: Server) -> None:
    kms = server.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=180)
    status = kms.get_key_rotation_status(KeyId=key)
    assert status["KeyRotationEnabled"] is True and status["RotationPeriodInDays"] == 180
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.enable_key_rotation(KeyId=other)
    assert kms.get_key_rotation_status(KeyId=other)["RotationPeriodInDays"] == 365


def test_lambda_keeps_dead_letters_and_logging(server: Server) -> None:
    _, dead = server.queue("lambda-dead")
    logging = {"LogFormat": "JSON", "LogGroup": "/own/group", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN"}
    server.function("kept", "", DeadLetterConfig={"TargetArn": dead}, LoggingConfig=logging)
    api = server.client("lambda")
    found = api.get_function_configuration(FunctionName="kept")
    assert found["DeadLetterConfig"] == {"TargetArn": dead} and found["LoggingConfig"] == logging
    api.update_function_configuration(FunctionName="kept", Description="other")
    assert api.get_function(FunctionName="kept")["Configuration"]["DeadLetterConfig"] == {"TargetArn": dead}
    server.function("plain", "")
    plain = api.get_function_configuration(FunctionName="plain")
    assert plain["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/plain"}
    assert "DeadLetterConfig" not in plain


def test_a_permission_is_given_once(server: Server) -> None:
    server.function("permitted", "")
    permission = {
        "FunctionName": "permitted", "StatementId": "one", "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
    }  # fmt: skip
    api = server.client("lambda")
    api.add_permission(**permission)
    error = refused(api.add_permission, **permission)
    assert error["Code"] == "ResourceConflictException" and error["Status"] == 409
    assert len(json.loads(api.get_policy(FunctionName="permitted")["Policy"])["Statement"]) == 1


def test_an_event_source_mapping_on_an_alias_keeps_the_alias(server: Server) -> None:
    _, queue = server.queue("mapped")
    server.function("mapped", "def handler(event, context): pass")
    api = server.client("lambda")
    version = api.publish_version(FunctionName="mapped")["Version"]
    api.create_alias(FunctionName="mapped", Name="live", FunctionVersion=version)
    alias = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:mapped:live"
    mapping = api.create_event_source_mapping(FunctionName=alias, EventSourceArn=queue)
    assert api.get_event_source_mapping(UUID=mapping["UUID"])["FunctionArn"] == alias


def test_the_configuration_of_asynchronous_calls_can_be_changed(server: Server) -> None:
    server.function("configured", "")
    api = server.client("lambda")
    api.put_function_event_invoke_config(FunctionName="configured", MaximumRetryAttempts=2)
    api.put_function_event_invoke_config(FunctionName="configured", MaximumRetryAttempts=1)
    api.update_function_event_invoke_config(FunctionName="configured", MaximumEventAgeInSeconds=60)
    found = api.get_function_event_invoke_config(FunctionName="configured")
    assert found["MaximumRetryAttempts"] == 1 and found["MaximumEventAgeInSeconds"] == 60


def test_an_alias_keeps_its_own_configuration_of_asynchronous_calls(server: Server) -> None:
    server.function("aliased", "")
    api = server.client("lambda")
    version = api.publish_version(FunctionName="aliased")["Version"]
    api.create_alias(FunctionName="aliased", Name="live", FunctionVersion=version)
    api.put_function_event_invoke_config(FunctionName="aliased", Qualifier="live", MaximumRetryAttempts=0)
    refused(api.get_function_event_invoke_config, FunctionName="aliased")
    api.update_function_configuration(FunctionName="aliased", Description="another")
    newer = api.publish_version(FunctionName="aliased")["Version"]
    api.update_alias(FunctionName="aliased", Name="live", FunctionVersion=newer)
    found = api.get_function_event_invoke_config(FunctionName="aliased", Qualifier="live")
    assert newer != version and found["MaximumRetryAttempts"] == 0
    listed = api.list_function_event_invoke_configs(FunctionName="aliased")["FunctionEventInvokeConfigs"]
    assert [item["FunctionArn"].rsplit(":", 1)[-1] for item in listed] == ["live"]
    api.delete_function_event_invoke_config(FunctionName="aliased", Qualifier="live")
    refused(api.get_function_event_invoke_config, FunctionName="aliased", Qualifier="live")


def test_sqs_answers_the_redrive_policy_as_it_was_sent(server: Server) -> None:
    _, dead = server.queue("redrive-dead")
    url, _ = server.queue("redrive")
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 3}, separators=(",", ":"))
    server.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    found = server.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    assert found["Attributes"]["RedrivePolicy"] == policy


def test_security_group_rules_keep_their_descriptions(server: Server) -> None:
    ec2 = server.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    first, second = (
        ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"] for name in ("one", "two")
    )
    prefix = ec2.create_managed_prefix_list(PrefixListName="list", MaxEntries=1, AddressFamily="IPv4")
    prefix_id = prefix["PrefixList"]["PrefixListId"]
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    pairs = [{"GroupId": second, "Description": "a group"}]
    lists = [{"PrefixListId": prefix_id, "Description": "a list"}]
    ec2.authorize_security_group_ingress(GroupId=first, IpPermissions=[https | {"UserIdGroupPairs": pairs}])
    ec2.authorize_security_group_egress(GroupId=first, IpPermissions=[https | {"PrefixListIds": lists}])
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [first]}])["SecurityGroupRules"]
    assert {rule.get("Description") for rule in rules} >= {"a group", "a list"}
    (found,) = ec2.describe_security_groups(GroupIds=[first])["SecurityGroups"]
    assert found["IpPermissionsEgress"][-1]["PrefixListIds"] == [{"PrefixListId": prefix_id, "Description": "a list"}]


def test_the_endpoint_service_of_tracking_servers_is_listed(server: Server) -> None:
    ec2 = server.client("ec2")
    region = ec2.meta.region_name
    for name in (f"aws.sagemaker.{region}.experiments", f"com.amazonaws.{region}.sagemaker.api"):
        (found,) = ec2.describe_vpc_endpoint_services(ServiceNames=[name])["ServiceDetails"]
        assert found["ServiceName"] == name and found["VpcEndpointPolicySupported"]
        assert len(found["AvailabilityZones"]) >= 2 and found["ServiceType"] == [{"ServiceType": "Interface"}]


def test_a_composite_alarm(server: Server) -> None:
    cloudwatch = server.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="child", Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    cloudwatch.put_composite_alarm(AlarmName="both", AlarmRule='ALARM("child")')
    found = cloudwatch.describe_alarms(AlarmNames=["both"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert [(alarm["AlarmName"], alarm["AlarmRule"]) for alarm in found] == [("both", 'ALARM("child")')]


def test_budgets_have_subscribers_tags_and_can_be_changed(server: Server) -> None:
    budgets = server.client("budgets")
    notification = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0}
    mail = {"SubscriptionType": "EMAIL", "Address": "ml@example.com"}
    other = {"SubscriptionType": "EMAIL", "Address": "ops@example.com"}
    budget = {
        "BudgetName": "monthly", "BudgetType": "COST", "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": "200", "Unit": "USD"},
    }  # fmt: skip
    budgets.create_budget(
        AccountId=ACCOUNT, Budget=budget, ResourceTags=[{"Key": "a", "Value": "1"}],
        NotificationsWithSubscribers=[{"Notification": notification, "Subscribers": [mail]}],
    )  # fmt: skip
    which: dict[str, Any] = {"AccountId": ACCOUNT, "BudgetName": "monthly", "Notification": notification}
    assert budgets.describe_subscribers_for_notification(**which)["Subscribers"] == [mail]
    budgets.create_subscriber(**which, Subscriber=other)
    budgets.delete_subscriber(**which, Subscriber=mail)
    assert budgets.describe_subscribers_for_notification(**which)["Subscribers"] == [other]
    limit = {"Amount": "300", "Unit": "USD"}
    budgets.update_budget(AccountId=ACCOUNT, NewBudget=budget | {"BudgetLimit": limit})
    found = budgets.describe_budget(AccountId=ACCOUNT, BudgetName="monthly")["Budget"]
    assert found["BudgetLimit"] == limit
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/monthly"
    budgets.tag_resource(ResourceARN=arn, ResourceTags=[{"Key": "b", "Value": "2"}])
    budgets.untag_resource(ResourceARN=arn, ResourceTagKeys=["a"])
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "b", "Value": "2"}]
    assert refused(budgets.update_budget, AccountId=ACCOUNT, NewBudget=budget | {"BudgetName": "no"})["Code"] == (
        "NotFoundException"
    )


def test_scalable_targets_have_tags(server: Server) -> None:
    scaling = server.client("application-autoscaling")
    arn = scaling.register_scalable_target(
        ServiceNamespace="sagemaker", ResourceId="endpoint/e/variant/main", MinCapacity=1, MaxCapacity=2,
        ScalableDimension="sagemaker:variant:DesiredInstanceCount", Tags={"a": "1"},
    )["ScalableTargetARN"]  # fmt: skip
    scaling.tag_resource(ResourceARN=arn, Tags={"b": "2"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"b": "2"}


def test_mlflow_tracking_servers(server: Server) -> None:
    sagemaker = server.client("sagemaker")
    role = server.role("mlflow", "sagemaker.amazonaws.com")
    arn = sagemaker.create_mlflow_tracking_server(
        TrackingServerName="tracking", ArtifactStoreUri="s3://bucket/mlflow", RoleArn=role,
        Tags=[{"Key": "team", "Value": "ml"}],
    )["TrackingServerArn"]  # fmt: skip
    found = sagemaker.describe_mlflow_tracking_server(TrackingServerName="tracking")
    assert found["TrackingServerStatus"] == "Created" and found["TrackingServerArn"] == arn
    assert found["TrackingServerSize"] == "Small" and found["WeeklyMaintenanceWindowStart"] == "Tue:03:00"
    sagemaker.update_mlflow_tracking_server(TrackingServerName="tracking", TrackingServerSize="Medium")
    found = sagemaker.describe_mlflow_tracking_server(TrackingServerName="tracking")
    assert found["TrackingServerSize"] == "Medium"
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "ml"}]
    names = [one["TrackingServerName"] for one in sagemaker.list_mlflow_tracking_servers()["TrackingServerSummaries"]]
    assert names == ["tracking"]
    sagemaker.delete_mlflow_tracking_server(TrackingServerName="tracking")
    error = refused(sagemaker.describe_mlflow_tracking_server, TrackingServerName="tracking")
    assert error["Code"] == "ResourceNotFound"


def test_schedule_expressions_are_checked(server: Server) -> None:
    events, scheduler = server.client("events"), server.client("scheduler")
    for expression in ("rate(1 hours)", "rate(0 minutes)", "cron(0 10 * * * *)", "cron(61 * * * ? *)", "every day"):
        error = refused(events.put_rule, Name="bad", ScheduleExpression=expression)
        assert error["Code"] == "ValidationException" and "ScheduleExpression" in error["Message"]
        error = refused(
            scheduler.create_schedule, Name="bad", ScheduleExpression=expression, FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": "arn:aws:sqs:eu-west-1:444455556666:q", "RoleArn": "arn:aws:iam::444455556666:role/r"},
        )  # fmt: skip
        assert error["Code"] == "ValidationException"


def test_what_other_services_send_to_a_function_arrives(server: Server) -> None:
    url, _ = server.queue("arrived")
    source = (
        f"import boto3, json\ndef handler(event, context):\n"
        f"    boto3.client('sqs').send_message(QueueUrl={url!r}, MessageBody=json.dumps(event))"
    )
    function = server.function("receiver", source)
    sns = server.client("sns")
    topic = sns.create_topic(Name="topic")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    sns.publish(TopicArn=topic, Message="hello")
    (message,) = server.messages(url)
    assert message["document"]["Records"][0]["Sns"]["Message"] == "hello"
    eventually(lambda: server.admin("GET", "events")["events"][0]["deliveries"][0]["state"] == "delivered")


def test_objects_are_deleted_again_after_versions_were_suspended(server: Server) -> None:
    s3 = bucket(server, "suspended")
    for status in ("Enabled", "Suspended"):
        s3.put_bucket_versioning(Bucket="suspended", VersioningConfiguration={"Status": status})
        s3.put_object(Bucket="suspended", Key="a", Body=status.encode())
        s3.delete_object(Bucket="suspended", Key="a")
        s3.delete_object(Bucket="suspended", Key="a")
    assert "Contents" not in s3.list_objects_v2(Bucket="suspended")


def test_quotas_of_sagemaker_are_listed_and_raised(server: Server) -> None:
    client = server.client("service-quotas")
    pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    quotas = {quota["QuotaName"]: quota for page in pages for quota in page["Quotas"]}
    found = quotas["ml.m5.xlarge for endpoint usage"]
    assert {"ml.m5.xlarge for training job usage", "ml.m5.xlarge for spot training job usage"} <= set(quotas)
    named = {"ServiceCode": "sagemaker", "QuotaCode": found["QuotaCode"]}
    client.request_service_quota_increase(**named, DesiredValue=found["Value"] + 1)
    assert client.get_service_quota(**named)["Quota"]["Value"] == found["Value"] + 1
    unknown = refused(client.get_service_quota, ServiceCode="sagemaker", QuotaCode="L-00000000")
    assert unknown["Code"] == "NoSuchResourceException"


def test_a_deleted_nat_gateway_gives_its_address_back(server: Server) -> None:
    ec2 = server.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    for _ in range(2):
        made = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
        ec2.delete_nat_gateway(NatGatewayId=made)
    (found,) = ec2.describe_addresses(AllocationIds=[address])["Addresses"]
    assert "AssociationId" not in found
    interfaces = ec2.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [subnet]}])
    assert not interfaces["NetworkInterfaces"]
