"""Every command of the README and the pages runs, in order, and prints what the page says.

Pages that need a model go on where the README ends, in its folder.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import boto3
import pytest

from contracts import archives, bundle, release
from contracts.s3uri import S3Uri
from tests.docs.conftest import MakeReader
from tests.docs.reader import Reader

#: A run of the whole pipeline is most of the cost, so one factory serves all pages.
pytestmark = pytest.mark.timeout(1800)

FOLLOWED = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/release.md",
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
    after_readme.follow("docs/release.md")


def register_again(reader: Reader) -> None:
    """Register version 1's model once more, with other weights beside its graph: a second training costs a minute."""
    session: boto3.Session = reader.target.session
    group = reader.target.settings.names.package_group
    sagemaker = session.client("sagemaker")
    first = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"][-1]
    about = sagemaker.describe_model_package(ModelPackageName=first["ModelPackageArn"])
    metadata, specification = about["CustomerMetadataProperties"], about["InferenceSpecification"]
    (container,) = specification["Containers"]
    before = S3Uri.parse(container["ModelDataUrl"])
    s3, old = session.client("s3"), metadata[release.META_BUNDLE_HASH]
    with tempfile.TemporaryDirectory() as name:
        archive, folder = Path(name, "model.tar.gz"), Path(name, "bundle")
        s3.download_file(before.bucket, before.key, str(archive))
        archives.extract(archive, folder)
        (folder / bundle.WEIGHTS).write_bytes(b"another")
        new = bundle.seal(folder, bundle.read(folder, verify=False)).bundle_hash
        with archive.open("wb") as stream:
            archives.pack_folder(stream, folder)
        for item in s3.list_objects_v2(Bucket=before.bucket, Prefix=f"packages/{old}/")["Contents"]:
            key = item["Key"].replace(old, new)
            s3.copy_object(Bucket=before.bucket, Key=key, CopySource={"Bucket": before.bucket, "Key": item["Key"]})
        s3.upload_file(str(archive), before.bucket, before.key.replace(old, new))
    where = {"Bucket": before.bucket, "Key": f"packages/{new}/evaluation.json"}
    value = json.loads(s3.get_object(**where)["Body"].read())
    difference = {"balanced_accuracy": {"value": 0.021, "lower_95": -0.004}}
    champion = {"bundle_hash": old, "images": value["counts"]["test"], "metrics": {}, "difference": difference}
    body = json.dumps({**value, "bundle_hash": new, "champion": champion}).encode()
    s3.put_object(**where, Body=body)
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
