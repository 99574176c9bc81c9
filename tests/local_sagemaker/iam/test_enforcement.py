"""What a role may not is refused, in every protocol; what it may is done."""

from __future__ import annotations

import json
from typing import Any

import botocore.exceptions
import pytest

from tests.local_sagemaker.iam.conftest import ACCOUNT, REGION, Actor, Guarded, allow, document, token

SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
DENIALS = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")


def outcome(call: Any, **arguments: Any) -> str:
    """``denied``, or ``passed`` (whatever the service itself says then)."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "InternalFailure":
            raise
        return "denied" if code in DENIALS else "passed"
    return "passed"


def message(call: Any, **arguments: Any) -> str:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Message"])


def test_the_account_itself_may_everything(server: Guarded) -> None:
    assert server.client("iam").list_roles()["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("s3", "list_buckets", {}),
        ("s3", "get_object", {"Bucket": "plain", "Key": "data/a"}),
        ("s3", "list_objects_v2", {"Bucket": "plain"}),
        ("s3", "put_bucket_policy", {"Bucket": "plain", "Policy": "{}"}),
        ("s3", "delete_objects", {"Bucket": "plain", "Delete": {"Objects": [{"Key": "data/a"}]}}),
        ("sagemaker", "describe_endpoint", {"EndpointName": "x"}),
        ("sagemaker", "list_models", {}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "x", "Body": b"x"}),
        ("iam", "get_role", {"RoleName": "x"}),
        ("lambda", "list_functions", {}),
        ("lambda", "invoke", {"FunctionName": "x"}),
        ("kms", "create_key", {}),
        ("ecr", "get_authorization_token", {}),
        ("sqs", "list_queues", {}),
        ("sns", "list_topics", {}),
        ("events", "put_rule", {"Name": "x", "ScheduleExpression": "rate(1 day)"}),
        ("logs", "describe_log_groups", {}),
        ("cloudwatch", "describe_alarms", {}),
        ("ec2", "describe_vpcs", {}),
        ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "sagemaker"}),
        ("service-quotas", "list_service_quotas", {"ServiceCode": "sagemaker"}),
        ("budgets", "describe_budgets", {"AccountId": ACCOUNT}),
    ],
)
def test_a_role_without_policies_may_nothing(
    nobody: Actor, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    assert outcome(getattr(nobody.client(service), operation), **arguments) == "denied"


@pytest.fixture(scope="module")
def nobody(server: Guarded) -> Actor:
    return server.allow()


def test_who_am_i_is_answered_to_everybody(nobody: Actor) -> None:
    assert nobody.client("sts").get_caller_identity()["Account"] == ACCOUNT


def test_the_message_is_aws_sentence(nobody: Actor) -> None:
    text = message(nobody.client("sagemaker").describe_endpoint, EndpointName="Demo")
    name = nobody.role_arn.rpartition("/")[2]
    assert text == (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{name}/test is not authorized to perform: "
        f"sagemaker:DescribeEndpoint on resource: {SAGEMAKER}:endpoint/demo because no identity-based policy allows "
        "the sagemaker:DescribeEndpoint action"
    )


def test_a_statement_opens_its_resource_and_no_other(server: Guarded) -> None:
    actor = server.allow(
        allow("s3:GetObject", "arn:aws:s3:::plain/data/*"),
        allow("s3:ListBucket", "arn:aws:s3:::plain", {"StringLike": {"s3:prefix": "data/*"}}),
        allow("sagemaker:DescribeEndpoint", f"{SAGEMAKER}:endpoint/mine-*"),
    )
    s3, sagemaker = actor.client("s3"), actor.client("sagemaker")
    assert outcome(s3.get_object, Bucket="plain", Key="data/a") == "passed"
    assert outcome(s3.head_object, Bucket="plain", Key="data/a") == "passed"
    assert outcome(s3.get_object, Bucket="plain", Key="other/a") == "denied"
    assert outcome(s3.put_object, Bucket="plain", Key="data/b", Body=b"") == "denied"
    assert outcome(s3.list_objects_v2, Bucket="plain", Prefix="data/") == "passed"
    assert outcome(s3.list_objects_v2, Bucket="plain") == "denied"
    assert outcome(s3.copy_object, Bucket="plain", Key="data/c", CopySource="plain/data/a") == "denied"
    assert outcome(sagemaker.describe_endpoint, EndpointName="mine-1") == "passed"
    assert outcome(sagemaker.describe_endpoint, EndpointName="theirs") == "denied"


def test_a_deny_wins_over_an_allow(server: Guarded) -> None:
    actor = server.allow(
        allow("s3:*", "*"), {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::plain/*"}
    )
    s3 = actor.client("s3")
    assert outcome(s3.put_object, Bucket="plain", Key="tmp", Body=b"x") == "passed"
    assert "explicit deny" in message(s3.delete_object, Bucket="plain", Key="tmp")
    assert outcome(s3.delete_objects, Bucket="plain", Delete={"Objects": [{"Key": "tmp"}]}) == "denied"


def test_a_deny_of_plain_http_does_not_hit_loopback(server: Guarded) -> None:
    actor = server.allow(
        allow("s3:GetObject", "*"),
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
    )
    assert outcome(actor.client("s3").get_object, Bucket="plain", Key="data/a") == "passed"


def test_a_boundary_must_allow_too(server: Guarded) -> None:
    actor = server.allow(allow("*", "*"), boundary=[allow("s3:*", "*")])
    assert outcome(actor.client("s3").get_object, Bucket="plain", Key="data/a") == "passed"
    assert "no permissions boundary allows" in message(actor.client("sagemaker").list_models)


def test_a_bucket_policy_can_refuse_whom_a_role_allows(server: Guarded) -> None:
    actor = server.allow(allow("s3:*", "*"))
    server.client("s3").put_bucket_policy(
        Bucket="guarded",
        Policy=document(
            [
                {
                    "Effect": "Deny",
                    "Principal": {"AWS": actor.role_arn},
                    "Action": "s3:GetObject",
                    "Resource": "arn:aws:s3:::guarded/other/*",
                }
            ]
        ),
    )
    s3 = actor.client("s3")
    assert outcome(s3.get_object, Bucket="guarded", Key="data/a") == "passed"
    assert outcome(s3.get_object, Bucket="guarded", Key="other/a") == "denied"


def test_a_bucket_policy_can_allow_who_has_nothing(server: Guarded, nobody: Actor) -> None:
    policy = document(
        [{"Effect": "Allow", "Principal": {"AWS": nobody.role_arn}, "Action": "s3:GetObject",
          "Resource": "arn:aws:s3:::sealed/data/*"}]
    )  # fmt: skip
    server.client("s3").put_bucket_policy(Bucket="sealed", Policy=policy)
    try:
        assert outcome(nobody.client("s3").get_object, Bucket="sealed", Key="data/a") == "passed"
        assert outcome(nobody.client("s3").get_object, Bucket="sealed", Key="other/a") == "denied"
    finally:
        server.client("s3").delete_bucket_policy(Bucket="sealed")


def test_a_role_is_handed_on_only_by_who_may_pass_it(server: Guarded) -> None:
    job = server.allow(name="handed").role_arn
    create = allow("sagemaker:CreateModel", f"{SAGEMAKER}:model/*")
    request = {"ModelName": "m", "ExecutionRoleArn": job, "PrimaryContainer": {"Image": "image"}}
    without = server.allow(create)
    assert f"iam:PassRole on resource: {job}" in message(without.client("sagemaker").create_model, **request)
    other = server.allow(
        create, allow("iam:PassRole", job, {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}})
    )
    assert outcome(other.client("sagemaker").create_model, **request) == "denied"
    passed = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    right = server.allow(create, allow("iam:PassRole", job, passed))
    assert outcome(right.client("sagemaker").create_model, **request) == "passed"


def test_an_encrypted_bucket_needs_its_key_too(server: Guarded) -> None:
    kms, s3 = server.client("kms"), server.client("s3")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.put_bucket_encryption(
        Bucket="sealed",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}]
        },
    )
    objects = allow(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::sealed/*")
    without = server.allow(objects).client("s3")
    assert "kms:GenerateDataKey" in message(without.put_object, Bucket="sealed", Key="new", Body=b"x")
    reads = server.allow(objects, allow("kms:Decrypt", key)).client("s3")
    assert outcome(reads.put_object, Bucket="sealed", Key="new", Body=b"x") == "denied"
    via = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    both = server.allow(objects, allow(["kms:Decrypt", "kms:GenerateDataKey"], key, via)).client("s3")
    assert outcome(both.put_object, Bucket="sealed", Key="new", Body=b"x") == "passed"
    assert outcome(both.get_object, Bucket="sealed", Key="new") == "passed"
    assert outcome(without.get_object, Bucket="sealed", Key="new") == "denied"


def test_a_key_is_known_by_its_alias(server: Guarded) -> None:
    kms = server.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    named = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/state"}}
    actor = server.allow(allow("kms:DescribeKey", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/*", named)).client("kms")
    assert outcome(actor.describe_key, KeyId=key) == "denied"
    kms.create_alias(AliasName="alias/state", TargetKeyId=key)
    assert outcome(actor.describe_key, KeyId=key) == "passed"
    assert outcome(actor.describe_key, KeyId="alias/state") == "passed"


def test_a_key_policy_decides_about_its_key(server: Guarded) -> None:
    owner = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:Put*",
        "Resource": "*",
    }
    key = server.client("kms").create_key(Policy=document([owner]))["KeyMetadata"]["Arn"]
    actor = server.allow(allow("kms:*", "*"))
    assert "no resource-based policy allows" in message(actor.client("kms").encrypt, KeyId=key, Plaintext=b"x")


def test_tags_of_a_create_call_need_their_own_permission(server: Guarded) -> None:
    group = f"{SAGEMAKER}:model-package-group/tagged"
    create = allow("sagemaker:CreateModelPackageGroup", group)
    request = {"ModelPackageGroupName": "tagged", "Tags": [{"Key": "Project", "Value": "x"}]}
    assert "sagemaker:AddTags" in message(
        server.allow(create).client("sagemaker").create_model_package_group, **request
    )
    only = allow("sagemaker:AddTags", group, {"StringEquals": {"aws:RequestTag/Project": "y"}})
    assert outcome(server.allow(create, only).client("sagemaker").create_model_package_group, **request) == "denied"
    right = allow("sagemaker:AddTags", group, {"StringEquals": {"aws:RequestTag/Project": "x"}})
    assert outcome(server.allow(create, right).client("sagemaker").create_model_package_group, **request) == "passed"


def test_networks_are_told_apart_by_their_tags(server: Guarded) -> None:
    """What is made must say whose it is; what is there, and what it is made in, must be theirs who ask."""
    base, ours = f"arn:aws:ec2:{REGION}:{ACCOUNT}", [{"Key": "Project", "Value": "ours"}]
    admin = server.client("ec2")
    theirs = admin.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    own = admin.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    admin.create_tags(Resources=[own], Tags=ours)
    group = admin.create_security_group(GroupName="g", Description="g", VpcId=own)["GroupId"]
    asked = {"StringEquals": {"aws:RequestTag/Project": "ours"}}
    held = {"StringEquals": {"aws:ResourceTag/Project": "ours"}}
    ec2 = server.allow(
        allow("ec2:CreateSubnet", f"{base}:subnet/*", asked),
        allow("ec2:AuthorizeSecurityGroupIngress", f"{base}:security-group-rule/*", asked),
        allow("ec2:*", f"{base}:*/*", held),
        allow("ec2:CreateTags", f"{base}:*/*", {"StringEquals": {"ec2:CreateAction": "CreateSubnet"}}),
    ).client("ec2")
    tagged = {"TagSpecifications": [{"ResourceType": "subnet", "Tags": ours}]}
    assert outcome(ec2.create_subnet, VpcId=own, CidrBlock="10.1.1.0/24", **tagged) == "passed"
    assert outcome(ec2.create_subnet, VpcId=own, CidrBlock="10.1.2.0/24") == "denied"
    assert outcome(ec2.create_subnet, VpcId=theirs, CidrBlock="10.0.1.0/24", **tagged) == "denied"
    assert outcome(ec2.modify_vpc_attribute, VpcId=own, EnableDnsSupport={"Value": True}) == "passed"
    assert outcome(ec2.modify_vpc_attribute, VpcId=theirs, EnableDnsSupport={"Value": True}) == "denied"
    assert outcome(ec2.create_tags, Resources=[own], Tags=ours) == "passed"
    assert outcome(ec2.create_tags, Resources=[theirs], Tags=ours) == "denied"
    rule = {"GroupId": group, "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.1.0.0/16"}]}]}
    assert outcome(ec2.authorize_security_group_ingress, **rule) == "denied"
    admin.create_tags(Resources=[group], Tags=ours)
    assert outcome(ec2.authorize_security_group_ingress, **rule) == "passed"


def test_a_role_is_taken_only_by_whom_it_trusts(server: Guarded, nobody: Actor) -> None:
    closed = server.client("iam").create_role(
        RoleName="closed",
        AssumeRolePolicyDocument=document(
            [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]
        ),
    )["Role"]["Arn"]
    allowed = server.allow(allow("sts:AssumeRole", "*"))
    assert outcome(allowed.client("sts").assume_role, RoleArn=closed, RoleSessionName="test") == "denied"
    assert outcome(nobody.client("sts").assume_role, RoleArn=allowed.role_arn, RoleSessionName="test") == "denied"
    assert outcome(allowed.client("sts").assume_role, RoleArn=nobody.role_arn, RoleSessionName="test") == "passed"


HOST = "token.actions.githubusercontent.com"


@pytest.fixture(scope="module")
def workflow_role(server: Guarded) -> str:
    iam = server.client("iam")
    provider = iam.create_open_id_connect_provider(Url=f"https://{HOST}", ClientIDList=["sts.amazonaws.com"])
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider["OpenIDConnectProviderArn"]},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {f"{HOST}:aud": "sts.amazonaws.com", f"{HOST}:sub": "repo:acme/factory:environment:prod"}
        },
    }
    role: str = iam.create_role(RoleName="workflow", AssumeRolePolicyDocument=document([statement]))["Role"]["Arn"]
    return role


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"sub": "repo:acme/factory:environment:prod"}, "passed"),
        ({"sub": "repo:acme/factory:pull_request"}, "denied"),
        ({"sub": "repo:acme/factory:ref:refs/heads/main"}, "denied"),
        ({"sub": "repo:mallory/factory:environment:prod"}, "denied"),
        ({"sub": "repo:acme/factory:environment:prod", "aud": "somebody"}, "denied"),
        ({"sub": "repo:acme/factory:environment:prod", "iss": "https://evil.example.com"}, "denied"),
    ],
)
def test_a_workflow_takes_the_role_of_its_repository_and_environment(
    server: Guarded, workflow_role: str, claims: dict[str, str], expected: str
) -> None:
    said = {"iss": f"https://{HOST}", "aud": "sts.amazonaws.com", **claims}
    found = outcome(
        server.client("sts").assume_role_with_web_identity,
        RoleArn=workflow_role, RoleSessionName="run", WebIdentityToken=token(**said),
    )  # fmt: skip
    assert found == expected


def test_a_presigned_url_is_its_signers_request(server: Guarded, nobody: Actor) -> None:
    url = nobody.client("s3").generate_presigned_url("get_object", Params={"Bucket": "plain", "Key": "data/a"})
    assert server._http.request("GET", url).status == 403
    reader = server.allow(allow("s3:GetObject", "arn:aws:s3:::plain/data/*"))
    url = reader.client("s3").generate_presigned_url("get_object", Params={"Bucket": "plain", "Key": "data/a"})
    assert server._http.request("GET", url).data == b"x"


def test_a_multipart_upload_needs_put_object(server: Guarded) -> None:
    actor = server.allow(allow("s3:PutObject", "arn:aws:s3:::plain/up/*")).client("s3")
    started = actor.create_multipart_upload(Bucket="plain", Key="up/1")["UploadId"]
    part = actor.upload_part(Bucket="plain", Key="up/1", UploadId=started, PartNumber=1, Body=b"x" * 10)
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    actor.complete_multipart_upload(Bucket="plain", Key="up/1", UploadId=started, MultipartUpload=parts)
    assert outcome(actor.abort_multipart_upload, Bucket="plain", Key="up/1", UploadId="x") == "denied"
    assert outcome(actor.create_multipart_upload, Bucket="plain", Key="elsewhere") == "denied"


def test_a_session_policy_narrows_the_role(server: Guarded) -> None:
    wide = server.allow(allow("s3:GetObject", "arn:aws:s3:::plain/*"))
    got = server.client("sts").assume_role(
        RoleArn=wide.role_arn, RoleSessionName="narrow",
        Policy=document([allow("s3:GetObject", "arn:aws:s3:::plain/data/*")]),
    )["Credentials"]  # fmt: skip
    s3 = server.client(
        "s3", aws_access_key_id=got["AccessKeyId"], aws_secret_access_key=got["SecretAccessKey"],
        aws_session_token=got["SessionToken"],
    )  # fmt: skip
    assert outcome(s3.get_object, Bucket="plain", Key="data/a") == "passed"
    assert outcome(s3.get_object, Bucket="plain", Key="other/a") == "denied"


def test_the_switch_refuses_what_it_does_not_know(server: Guarded) -> None:
    assert server.admin("PUT", "iam", {"enforce": "yes"})["status"] == 400
    assert server.admin("PUT", "iam", {"guard": True})["status"] == 400
    assert server.admin("GET", "iam") == {"enforce": True, "record": False}


def test_a_recording_has_what_was_asked_and_by_which_statement(server: Guarded) -> None:
    actor = server.allow(allow("s3:GetObject", "arn:aws:s3:::plain/data/*", Sid="Read"))
    server.admin("PUT", "iam", {"record": True})
    try:
        outcome(actor.client("s3").get_object, Bucket="plain", Key="data/a")
        outcome(actor.client("s3").get_object, Bucket="plain", Key="data/a")
        outcome(actor.client("s3").get_object, Bucket="plain", Key="other/a")
    finally:
        server.admin("PUT", "iam", {"record": False})
    calls = [item for item in server.admin("GET", "iam/recording")["calls"] if item["principal"] == actor.role_arn]
    assert [(item["action"], item["allowed"], item["statements"]) for item in calls] == [
        ("s3:GetObject", True, ["p/Read"]), ("s3:GetObject", False, []),
    ]  # fmt: skip
    assert json.dumps(calls)
