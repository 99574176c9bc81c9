"""What no role may: calls that would hurt, each made with the credentials of the role."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from benchmarks.least_privilege.stack import (
    ACCOUNT,
    ENV,
    ENVIRONMENT,
    HOST,
    PULL_REQUEST,
    READER,
    REGION,
    REPOSITORY,
    Actor,
    Stack,
    token,
)

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")


_EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


@dataclass(frozen=True)
class Attempt:
    """One call. ``why``: what would be lost if it were allowed."""

    role: str
    why: str
    service: str
    operation: str
    arguments: dict[str, Any]


def attempts(stack: Stack) -> list[Attempt]:
    """The table, with this environment's names."""
    names = stack.settings.names
    data, artifacts, state, logs = names.data_bucket, names.artifact_bucket, names.state_bucket, names.log_bucket
    package = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{names.package_group}/1"
    key, signing = names.key_alias, names.signing_key_alias
    ecr = {"repositoryName": names.inference_repository}
    other, boundary = "another-environment-data", f"arn:aws:iam::{ACCOUNT}:policy/{names.prefix}-boundary"
    model = {"ModelName": "stolen", "PrimaryContainer": {"Image": f"{names.registry}/x"}}
    found: list[Attempt] = []

    def no(role: str, why: str, service: str, operation: str, **arguments: Any) -> None:
        found.append(Attempt(role, why, service, operation, arguments))

    def read(role: str, why: str, bucket: str, name: str) -> None:
        no(role, why, "s3", "get_object", Bucket=bucket, Key=name)

    def write(role: str, why: str, bucket: str, name: str) -> None:
        no(role, why, "s3", "put_object", Bucket=bucket, Key=name, Body=b"x")

    def approve(role: str) -> None:
        no(role, "a model approves itself", "sagemaker", "update_model_package", ModelPackageArn=package,
           ModelApprovalStatus="Approved")  # fmt: skip

    def escalate(role: str, of: str) -> None:
        no(role, f"{of} may everything", "iam", "put_role_policy", RoleName=names.role(of), PolicyName="all",
           PolicyDocument=_EVERYTHING)  # fmt: skip

    def take(role: str, of: str) -> None:
        no(role, f"acts as {of}", "sts", "assume_role", RoleArn=names.role_arn(of), RoleSessionName="theft")

    # Code of a job: whatever a recipe or a poisoned package does.
    read("job", "Terraform's state names everything", state, "factory.tfstate")
    read("job", "another environment's images", other, "a.png")
    write("job", "another model under a package's name", artifacts, "packages/x/model.tar.gz")
    write("job", "the deployer's settings", artifacts, "release/settings.json")
    write("job", "the training data", data, "datasets/x/manifest.json")
    write("job", "a signature", artifacts, "signatures/x.json")
    no("job", "the training data is gone", "s3", "delete_object", Bucket=data, Key="x")
    no("job", "a signature of any image", "kms", "sign", KeyId=signing, Message=b"x", SigningAlgorithm="ECDSA_SHA_256")
    no("job", "everything unreadable", "kms", "schedule_key_deletion", KeyId=key)
    no("job", "an image of its own", "ecr", "put_image", imageManifest="{}", imageTag="src-x", **ecr)
    no("job", "the endpoint serves something else", "sagemaker", "update_endpoint", EndpointName=names.endpoint,
       EndpointConfigName="x")  # fmt: skip
    no("job", "a machine for mining", "sagemaker", "create_training_job", TrainingJobName="mine",
       AlgorithmSpecification={"TrainingInputMode": "File", "TrainingImage": "x"}, RoleArn=names.role_arn("job"),
       OutputDataConfig={"S3OutputPath": f"s3://{artifacts}/runs/x"}, StoppingCondition={"MaxRuntimeInSeconds": 60},
       ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1})  # fmt: skip
    approve("job")
    escalate("job", "job")
    take("job", "owner")
    # The model's container: it reads what strangers send.
    read("endpoint", "images of others", data, "datasets/x/manifest.json")
    read("endpoint", "reports of other runs", artifacts, "runs/x/report.html")
    write("endpoint", "another model under its own name", artifacts, "packages/x/model.tar.gz")
    no("endpoint", "asks another endpoint", "sagemaker-runtime", "invoke_endpoint", EndpointName="other", Body=b"x")
    no("endpoint", "takes itself down", "sagemaker", "delete_endpoint", EndpointName=names.endpoint)
    no("endpoint", "calls the deployer", "lambda", "invoke", FunctionName=names.deployer)
    approve("endpoint")
    # The pipeline: a definition that somebody changed.
    approve("pipeline")
    no("pipeline", "an endpoint past the registry", "sagemaker", "create_endpoint", EndpointName=names.endpoint,
       EndpointConfigName="x")  # fmt: skip
    no("pipeline", "a job with the deployer's role", "sagemaker", "create_training_job", TrainingJobName="x",
       AlgorithmSpecification={"TrainingInputMode": "File", "TrainingImage": "x"}, RoleArn=names.role_arn("deployer"),
       OutputDataConfig={"S3OutputPath": f"s3://{artifacts}/runs/x"}, StoppingCondition={"MaxRuntimeInSeconds": 60},
       ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1})  # fmt: skip
    write("pipeline", "a package's files", artifacts, "packages/x/model.tar.gz")
    # The deployer.
    no("deployer", "a model with the job's role", "sagemaker", "create_model", **model,
       ExecutionRoleArn=names.role_arn("job"))  # fmt: skip
    no("deployer", "somebody else's endpoint", "sagemaker", "update_endpoint", EndpointName="theirs",
       EndpointConfigName="x")  # fmt: skip
    no("deployer", "a package is gone", "sagemaker", "delete_model_package", ModelPackageName=package)
    no("deployer", "signs what it checks", "kms", "sign", KeyId=signing, Message=b"x",
       SigningAlgorithm="ECDSA_SHA_256")  # fmt: skip
    no("deployer", "grants the key to somebody", "kms", "create_grant", KeyId=key,
       GranteePrincipal=f"arn:aws:iam::{READER}:root", Operations=["Decrypt"])  # fmt: skip
    read("deployer", "images of the data set", data, "blobs/x")
    escalate("deployer", "deployer")
    # A pull request's own code plans.
    read("github-plan", "images of the data set", data, "datasets/x/manifest.json")
    read("github-plan", "models", artifacts, "packages/x/model.tar.gz")
    write("github-plan", "Terraform's state", state, "factory.tfstate")
    write("github-plan", "a lock that nobody removes", state, "factory.tfstate.tflock")
    write("github-plan", "the deployer's settings", artifacts, "release/settings.json")
    no("github-plan", "runs the deployer", "lambda", "invoke", FunctionName=names.deployer)
    no("github-plan", "starts the pipeline", "sagemaker", "start_pipeline_execution", PipelineName=names.pipeline)
    no("github-plan", "pushes an image", "ecr", "get_authorization_token")
    take("github-plan", "owner")
    escalate("github-plan", "github-plan")
    # The workflow that applies.
    escalate("github-apply", "github-apply")
    escalate("github-apply", "owner")
    no("github-apply", "a role without a boundary", "iam", "create_role", RoleName=f"{names.prefix}-x",
       AssumeRolePolicyDocument=_EVERYTHING)  # fmt: skip
    no("github-apply", "a role of its own name", "iam", "create_role", RoleName="x",
       AssumeRolePolicyDocument=_EVERYTHING, PermissionsBoundary=boundary)  # fmt: skip
    no("github-apply", "a user with keys", "iam", "create_user", UserName="x")
    no("github-apply", "the boundary is lifted", "iam", "delete_role_permissions_boundary", RoleName=names.role("job"))
    no("github-apply", "a wider boundary", "iam", "create_policy_version", PolicyDocument=_EVERYTHING,
       PolicyArn=boundary, SetAsDefault=True)  # fmt: skip
    no("github-apply", "the data is gone", "s3", "delete_bucket", Bucket=data)
    no("github-apply", "everything unreadable", "kms", "schedule_key_deletion", KeyId=key)
    no("github-apply", "everybody reads the data", "s3", "put_bucket_policy", Bucket=data, Policy=_EVERYTHING)
    expiry = {"Rules": [{"ID": "x", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}]}
    no("github-apply", "the data expires", "s3", "put_bucket_lifecycle_configuration", Bucket=data,
       LifecycleConfiguration=expiry)  # fmt: skip
    no(
        "github-apply",
        "another key policy",
        "kms",
        "put_key_policy",
        KeyId=key,
        PolicyName="default",
        Policy=_EVERYTHING,
    )
    theirs = _their_network(stack)
    open_ = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    mark = [{"Key": "Project", "Value": stack.settings.name}, {"Key": "Environment", "Value": ENV}]
    for what, name in theirs.items():
        no("github-apply", f"somebody else's {what} becomes ours", "ec2", "create_tags", Resources=[name], Tags=mark)
    no("github-apply", "somebody else's network is open", "ec2", "authorize_security_group_ingress",
       GroupId=theirs["group"], IpPermissions=open_)  # fmt: skip
    no("github-apply", "somebody else's machines are cut off", "ec2", "revoke_security_group_egress",
       GroupId=theirs["group"], IpPermissions=open_)  # fmt: skip
    no("github-apply", "somebody else's traffic goes elsewhere", "ec2", "create_route", RouteTableId=theirs["table"],
       DestinationCidrBlock="0.0.0.0/0", GatewayId="igw-x")  # fmt: skip
    no("github-apply", "somebody else's network has no names", "ec2", "modify_vpc_attribute", VpcId=theirs["network"],
       EnableDnsSupport={"Value": False})  # fmt: skip
    no("github-apply", "a subnet of ours in somebody else's network", "ec2", "create_subnet", VpcId=theirs["network"],
       CidrBlock="10.99.1.0/24", TagSpecifications=[{"ResourceType": "subnet", "Tags": mark}])  # fmt: skip
    no("github-apply", "a network that nobody knows", "ec2", "create_vpc", CidrBlock="10.98.0.0/16")
    no("github-apply", "a machine for mining", "ec2", "run_instances", ImageId="ami-x", MinCount=1, MaxCount=1)
    read("github-apply", "images of the data set", data, "datasets/x/manifest.json")
    approve("github-apply")
    take("github-apply", "owner")
    # The workflow that releases.
    approve("github-release")
    no("github-release", "a vouched image is gone", "ecr", "batch_delete_image", imageIds=[{"imageTag": "x"}], **ecr)
    no("github-release", "an endpoint past the registry", "sagemaker", "update_endpoint", EndpointName=names.endpoint,
       EndpointConfigName="x")  # fmt: skip
    no("github-release", "a pipeline with the deployer's role", "sagemaker", "update_pipeline",
       PipelineName=names.pipeline, RoleArn=names.role_arn("deployer"))  # fmt: skip
    write("github-release", "Terraform's state", state, "factory.tfstate")
    write("github-release", "a package's files", artifacts, "packages/x/model.tar.gz")
    no("github-release", "access logs are gone", "s3", "delete_object", Bucket=logs, Key="x")
    # Who approves.
    no("owner", "a release without a review", "sagemaker", "start_pipeline_execution", PipelineName=names.pipeline)
    no("owner", "an image of their own", "ecr", "put_image", imageManifest="{}", imageTag="src-x", **ecr)
    no("owner", "a signature", "kms", "sign", KeyId=signing, Message=b"x", SigningAlgorithm="ECDSA_SHA_256")
    write("owner", "a package's files", artifacts, "packages/x/model.tar.gz")
    no("owner", "an endpoint past the deployer", "sagemaker", "update_endpoint", EndpointName=names.endpoint,
       EndpointConfigName="x")  # fmt: skip
    no("owner", "another endpoint's answers", "sagemaker-runtime", "invoke_endpoint", EndpointName="other", Body=b"x")
    read("owner", "Terraform's state", state, "factory.tfstate")
    escalate("owner", "owner")
    return found


#: A service's role with a policy that allows everything: what the boundary keeps it from.
WIDENED = "job, widened"


def widened_attempts(stack: Stack) -> list[Attempt]:
    """What the job's role tries once a workflow has widened it."""
    names = stack.settings.names
    data, key, boundary = names.data_bucket, names.key_alias, f"arn:aws:iam::{ACCOUNT}:policy/{names.prefix}-boundary"
    expiry = {"Rules": [{"ID": "x", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}]}
    package = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{names.package_group}/1"
    table: list[tuple[str, str, str, dict[str, Any]]] = [
        ("everything unreadable in a month", "kms", "schedule_key_deletion", {"KeyId": key}),
        ("everything unreadable", "kms", "disable_key", {"KeyId": key}),
        ("a key policy of its own", "kms", "put_key_policy", {"KeyId": key, "PolicyName": "default", "Policy": "{}"}),
        ("the data is gone", "s3", "delete_bucket", {"Bucket": data}),
        ("an image is gone", "s3", "delete_object", {"Bucket": data, "Key": "x"}),
        ("everybody reads the data", "s3", "put_bucket_policy", {"Bucket": data, "Policy": "{}"}),
        ("the data expires", "s3", "put_bucket_lifecycle_configuration",
         {"Bucket": data, "LifecycleConfiguration": expiry}),
        ("another data set", "s3", "put_object", {"Bucket": data, "Key": "datasets/x/manifest.json", "Body": b"x"}),
        ("somebody else's bucket", "s3", "get_object", {"Bucket": "another-environment-data", "Key": "x"}),
        ("acts as the owner", "sts", "assume_role", {"RoleArn": names.role_arn("owner"), "RoleSessionName": "theft"}),
        ("a machine for mining", "ec2", "run_instances", {"ImageId": "ami-x", "MinCount": 1, "MaxCount": 1}),
        ("a signature of any image", "kms", "sign",
         {"KeyId": names.signing_key_alias, "Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}),
        ("a model approves itself", "sagemaker", "update_model_package",
         {"ModelPackageArn": package, "ModelApprovalStatus": "Approved"}),
        ("a user with keys", "iam", "create_user", {"UserName": "x"}),
        ("a wider boundary", "iam", "create_policy_version",
         {"PolicyArn": boundary, "PolicyDocument": _EVERYTHING, "SetAsDefault": True}),
        ("leaves the boundary", "iam", "delete_role_permissions_boundary", {"RoleName": names.role("job")}),
    ]  # fmt: skip
    return [Attempt(WIDENED, *row) for row in table]


@contextlib.contextmanager
def widened(stack: Stack) -> Iterator[dict[str, Actor]]:
    """The workflow gives the job's role everything, which it may; taken back at the end."""
    names = stack.settings.names
    iam = stack.client(stack.workflow("apply", ENVIRONMENT), "iam")
    role = {"RoleName": names.role("job"), "PolicyName": "everything"}
    iam.put_role_policy(**role, PolicyDocument=_EVERYTHING)
    try:
        yield {WIDENED: stack.service("job")}
    finally:
        stack.client(stack.root, "iam").delete_role_policy(**role)


def _their_network(stack: Stack) -> dict[str, str]:
    """A network of another project in this account: its id, and those of its group and route table."""
    ec2 = stack.client(stack.root, "ec2")
    network = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="theirs", Description="theirs", VpcId=network)["GroupId"]
    table = ec2.create_route_table(VpcId=network)["RouteTable"]["RouteTableId"]
    ec2.create_tags(Resources=[network, group, table], Tags=[{"Key": "Project", "Value": "theirs"}])
    return {"network": network, "group": group, "table": table}


#: (role, the token's subject, audience, why)
TOKENS = (
    ("apply", PULL_REQUEST, "sts.amazonaws.com", "a pull request applies"),
    ("release", PULL_REQUEST, "sts.amazonaws.com", "a pull request releases"),
    ("plan", ENVIRONMENT, "sts.amazonaws.com", "an environment's job plans"),
    ("apply", f"repo:{REPOSITORY}:environment:other", "sts.amazonaws.com", "another environment applies"),
    ("apply", f"repo:{REPOSITORY}:ref:refs/heads/main", "sts.amazonaws.com", "the branch applies past its reviewers"),
    ("plan", "repo:mallory/widgets:pull_request", "sts.amazonaws.com", "another repository plans"),
    ("apply", f"repo:{REPOSITORY}-fork:environment:{ENV}", "sts.amazonaws.com", "a repository with a longer name"),
    ("release", ENVIRONMENT, "https://github.com/mallory", "a token for another audience"),
)


def refused(stack: Stack, attempt: Attempt, actors: dict[str, Actor]) -> str:
    """Empty when IAM refuses the call, else what happened instead."""
    client = stack.client(actors[attempt.role], attempt.service)
    try:
        getattr(client, attempt.operation)(**attempt.arguments)
    except ClientError as error:
        code = str(error.response["Error"]["Code"])
        return "" if code in _DENIED else f"{code}: {error}"
    return "allowed"


def actors(stack: Stack) -> dict[str, Actor]:
    """Everybody, with credentials of their role."""
    return {
        **{role: stack.service(role) for role in ("pipeline", "job", "endpoint", "deployer")},
        "owner": stack.person("owner"),
        "github-plan": stack.workflow("plan", PULL_REQUEST),
        "github-apply": stack.workflow("apply", ENVIRONMENT),
        "github-release": stack.workflow("release", ENVIRONMENT),
    }


def token_refused(stack: Stack, role: str, subject: str, audience: str) -> bool:
    """Is a workflow with this token kept out of a role?"""
    claims = {"iss": f"https://{HOST}", "aud": audience, "sub": subject}
    sts = stack.client(stack.root, "sts")
    try:
        sts.assume_role_with_web_identity(
            RoleArn=stack.settings.names.role_arn(f"github-{role}"), RoleSessionName="workflow",
            WebIdentityToken=token(claims),
        )  # fmt: skip
    except ClientError as error:
        return str(error.response["Error"]["Code"]) in _DENIED
    return False
