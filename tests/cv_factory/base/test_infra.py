"""``infra``: what Terraform is called with. Terraform itself is tested in tests/terraform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto.core.botocore_stubber import MockRawResponse

from contracts import source
from contracts.errors import FactoryError, RefusedError, UsageError
from cv_factory.operations import infra
from cv_factory.operations.base import templates
from cv_factory.session import Target

PREFIX = "shapes-local"
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"})
SCRIPT = """#!/bin/sh
printf '%s\\n' "$*" >> "$TERRAFORM_LOG"
env | sort > "$TERRAFORM_LOG.env"
case "$*" in *looked-at.tfplan*) echo "{}"; exit 0;; esac
case "$*" in *"$TERRAFORM_FAILS"*) echo "it broke"; exit "$TERRAFORM_EXIT";; esac
"""


@pytest.fixture
def target(settings: Any, session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    made = Target(settings, tmp_path / "factory.yaml", "http://127.0.0.1:1", session)
    monkeypatch.setattr(infra.sessions, "open", lambda *_: made)
    return made


@pytest.fixture
def terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A terraform that writes down how it was called: ``terraform()`` lists the calls, but for the looks of
    test_adoption.py, which find nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "terraform").write_text(SCRIPT)
    (folder / "terraform").chmod(0o755)
    log = tmp_path / "calls"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name, value in {"LOG": str(log), "FAILS": "no such words", "EXIT": "1"}.items():
        monkeypatch.setenv(f"TERRAFORM_{name}", value)
    monkeypatch.delenv(infra.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(infra, "build_folder", lambda: tmp_path / "build")

    def calls() -> list[list[str]]:
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.split() for line in lines if "looked-at.tfplan" not in line]

    calls.environment = lambda: dict(  # type: ignore[attr-defined]
        line.partition("=")[::2] for line in Path(f"{log}.env").read_text().splitlines()
    )
    return calls


def run(target: Target, *args: str, yes: bool = False) -> tuple[int, list[str]]:
    said: list[str] = []
    return infra.run(target.settings, target.file, args, yes=yes, say=said.append), said


def folders(calls: list[list[str]]) -> list[str]:
    return [Path(call[0].removeprefix("-chdir=")).name for call in calls if call[1] != "init"]


def test_the_roots_are_applied_in_their_order(target: Target, terraform: Any) -> None:
    code, said = run(target, "apply", "-refresh=false", yes=True)
    assert code == 0 and "account 123456789012" in said[0]
    calls = terraform()
    assert [call[1] for call in calls] == ["init", "apply", "init", "apply"]
    assert folders(calls) == ["data", "factory"]
    assert calls[1][1:] == ["apply", "-auto-approve", "-refresh=false"]
    assert "-backend-config=bucket=shapes-local-tfstate-123456789012" in calls[0]
    assert "-backend-config=key=data.tfstate" in calls[0] and "-backend-config=key=factory.tfstate" in calls[2]
    assert "-backend-config=use_lockfile=true" in calls[0]


def test_terraform_asks_unless_it_was_answered(target: Target, terraform: Any) -> None:
    run(target, "apply")
    run(target, "plan", yes=True)
    assert not [call for call in terraform() if "-auto-approve" in call]


def test_terraform_gets_the_environment_and_the_endpoint(
    target: Target, terraform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.client("s3")  # made before: the session of this test would look for the profile
    monkeypatch.setenv("AWS_PROFILE", "somebody-else")
    run(target, "plan")
    variables = terraform.environment()
    assert variables["TF_VAR_environment"] == "local"
    assert variables["TF_VAR_settings_file"] == str(target.file)
    assert Path(variables["TF_VAR_defaults_file"]).is_file()
    deployer_zip = Path(variables["TF_VAR_deployer_zip"])
    assert not deployer_zip.is_absolute(), "every checkout has the same path to it"
    assert (templates.folder() / "factory" / deployer_zip).is_file()
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1" and variables["AWS_REGION"] == "eu-west-1"
    assert "AWS_PROFILE" not in variables


def test_destroying_leaves_the_data_alone(target: Target, terraform: Any) -> None:
    run(target, "destroy", yes=True)
    assert folders(terraform()) == ["factory"]
    run(target, "destroy", "--with-data", "--confirm", PREFIX, yes=True)
    assert folders(terraform()) == ["factory", "factory", "data"]
    assert not [call for call in terraform() if {"--with-data", "--confirm", PREFIX} & set(call)]


@pytest.mark.parametrize(
    ("args", "typed", "says"),
    [
        ((), None, "was not confirmed"),
        (("--confirm",), None, "was not confirmed"),
        (("--confirm=shapes-dev",), None, "confirmed with 'shapes-dev'"),
        ((), "yes", "confirmed with 'yes'"),
    ],
)
def test_yes_is_not_enough_for_the_data(
    target: Target, terraform: Any, args: tuple[str, ...], typed: str | None, says: str
) -> None:
    said: list[str] = []
    ask = None if typed is None else lambda _: str(typed)
    with pytest.raises(RefusedError, match=says) as caught:
        infra.run(target.settings, target.file, ("destroy", "--with-data", *args), yes=True, say=said.append, ask=ask)
    assert f"--confirm {PREFIX}" in caught.value.hint
    assert "alias/shapes-local" in said[1] and "nobody can ever read again" in said[1]
    assert not terraform()


def test_the_name_can_be_typed(target: Target, terraform: Any) -> None:
    asked: list[str] = []
    ask = lambda question: asked.append(question) or PREFIX  # noqa: E731
    infra.run(target.settings, target.file, ("destroy", "--with-data"), yes=True, say=asked.append, ask=ask)
    assert folders(terraform()) == ["factory", "data"] and f"Type {PREFIX} to destroy it" in asked


def test_a_bucket_that_holds_something_is_named_before_anything_is_destroyed(
    target: Target, terraform: Any, session: Any
) -> None:
    s3, names = session.client("s3"), target.settings.names
    where = {"LocationConstraint": names.region}
    s3.create_bucket(Bucket=names.artifact_bucket, CreateBucketConfiguration=where)
    s3.put_bucket_versioning(Bucket=names.artifact_bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=names.artifact_bucket, Key="release/settings.json", Body=b"{}")  # Terraform's own
    s3.put_object(Bucket=names.artifact_bucket, Key="packages/a", Body=b"a model")
    s3.delete_object(Bucket=names.artifact_bucket, Key="packages/a")  # a version is left, and a marker
    destroy = ("destroy", "--with-data", "--confirm", PREFIX)
    with pytest.raises(FactoryError, match=f"{names.artifact_bucket} is not empty: 2 .*packages/a") as caught:
        run(target, *destroy, yes=True)
    assert not terraform()
    command = caught.value.hint.splitlines()[-1].strip()
    code = command.removeprefix('python -c "').removesuffix('"')
    assert code != command and names.artifact_bucket in code
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", names.region)
        exec(code, {})  # noqa: S102 (what the message says must work)
    assert run(target, *destroy, yes=True)[0] == 0


def test_a_registry_that_holds_something_is_named_before_anything_is_destroyed(
    target: Target, terraform: Any, session: Any
) -> None:
    names, ecr, sagemaker = target.settings.names, session.client("ecr"), session.client("sagemaker")
    ecr.create_repository(repositoryName=names.training_repository)
    ecr.put_image(repositoryName=names.training_repository, imageManifest=MANIFEST, imageTag="src-1")
    sagemaker.create_model_package_group(ModelPackageGroupName=names.package_group)
    for _ in range(2):
        sagemaker.create_model_package(ModelPackageGroupName=names.package_group)
    with pytest.raises(FactoryError, match="images in shapes-local/training, packages in shapes-local") as caught:
        run(target, "destroy", yes=True)
    assert not terraform()
    # tests/terraform runs what it says.
    _, repository, packages = caught.value.hint.splitlines()
    assert repository.strip() == "aws ecr delete-repository --force --repository-name shapes-local/training"
    assert "delete_model_package" in packages and "ModelPackageGroupName='shapes-local'" in packages


def hold_lock(target: Target, session: Any, root: str, lock_id: str) -> None:
    s3, names = session.client("s3"), target.settings.names
    s3.create_bucket(Bucket=names.state_bucket, CreateBucketConfiguration={"LocationConstraint": names.region})
    about = {"ID": lock_id, "Operation": "OperationTypeApply", "Who": "me@there", "Created": "2026-11-26T10:00:00Z"}
    body = json.dumps(about).encode()
    s3.put_object(Bucket=names.state_bucket, Key=f"{root}.tfstate.tflock", Body=body)


def test_a_lock_that_was_left_is_seen_and_can_be_removed(target: Target, terraform: Any, session: Any) -> None:
    hold_lock(target, session, "factory", "6f8a")
    with pytest.raises(FactoryError, match=r"terraform/factory is locked: .*Apply by me@there since 2026") as caught:
        run(target, "plan")
    assert folders(terraform()) == ["data"], "only what is locked is refused"
    assert "cv-factory --env local infra force-unlock 6f8a" in caught.value.hint
    assert run(target, "output")[0] == 0, "reading needs no lock"
    assert run(target, "plan", "-lock=false")[0] == 0
    with pytest.raises(FactoryError, match="no state is locked with 0000") as wrong:
        run(target, "force-unlock", "0000")
    assert "terraform/factory with 6f8a" in wrong.value.hint
    run(target, "force-unlock", "6f8a", yes=True)
    assert terraform()[-1][1:] == ["force-unlock", "-force", "6f8a"] and folders(terraform())[-1] == "factory"


def test_the_first_failure_ends_it(target: Target, terraform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAFORM_FAILS", "data apply")
    assert run(target, "apply", yes=True)[0] == 1
    assert folders(terraform()) == ["data"]


def test_changes_in_a_plan_are_no_failure(target: Target, terraform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAFORM_FAILS", "data plan")
    monkeypatch.setenv("TERRAFORM_EXIT", "2")
    assert run(target, "plan", "-detailed-exitcode")[0] == 2
    assert folders(terraform()) == ["data", "factory"]


def test_a_missing_backend_names_bootstrap(target: Target, terraform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAFORM_FAILS", "init")
    with pytest.raises(FactoryError, match="data cannot be initialised") as caught:
        run(target, "plan")
    assert "it broke" in caught.value.hint and "infra bootstrap" in caught.value.hint


def test_initialised_once_for_the_same_files_and_backend(target: Target, terraform: Any) -> None:
    run(target, "plan")
    run(target, "plan")
    assert [call[1] for call in terraform()] == ["init", "plan", "init", "plan", "plan", "plan"]
    run(target, "init")
    assert [call[1] for call in terraform()][-2:] == ["init", "init"]


def test_a_mirror_of_the_providers_is_passed_on(
    target: Target, terraform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(infra.MIRROR_VARIABLE, "/providers")
    run(target, "init")
    assert [call[1] for call in terraform()] == ["init", "init"]
    assert all("-plugin-dir=/providers" in call for call in terraform())


def test_ctrl_c_waits_for_terraform(tmp_path: Path) -> None:
    """Both get the signal, as in a terminal; Terraform then has its state to write."""
    log = tmp_path / "log"
    script = f"trap 'sleep 1; echo written > {log}; exit 3' INT; kill -INT $PPID $$; sleep 30"
    code = "import sys; from cv_factory.operations import infra\nsys.exit(infra._to_its_end(sys.argv[1:], {}, None))"
    done = subprocess.run(
        [sys.executable, "-c", code, "sh", "-c", script], cwd=source.root(), start_new_session=True, check=False
    )
    assert (done.returncode, log.read_text()) == (3, "written\n")


def test_without_terraform_it_says_where_to_get_it(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FactoryError, match="terraform is not on PATH"):
        run(target, "plan")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "needs a command"),
        (("plan", "--with-data"), "belong to destroy"),
        (("apply", "--confirm=x"), "belong to destroy"),
        (("force-unlock",), "needs the lock's ID"),
    ],
)
def test_wrong_use(target: Target, terraform: Any, args: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(target, *args)
    assert not terraform()


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_bootstrap_makes_the_state_bucket_once(target: Target, session: Any, other_settings: Any, region: str) -> None:
    """In us-east-1 CreateBucket answers 200 for a bucket that one has already."""
    settings = other_settings(f"environments: {{local: {{aws: {{region: {region}}}}}}}")
    target = Target(settings, target.file, target.endpoint, boto3.Session(region_name=region))
    assert infra.state_bucket.ensure(target) and not infra.state_bucket.ensure(target)
    bucket = settings.names.state_bucket
    s3, kms = target.client("s3"), target.client("kms")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    key = kms.describe_key(KeyId="alias/shapes-local-tfstate")["KeyMetadata"]
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key["Arn"]}
    assert rule["BucketKeyEnabled"] and kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"]
    mine = [one for one in kms.list_aliases()["Aliases"] if one["AliasName"] == "alias/shapes-local-tfstate"]
    assert len(kms.list_keys()["Keys"]) == len(mine) == 1, "a second call makes no second key"


def test_the_command_says_whether_the_bucket_was_there(target: Target) -> None:
    code, said = run(target, "bootstrap")
    assert code == 0 and said[-1].endswith(": made")
    assert run(target, "bootstrap")[1][-1].endswith(": there already")


@pytest.mark.parametrize("seen", [403, 404])
def test_a_bucket_name_that_another_account_has_is_refused(target: Target, session: Any, seen: int) -> None:
    """AWS answers HeadBucket with 403, or 404 if it is made in between; moto knows no expected owner and says 200."""
    names = target.settings.names
    where = {"LocationConstraint": names.region}
    role = {"RoleArn": "arn:aws:iam::999988887777:role/theirs", "RoleSessionName": "theirs"}
    keys = session.client("sts").assume_role(**role)["Credentials"]
    theirs = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], names.region)
    theirs.client("s3").create_bucket(Bucket=names.state_bucket, CreateBucketConfiguration=where)
    answer = AWSResponse("https://s3", seen, {}, MockRawResponse(b""))
    target.client("s3").meta.events.register("before-send.s3.HeadBucket", lambda **_: answer)
    with pytest.raises(RefusedError, match=f"{names.state_bucket} is another account's") as caught:
        run(target, "bootstrap")
    assert "change name in the settings file" in caught.value.hint


@pytest.mark.parametrize("command", ["bootstrap", "plan", "apply", "destroy"])
def test_a_state_bucket_in_another_region_is_named_with_both(target: Target, terraform: Any, command: str) -> None:
    bucket = target.settings.names.state_bucket
    there = boto3.client("s3", region_name="us-west-2")
    there.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    with pytest.raises(RefusedError, match=f"{bucket}, is in us-west-2; environment local is in eu-west-1") as caught:
        run(target, command, yes=True)
    assert "set aws.region of local to us-west-2" in caught.value.hint and "infra bootstrap" in caught.value.hint
    assert not terraform(), "Terraform would say that S3 moved permanently"
    assert there.get_bucket_versioning(Bucket=bucket).get("Status") is None, "nothing of it was changed"


def test_a_state_key_about_to_be_deleted_is_named(target: Target, session: Any) -> None:
    infra.state_bucket.ensure(target)
    kms = session.client("kms")
    key = kms.describe_key(KeyId="alias/shapes-local-tfstate")["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=key)
    with pytest.raises(FactoryError, match="tfstate of Terraform's state is PendingDeletion") as caught:
        run(target, "bootstrap")
    assert f"cancel-key-deletion --key-id {key}" in caught.value.hint
