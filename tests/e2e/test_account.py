"""docs/account.md as it stands, from an account with nothing in it to an answer, and back to nothing.

Every line of its bash blocks runs in a clone, in order, with the real Terraform, against a local SageMaker that serves
dev's account. Three things are stand-ins: the registry has the images before ``make images`` (no Docker engine, see
``push_images``), boto3 does what the page says with the AWS CLI, and ``make test-aws`` tries the checks that take
no minutes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from contracts import settings
from cv_factory import session
from local_sagemaker.control import ServerInfo
from tests.docs import pages
from tests.e2e.checkouts import Checkout, clone
from tests.e2e.conftest import draw
from tests.e2e.test_release_workflow import REGION, SETTINGS, origin, push_images, server
from tests.waiting import eventually

__all__ = ["origin", "server"]  # fixtures

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(1800)]

PAGE = "docs/account.md"
#: Of the checks, those whose answer comes at once; tests/cv_factory/unproved runs them all.
QUICK = "account.plan account.quotas account.images pipeline.accepted registry.event jobs.metric-filter"


class Reader:
    """Somebody at a shell in a clone, with the page before them."""

    def __init__(self, checkout: Checkout, server: ServerInfo) -> None:
        self.checkout = checkout
        self.server = server
        self.dev = settings.load(checkout.folder / "factory.yaml", "dev")
        self.account = session.local_session(server.endpoint_url, REGION)
        self.printed: dict[str, str] = {}

    def client(self, service: str) -> Any:
        return self.account.client(service)

    def follow(self) -> None:
        for block in pages.blocks(PAGE):
            if block.language == "bash":
                for line in pages.commands(block):
                    self.before(line)
                    self.printed[line] = self.checkout.run(self.shell(line), fails=line in FAILS)

    def shell(self, line: str) -> str:
        """A line of the page, as it is typed without anybody who answers questions."""
        if line.startswith("make test-aws"):
            return f'{line} ONLY="{QUICK}" OUT=results.json'
        asks = (" infra apply", " infra destroy", " approve ", " cleanup --all")
        if line.startswith("cv-factory") and any(verb in line for verb in asks):
            line = line.replace("cv-factory", "cv-factory --yes", 1)
        if line.endswith("--with-data"):  # what a person types when it asks
            line += f" --confirm {self.dev.names.prefix}"
        return line.replace("cv-factory", ".venv/bin/cv-factory", 1) if line.startswith("cv-factory") else line

    def before(self, line: str) -> None:
        """What the page tells to do by hand, or to wait for, before a line."""
        match line:
            case "make images ENV=dev":
                push_images(self.checkout, self.dev, self.server)
            case "cv-factory --env dev predict photos/broken/broken-000.png":
                eventually(self.serves, "an endpoint that serves")
            case "cv-factory --env dev infra destroy":
                self.take_down_what_terraform_has_not()
            case "cv-factory --env dev infra destroy --with-data":
                self.empty_buckets()

    def serves(self) -> bool:
        try:
            about = self.client("sagemaker").describe_endpoint(EndpointName=self.dev.names.endpoint)
        except ClientError:
            return False
        return bool(about["EndpointStatus"] == "InService")

    def take_down_what_terraform_has_not(self) -> None:
        """aws sagemaker delete-model-package; aws ecr delete-repository --force."""
        names, sagemaker = self.dev.names, self.client("sagemaker")
        assert not sagemaker.list_endpoints()["Endpoints"], "cleanup --all has taken it down"
        listed = sagemaker.list_model_packages(ModelPackageGroupName=names.package_group)["ModelPackageSummaryList"]
        for package in listed:
            sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
        for repository in (names.training_repository, names.inference_repository):
            self.client("ecr").delete_repository(repositoryName=repository, force=True)

    def empty_buckets(self) -> None:
        """The console's button Empty."""
        names, s3 = self.dev.names, self.client("s3")
        for bucket in (names.data_bucket, names.artifact_bucket, names.log_bucket):
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                for one in found:
                    s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


#: The first ``doctor`` finds that nothing is there.
FAILS = {"cv-factory --env dev doctor"}


def test_from_zero_to_the_first_endpoint_and_back(origin: Checkout, server: ServerInfo, tmp_path: Path) -> None:
    value = yaml.safe_load(SETTINGS)
    value["data"]["source"] = "./photos"
    value["environments"]["dev"]["release"] = {"approval": "manual", "strategy": "all-at-once"}
    person = clone(origin, tmp_path / "person")
    (person.folder / "factory.yaml").write_text(yaml.safe_dump(value))
    draw(person.folder / "photos", {"broken": 24, "whole": 36})
    reader = Reader(person, server)
    reader.follow()

    said = reader.printed
    assert "not checked" in said["cv-factory --env dev doctor"] or "problem" in said["cv-factory --env dev doctor"]
    assert said["make images ENV=dev"].count(" is in the registry: sha256:") == 2
    assert "broken" in said["cv-factory --env dev predict photos/broken/broken-000.png"]
    assert "Nothing billable is left that cv-factory made" in said["cv-factory --env dev cleanup --verify"]
    assert f"{len(QUICK.split())} hold, 0 fail, 0 were not tried" in said["make test-aws ENV=dev MAX_USD=4"]
    assert "account 222233334444, region eu-west-1" in said["make test-aws ENV=dev MAX_USD=4"]
    # What the page says is left: the bucket of the state and its key, and the keys that wait for their deletion.
    assert [one["Name"] for one in reader.client("s3").list_buckets()["Buckets"]] == [reader.dev.names.state_bucket]
    kms = reader.client("kms")
    kept = kms.describe_key(KeyId=reader.dev.names.state_key_alias)["KeyMetadata"]["KeyId"]
    keys = {one["KeyId"]: kms.describe_key(KeyId=one["KeyId"])["KeyMetadata"] for one in kms.list_keys()["Keys"]}
    assert keys.pop(kept)["KeyState"] == "Enabled"
    assert {about["KeyState"] for about in keys.values() if about["KeyManager"] == "CUSTOMER"} == {"PendingDeletion"}
    left = [one["RoleName"] for one in reader.client("iam").list_roles()["Roles"] if "released-dev" in one["RoleName"]]
    assert left == []
