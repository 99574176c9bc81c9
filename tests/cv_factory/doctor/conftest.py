"""A healthy environment that is not local, on a local SageMaker of its own, and ways to plant faults in it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from contracts import settings as reader
from contracts import source
from contracts.settings import Settings
from cv_factory import session as sessions
from cv_factory.operations import doctor, local_base
from cv_factory.operations.base import resources, state_bucket, templates
from local_sagemaker import control

ACCOUNT, REGION = "111122223333", "eu-west-1"
GITHUB = "https://token.actions.githubusercontent.com"
FACTORY_YAML = f"""
name: shop
aws: {{region: {REGION}, account_id: "{ACCOUNT}"}}
data: {{source: ./photos}}
github: {{repository: acme/shop}}
environments:
  dev: {{release: {{strategy: all-at-once}}}}
"""


class Healthy:
    """Environment ``dev``: its base as Terraform would make it, with boto3 because no test here needs Terraform."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "factory.yaml"
        self.write(FACTORY_YAML)
        self.server = control.start(folder / "state", ACCOUNT, REGION)

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")

    def more(self, text: str) -> None:
        """Settings of environment dev that come on top."""
        self.write(FACTORY_YAML.replace("strategy: all-at-once}}", "strategy: all-at-once}, " + text + "}"))

    @property
    def settings(self) -> Settings:
        return reader.load(self.file, "dev")

    @property
    def names(self) -> Any:
        return self.settings.names

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)

    def heal(self) -> None:
        """Make what is missing, and make again what differs."""
        self.write(FACTORY_YAML)
        target = sessions.open(self.settings, self.file)
        names, s3, iam = self.names, target.client("s3"), target.client("iam")
        if names.artifact_bucket in {one["Name"] for one in s3.list_buckets()["Buckets"]}:
            s3.delete_object(Bucket=names.artifact_bucket, Key=local_base.RECORD_KEY)
            for image in source.IMAGES:  # a tag is not moved: what another image has taken must be free again
                tagged = [{"imageTag": source.source_tag(image)}]
                target.client("ecr").batch_delete_image(repositoryName=names.repository(image), imageIds=tagged)
        local_base.ensure(self.settings, target.session)
        self.make_roles()
        state_bucket.ensure(target)
        for bucket in (names.data_bucket, names.artifact_bucket):
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for provider in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]:
            iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])
        iam.create_open_id_connect_provider(Url=GITHUB, ClientIDList=["sts.amazonaws.com"])

    def make_roles(self) -> None:
        """The roles of the settings as Terraform makes them: those of people and workflows too, all in the boundary."""
        iam, kms, settings = self.client("iam"), self.client("kms"), self.settings
        keys = [kms.describe_key(KeyId=name)["KeyMetadata"]["Arn"] for name in (
            self.names.key_alias, self.names.signing_key_alias)]  # fmt: skip
        places = templates.role_values(settings, key_arn=keys[0], signing_key_arn=keys[1])
        wanted = templates.roles(settings)

        def document(name: str) -> str:
            return json.dumps(templates.document(f"policies/{name}.json", places))

        prefix = f"arn:aws:iam::{ACCOUNT}:policy/{self.names.prefix}"
        for name in {"boundary", *(shared for role in wanted.values() for shared in role.shared)}:
            if f"{prefix}-{name}" not in {one["Arn"] for one in iam.list_policies(Scope="Local")["Policies"]}:
                iam.create_policy(PolicyName=f"{self.names.prefix}-{name}", PolicyDocument=document(name))
        for actor, role in wanted.items():
            resources.role(
                iam, self.names, actor, templates.trust(settings, role, places),
                {policy: json.loads(document(policy)) for policy in role.policies},
            )  # fmt: skip
            name = self.names.role(actor)
            iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=places["boundary_arn"])
            there = {one["PolicyArn"] for one in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]}
            for arn in there - {f"{prefix}-{one}" for one in role.shared}:
                iam.detach_role_policy(RoleName=name, PolicyArn=arn)
            for arn in {f"{prefix}-{one}" for one in role.shared} - there:
                iam.attach_role_policy(RoleName=name, PolicyArn=arn)

    def findings(self) -> list[doctor.Finding]:
        """What is not well."""
        return [one for one in doctor.examine(self.file, "dev") if one.status != doctor.OK]

    def troubles(self) -> dict[str, str]:
        """Check -> what it says, of those that are not well."""
        return {one.check: f"{one.status}: {one.message} -> {one.repair}" for one in self.findings()}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Healthy]:
    folder = tmp_path_factory.mktemp("doctor")
    made = Healthy(folder)
    terraform = folder / "bin" / "terraform"
    terraform.parent.mkdir()
    terraform.write_text("""#!/bin/sh\necho '{"terraform_version": "1.15.0"}'\n""", encoding="utf-8")
    for program in (terraform, terraform.with_name("docker"), terraform.with_name("aws")):
        program.touch()
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", made.server.endpoint_url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("PATH", f"{terraform.parent}:{os.environ['PATH']}")
        made.heal()
        yield made
    control.stop(folder / "state")
