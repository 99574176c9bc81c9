"""Faults of the machine, the settings and the base that a test plants in a healthy environment."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable

import boto3
import pytest

from cv_factory.operations import local_base
from cv_factory.operations.doctor import base, machine
from tests.cv_factory.doctor.conftest import FACTORY_YAML, GITHUB, Healthy

Plant = Callable[[Healthy, pytest.MonkeyPatch], None]
FAULTS: dict[str, tuple[str, str, Plant]] = {}
EVERYBODY = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}


def fault(check: str, says: str) -> Callable[[Plant], Plant]:
    """A fault that ``check`` finds, with ``says`` in what it says."""

    def add(plant: Plant) -> Plant:
        FAULTS[plant.__name__] = (check, says, plant)
        return plant

    return add


@fault("settings", "recipee")
def an_unknown_key(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.more("training: {recipee: quick}")


@fault("settings", "image_url_hosts")
def a_forbidden_pair(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.more("serving: {image_url_hosts: [example.org]}, network: {isolated: [endpoint]}")


def _without(program: str, patch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    patch.setattr(shutil, "which", lambda name: None if name == program else which(name))


@fault("tools", "terraform is not on PATH")
def no_terraform(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    _without("terraform", patch)


@fault("tools", "warning: docker is not on PATH")
def no_docker(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    _without("docker", patch)


@fault("tools", "warning: aws is not on PATH")
def no_aws_cli(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    _without("aws", patch)


@fault("tools", "terraform is 1.9.0")
def an_old_terraform(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    program = it.folder / "old" / "terraform"
    program.parent.mkdir(exist_ok=True)
    program.write_text("""#!/bin/sh\necho '{"terraform_version": "1.9.0"}'\n""", encoding="utf-8")
    program.chmod(0o755)
    patch.setenv("PATH", str(program.parent), prepend=":")


@fault("disk", "GB are free")
def a_full_disk(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(machine, "FREE_GB", 10**9)


@fault("packages", "make env")
def another_package(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version
    patch.setattr(importlib.metadata, "version", lambda name: "1.0" if name == "boto3" else version(name))


@fault("account", "no AWS credentials")
def no_credentials(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("AWS_ACCESS_KEY_ID")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    patch.setenv("AWS_CONFIG_FILE", "/nowhere")


@fault("account", "999999999999")
def another_account(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.write(FACTORY_YAML.replace("111122223333", "999999999999"))


@fault("state", "there is no bucket")
def no_state_bucket(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("s3").delete_bucket(Bucket=it.names.state_bucket)


@fault("state", "no versions")
def a_state_without_versions(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("s3").put_bucket_versioning(Bucket=it.names.state_bucket, VersioningConfiguration={"Status": "Suspended"})


@fault("state", "does not encrypt with the environment's key")
def a_state_that_s3_encrypts_itself(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    it.client("s3").put_bucket_encryption(
        Bucket=it.names.state_bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )


@fault("state", "force-unlock 42")
def a_lock_left_behind(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(base, "LOCK_HOURS", -1.0)
    body = json.dumps({"ID": "42", "Who": "somebody@laptop"}).encode()
    it.client("s3").put_object(Bucket=it.names.state_bucket, Key="factory.tfstate.tflock", Body=body)


@fault("buckets", "there is no bucket")
def no_data_bucket(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("s3").delete_bucket(Bucket=it.names.data_bucket)


@fault("buckets", "public access")
def an_open_bucket(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("s3").delete_public_access_block(Bucket=it.names.data_bucket)


@fault("buckets", "does not encrypt")
def a_bucket_with_another_key(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    plain = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    it.client("s3").put_bucket_encryption(Bucket=it.names.data_bucket, ServerSideEncryptionConfiguration=plain)


@fault("buckets", "keeps no versions")
def a_bucket_without_versions(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("s3").put_bucket_versioning(
        Bucket=it.names.artifact_bucket, VersioningConfiguration={"Status": "Suspended"}
    )


@fault("keys", "cancel-key-deletion")
def a_key_that_goes(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    kms = it.client("kms")
    kms.schedule_key_deletion(KeyId=_key(it, it.names.key_alias), PendingWindowInDays=7)


@fault("keys", "Disabled")
def a_key_that_is_off(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("kms").disable_key(KeyId=_key(it, it.names.signing_key_alias))


@fault("roles", "there is no role")
def no_role(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    iam, name = it.client("iam"), it.names.role("endpoint")
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


@fault("roles", "trusted by others")
def a_role_for_everybody(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": [EVERYBODY]})
    it.client("iam").update_assume_role_policy(RoleName=it.names.role("job"), PolicyDocument=document)


@fault("roles", "is not this checkout's")
def a_policy_by_hand(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    it.client("iam").put_role_policy(RoleName=it.names.role("job"), PolicyName="job", PolicyDocument=document)


@fault("roles", "lacks its policy")
def a_policy_gone(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("iam").delete_role_policy(RoleName=it.names.role("deployer"), PolicyName="deployer")


@fault("roles", "role/theirs may not s3:PutObject on arn:aws:s3:::shop-dev-artifacts-111122223333/runs/x/")
def a_role_of_theirs_that_may_too_little(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    arn, iam = "arn:aws:iam::111122223333:role/theirs", it.client("iam")
    if "theirs" not in {one["RoleName"] for one in iam.list_roles()["Roles"]}:
        document = json.dumps({"Version": "2012-10-17", "Statement": [EVERYBODY]})
        iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=document)
    reads = {"Effect": "Allow", "Action": ["s3:GetObject", "kms:GenerateDataKey"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [reads]})
    iam.put_role_policy(RoleName="theirs", PolicyName="reads", PolicyDocument=document)
    it.more(f"aws: {{existing: {{job_role: '{arn}'}}}}")
    it.make_roles()
    local_base.ensure(it.settings, boto3.Session(region_name="eu-west-1"))
    it.make_roles()


ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


@fault("roles", f"aws iam detach-role-policy --role-name shop-dev-job --policy-arn {ADMINISTRATOR}")
def an_administrator_by_hand(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("iam").attach_role_policy(RoleName=it.names.role("job"), PolicyArn=ADMINISTRATOR)


@fault("roles", "aws iam delete-role-policy --role-name shop-dev-owner --policy-name more")
def an_owner_who_may_more(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    it.client("iam").put_role_policy(
        RoleName=it.names.role("owner"), PolicyName="more", PolicyDocument=json.dumps(document)
    )


@fault("roles", "shop-dev-github-apply has no boundary")
def a_role_without_the_boundary(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("iam").delete_role_permissions_boundary(RoleName=it.names.role("github-apply"))


@fault("roles", "shop-dev-github-plan lacks its policy arn:aws:iam::111122223333:policy/shop-dev-github-plan")
def a_shared_policy_that_is_detached(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    arn = f"arn:aws:iam::111122223333:policy/{it.names.prefix}-github-plan"
    it.client("iam").detach_role_policy(RoleName=it.names.role("github-plan"), PolicyArn=arn)


@fault("roles", "shop-dev-boundary is not this checkout's")
def another_boundary(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    it.client("iam").create_policy_version(
        PolicyArn=boundary(it), PolicyDocument=json.dumps(document), SetAsDefault=True
    )


@fault("roles", "there is no role shop-dev-tracking")
def no_role_of_the_tracking_server(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.more("tracking: {mlflow: create}")
    tracked = it.settings
    it.make_roles()
    iam, name = it.client("iam"), tracked.names.role("tracking")
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


@fault("github", "is not there")
def no_identity_provider(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=_provider(it))


@fault("github", "audience")
def another_audience(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    no_identity_provider(it, patch)
    it.client("iam").create_open_id_connect_provider(Url=GITHUB, ClientIDList=["somebody"])


@fault("registry", "model package group")
def no_package_group(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("sagemaker").delete_model_package_group(ModelPackageGroupName=it.names.package_group)


@fault("deployer", "there is no function")
def no_deployer(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("lambda").delete_function(FunctionName=it.names.deployer)


@fault("deployer", "reads other settings")
def a_deployer_with_other_settings(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("lambda").update_function_configuration(
        FunctionName=it.names.deployer, Environment={"Variables": {"CVF_SETTINGS_URI": "s3://elsewhere/settings.json"}}
    )


@fault("events", "is off")
def a_rule_that_is_off(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("events").disable_rule(Name=it.names.registry_rule)


@fault("events", "does not call the deployer")
def a_rule_without_a_target(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("events").remove_targets(Rule=it.names.endpoint_rule, Ids=["deployer"])


@fault("logs", "put-retention-policy --log-group-name /aws/sagemaker/TrainingJobs --retention-in-days 30")
def logs_that_never_expire(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.client("logs").create_log_group(logGroupName="/aws/sagemaker/TrainingJobs")


@fault("service roles", "create-service-linked-role")
def no_scaling_role(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.more("serving: {instance_count: 1, max_instances: 4}")


@fault("quotas", "these settings need 24")
def a_small_quota(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.more("serving: {instance_count: 12, max_instances: 12}")


@fault("quotas", "across all serverless endpoints' is 10; these settings need 12")
def a_small_concurrency(it: Healthy, patch: pytest.MonkeyPatch) -> None:
    it.more("serving: {serverless: {memory_mb: 2048, max_concurrency: 6}}")


def boundary(it: Healthy) -> str:
    return f"arn:aws:iam::111122223333:policy/{it.names.prefix}-boundary"


def _key(it: Healthy, alias: str) -> str:
    return str(it.client("kms").describe_key(KeyId=alias)["KeyMetadata"]["KeyId"])


def _provider(it: Healthy) -> str:
    return str(it.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"][0]["Arn"])
