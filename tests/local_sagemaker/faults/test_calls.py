"""Faults that strike calls, events and roles, as an SDK sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import botocore.parsers
import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.local_sagemaker.platform.conftest import ACCOUNT, Server, zipped
from tests.waiting import eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("state"))
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _calm_afterwards(server: Server) -> Iterator[None]:
    yield
    server.admin("DELETE", "faults")


def put(server: Server, *faults: dict[str, Any]) -> None:
    answer = server.admin("PUT", "faults", list(faults))
    assert "status" not in answer, answer


def struck(server: Server) -> list[int]:
    return [one["struck"] for one in server.admin("GET", "faults")["faults"]]


#: Protocol by protocol: a call that reads, the codes of throttling and of an internal error.
CALLS: dict[str, tuple[str, dict[str, Any], str, str, str]] = {
    "sagemaker": ("list_models", {}, "ListModels", "ThrottlingException", "InternalFailure"),
    "iam": ("list_roles", {}, "ListRoles", "Throttling", "InternalFailure"),
    "s3": ("list_buckets", {}, "ListBuckets", "SlowDown", "InternalError"),
    "ec2": ("describe_vpcs", {}, "DescribeVpcs", "RequestLimitExceeded", "InternalError"),
    "lambda": ("list_functions", {}, "ListFunctions", "TooManyRequestsException", "InternalFailure"),
    "events": ("list_rules", {}, "ListRules", "ThrottlingException", "InternalFailure"),
    "cloudwatch": ("describe_alarms", {}, "DescribeAlarms", "Throttling", "InternalFailure"),
    "logs": ("describe_log_groups", {}, "DescribeLogGroups", "ThrottlingException", "InternalFailure"),
    "sagemaker-runtime": (
        "invoke_endpoint", {"EndpointName": "none", "Body": b""}, "InvokeEndpoint", "ThrottlingException",
        "InternalFailure",
    ),
}  # fmt: skip


@pytest.mark.parametrize("service", CALLS)
def test_every_protocol_has_its_errors(server: Server, service: str) -> None:
    method, request, operation, throttled, internal = CALLS[service]
    call = getattr(server.client(service), method)
    put(
        server,
        {"name": "throttling", "service": service, "operation": operation, "times": 1},
        {"name": "error-before", "service": service, "operation": operation, "times": 1},
        {"name": "quota", "service": "another", "operation": operation},
    )
    codes = []
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            call(**request)
        codes.append(caught.value.response["Error"]["Code"])
        assert caught.value.response["Error"]["Message"]
    assert codes == [throttled, internal]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert struck(server) == [1, 1, 0]
    if service != "sagemaker-runtime":
        call(**request)


def test_the_binary_protocol_of_newer_sdks(server: Server) -> None:
    put(server, {"name": "throttling", "service": "cloudwatch", "times": 1})
    answer = urllib3.request(
        "POST", f"{server.info.endpoint_url}/service/GraniteServiceVersion20100801/operation/DescribeAlarms",
        body=b"\xa0",
        headers={
            "smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor",
            "Authorization": "AWS4-HMAC-SHA256 Credential=AK/20261101/eu-west-1/monitoring/aws4_request, Signature=x",
        },
    )  # fmt: skip
    assert (answer.status, answer.headers["smithy-protocol"]) == (400, "rpc-v2-cbor")
    shape = server.client("cloudwatch").meta.service_model.operation_model("DescribeAlarms").output_shape
    response = {"status_code": answer.status, "headers": answer.headers, "body": answer.data}
    error = botocore.parsers.create_parser("smithy-rpc-v2-cbor").parse(response, shape)["Error"]
    assert (error["Code"], error["Message"]) == ("Throttling", "Rate exceeded")


def test_an_error_before_does_nothing_and_one_after_does_it_all(server: Server) -> None:
    s3, iam, sagemaker = server.client("s3"), server.client("iam"), server.client("sagemaker")
    s3.create_bucket(Bucket="faulty", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for name, done in (("error-before", False), ("error-after", True)):
        for service, operation in (
            ("s3", "PutObject"),
            ("iam", "CreateUser"),
            ("sagemaker", "CreateModelPackageGroup"),
        ):
            put(server, {"name": name, "service": service, "operation": operation, "times": 1})
            with pytest.raises(ClientError, match=r"Internal(Error|Failure)"):
                match service:
                    case "s3":
                        s3.put_object(Bucket="faulty", Key=name, Body=b"body")
                    case "iam":
                        iam.create_user(UserName=name)
                    case _:
                        sagemaker.create_model_package_group(ModelPackageGroupName=name)
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket="faulty").get("Contents", [])]
        users = [one["UserName"] for one in iam.list_users()["Users"]]
        groups = sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
        names = [one["ModelPackageGroupName"] for one in groups]
        assert [name in keys, name in users, name in names] == [done] * 3
    assert s3.get_object(Bucket="faulty", Key="error-after")["Body"].read() == b"body"


def test_a_call_that_fails_by_itself_is_not_struck_afterwards(server: Server) -> None:
    put(server, {"name": "error-after", "service": "iam"})
    with pytest.raises(ClientError, match="NoSuchEntity"):
        server.client("iam").get_user(UserName="nobody")
    assert struck(server) == [0]


def test_a_quota_is_refused_in_the_words_of_the_service(server: Server) -> None:
    put(server, {"name": "quota"})
    with pytest.raises(ClientError, match=r"ResourceLimitExceeded.*service limit for CreateEndpoint is 0"):
        server.client("sagemaker").create_endpoint(EndpointName="e", EndpointConfigName="c")
    with pytest.raises(ClientError, match="Could not find endpoint"):
        server.client("sagemaker").delete_endpoint(EndpointName="e")


def listening(server: Server, name: str) -> str:
    """The URL of a queue that gets the events of source ``name``."""
    url, arn = server.queue(name)
    events = server.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    return url


def send(server: Server, source: str, *numbers: int) -> None:
    entries = [{"Source": source, "DetailType": "test", "Detail": json.dumps({"n": number})} for number in numbers]
    server.client("events").put_events(Entries=entries)


def arrived(server: Server, url: str) -> list[int]:
    """What is in the queue once nothing waits."""
    eventually(lambda: not server.admin("GET", "health")["events_waiting"])
    found: list[int] = []
    while True:
        messages = server.client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600
        ).get("Messages")  # fmt: skip
        if not messages:
            return sorted(found)
        found += [json.loads(message["Body"])["detail"]["n"] for message in messages]


def test_events_that_come_twice_late_or_never(server: Server) -> None:
    url = listening(server, "shop")
    put(server, {"name": "event-twice", "service": "shop", "operation": "test", "times": 1})
    send(server, "shop", 1, 2)
    assert arrived(server, url) == [1, 1, 2]
    put(server, {"name": "event-lost", "service": "shop", "times": 1})
    send(server, "shop", 3, 4)
    assert arrived(server, url) == [4]
    put(server, {"name": "event-late", "service": "shop", "seconds": 300, "times": 1})
    send(server, "shop", 5, 6)
    assert arrived(server, url) == [6]
    server.admin("POST", "clock", {"advance": 300})
    assert arrived(server, url) == [5]


TRUST = {
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"},
    ]
}


def test_a_new_role_is_not_assumable_for_a_while(server: Server) -> None:
    put(server, {"name": "role-not-yet-assumable", "seconds": 60, "resource": "late-*"})
    iam, sts, sagemaker = server.client("iam"), server.client("sts"), server.client("sagemaker")
    other = iam.create_role(RoleName="prompt", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    late = iam.create_role(RoleName="late-1", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    sts.assume_role(RoleArn=other, RoleSessionName="session")

    def model(name: str) -> None:
        container = {"Image": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/x:1"}
        sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=late)

    with pytest.raises(ClientError, match=r"AccessDenied.*is not authorized to perform: sts:AssumeRole on resource"):
        sts.assume_role(RoleArn=late, RoleSessionName="session")
    with pytest.raises(ClientError, match="Could not assume role"):
        model("m")
    spec = {"Runtime": "python3.12", "Handler": "app.handler", "Code": {"ZipFile": zipped({"app.py": ""})}}
    with pytest.raises(ClientError, match="The role defined for the function cannot be assumed by Lambda"):
        server.client("lambda").create_function(FunctionName="f", Role=late, **spec)
    server.admin("POST", "clock", {"advance": 60})
    sts.assume_role(RoleArn=late, RoleSessionName="session")
    server.client("lambda").create_function(FunctionName="f", Role=late, **spec)
    model("m")


def test_what_is_no_list_of_faults_is_refused(server: Server) -> None:
    put(server, {"name": "quota"})
    answer = server.admin("PUT", "faults", {"name": "quota"})
    assert answer["status"] == 400 and "expected a list of faults" in answer["message"]
    assert [one["name"] for one in server.admin("GET", "faults")["faults"]] == ["quota"]
    assert server.admin("DELETE", "faults") == {"faults": []}


@pytest.mark.parametrize("service", ["sagemaker", "s3", "logs", "sagemaker-runtime"])
def test_a_fault_of_one_caller_lets_the_others_pass(server: Server, service: str) -> None:
    method, request, operation, throttled, _ = CALLS[service]
    put(server, {"name": "throttling", "service": service, "operation": operation, "access_key": "AKIAONE*"})
    codes = []
    for key in ("AKIAONE1", "AKIAANOTHER"):
        client = server.client(service, aws_access_key_id=key)
        try:
            getattr(client, method)(**request)
            codes.append("")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    assert codes[0] == throttled and codes[1] != throttled
    assert struck(server) == [1]
