"""Every command of the README and the pages runs, in order, and prints what the page says.

Pages that need a model go on where the README ends, in its folder.
"""

from __future__ import annotations

import hashlib
import json

import boto3
import pytest

from contracts import release
from tests.docs.conftest import MakeReader
from tests.docs.reader import Reader

#: A run of the whole pipeline is most of the cost, so one factory serves all pages.
pytestmark = pytest.mark.timeout(1800)

FOLLOWED = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/release-owner.md",
    "docs/application-developer.md",
    "docs/local-sagemaker.md",
    "docs/ml-engineer.md",
    "docs/platform-engineer.md",
    "docs/training.md",
    "docs/account.md",
    "docs/unproved.md",
)


@pytest.fixture
def after_readme(reader: Reader) -> Reader:
    """The reader, with an approved model that is served when the local SageMaker is up."""
    reader.follow("README.md")
    return reader


def test_readme(reader: Reader) -> None:
    reader.follow("README.md")


def test_application_developer(after_readme: Reader) -> None:
    after_readme.follow("docs/application-developer.md")


def test_release_owner(after_readme: Reader) -> None:
    after_readme.run("cv-factory local up")
    register_again(after_readme)
    after_readme.follow("docs/release-owner.md")


def register_again(reader: Reader) -> None:
    """Register version 1's model once more as if it were another: a second training would cost a minute."""
    session: boto3.Session = reader.target.session
    group = reader.target.settings.names.package_group
    sagemaker = session.client("sagemaker")
    first = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"][-1]
    about = sagemaker.describe_model_package(ModelPackageName=first["ModelPackageArn"])
    metadata, specification = about["CustomerMetadataProperties"], about["InferenceSpecification"]
    old, new = metadata[release.META_BUNDLE_HASH], "b" * 64
    s3, bucket = session.client("s3"), reader.target.settings.names.artifact_bucket
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=f"packages/{old}/")["Contents"]:
        key = item["Key"].replace(old, new)
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": item["Key"]})
    where = {"Bucket": bucket, "Key": f"packages/{new}/evaluation.json"}
    value = json.loads(s3.get_object(**where)["Body"].read())
    difference = {"balanced_accuracy": {"value": 0.021, "lower_95": -0.004}}
    champion = {"bundle_hash": old, "images": value["counts"]["test"], "metrics": {}, "difference": difference}
    body = json.dumps({**value, "bundle_hash": new, "champion": champion}).encode()
    s3.put_object(**where, Body=body)
    (container,) = specification["Containers"]
    container["ModelDataUrl"] = container["ModelDataUrl"].replace(old, new)
    sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification=specification,
        CustomerMetadataProperties={
            **metadata, release.META_BUNDLE_HASH: new, release.META_CHAMPION: old,
            release.META_EVALUATION: hashlib.sha256(body).hexdigest(),
        },
    )  # fmt: skip


def test_local_sagemaker(after_readme: Reader) -> None:
    after_readme.follow("docs/local-sagemaker.md")


@pytest.mark.slow
def test_ml_engineer(after_readme: Reader) -> None:
    after_readme.follow("docs/ml-engineer.md")


@pytest.mark.parametrize(
    "page", ["CONTRIBUTING.md", "docs/platform-engineer.md", "docs/training.md", "docs/account.md", "docs/unproved.md"]
)
def test_a_page_without_a_model(make_reader: MakeReader, page: str) -> None:
    """These need no SageMaker: their commands are make targets, or act on an AWS account."""
    reader = make_reader("alone")
    reader.run("cv-factory init ./photos")
    reader.follow(page)


@pytest.mark.slow
def test_readme_as_it_stands(make_reader: MakeReader) -> None:
    """With the shipped recipe and the shipped gate."""
    make_reader("shipped", recipe=None, images={"broken": 80, "whole": 120}).follow("README.md")
