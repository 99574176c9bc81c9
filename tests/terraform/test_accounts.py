"""Accounts that are not empty, commands that were killed, and parts that are made on demand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import FactoryError
from contracts.settings import load
from cv_factory.operations import infra
from cv_factory.operations.base import destruction, state_lock, templates
from tests.terraform.conftest import FACTORY_YAML, Stack

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]

GITHUB = "https://token.actions.githubusercontent.com"


@pytest.fixture
def imports(checkout: Path) -> Iterator[None]:
    """The example, as its first lines say."""
    file = checkout / "terraform" / "factory" / "imports.tf"
    shutil.copy(checkout / "terraform" / "factory" / "imports.tf.example", file)
    yield
    file.unlink()


def test_parts_that_an_account_has_are_taken_over(ensured: Stack, imports: None) -> None:
    """The local base made repositories and group with boto3, and Terraform has a state without them."""
    infra.state_bucket.ensure(ensured.target)
    ensured.client("iam").create_open_id_connect_provider(Url=GITHUB, ClientIDList=["sts.amazonaws.com"])
    infra.package.main([str(infra._zip())])
    infra._initialise(
        ensured.target, "factory", ["terraform", f"-chdir={templates.folder() / 'factory'}"],
        infra._environment(ensured.target, "factory"), again=False,
    )  # fmt: skip
    done = subprocess.run(
        ["terraform", f"-chdir={templates.folder() / 'factory'}", "plan", "-no-color", "-input=false"],
        env=infra._environment(ensured.target, "factory"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (summary,) = re.findall(r"^Plan: .*$", done.stdout, re.M)
    assert summary.startswith("Plan: 4 to import, ") and summary.endswith(" 0 to destroy."), summary


def test_a_killed_command_leaves_a_lock_that_is_explained_and_removed(
    applied: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infra.sessions, "open", lambda *_: applied.target)
    environment = infra._environment(applied.target, "data")
    child = subprocess.Popen(
        ["terraform", f"-chdir={templates.folder() / 'data'}", "plan", "-input=false"],
        env=environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    lock = None
    while lock is None and child.poll() is None:
        lock = state_lock.find(applied.target, "data")
        time.sleep(0.05)
    child.kill()
    child.wait()
    assert lock is not None and lock.id
    said: list[str] = []
    settings, file = applied.settings, applied.target.file
    with pytest.raises(FactoryError, match="terraform/data is locked: OperationTypePlan by ") as caught:
        infra.run(settings, file, ["plan", "-input=false"], yes=False, say=said.append)
    command = caught.value.hint.splitlines()[-1].split()
    assert command[:5] == ["cv-factory", "--env", "local", "infra", "force-unlock"]
    assert infra.run(settings, file, command[4:], yes=True, say=said.append) == 0
    assert state_lock.find(applied.target, "data") is None


def test_packages_are_deleted_by_the_command_that_destroy_names(applied: Stack) -> None:
    sagemaker, group = applied.client("sagemaker"), applied.settings.names.package_group
    destruction.check_registry(applied.target)
    for _ in range(2):
        sagemaker.create_model_package(ModelPackageGroupName=group, ModelPackageDescription="a package")
    with pytest.raises(FactoryError, match=f"packages in {group}") as caught:
        destruction.check_registry(applied.target)
    command = caught.value.hint.splitlines()[-1].strip()
    subprocess.run(
        ["bash", "-c", command.replace("python", sys.executable, 1)],
        env=infra._environment(applied.target, "factory"), check=True,
    )  # fmt: skip
    destruction.check_registry(applied.target)


def test_a_tracking_server_is_made_on_demand(applied: Stack, tmp_path: Path) -> None:
    file = tmp_path / "factory.yaml"
    file.write_text(FACTORY_YAML.replace(", isolated: [train]", "") + "tracking: {mlflow: create}\n")
    settings = load(file, "local")
    stack = Stack(replace(applied.target, settings=settings, file=file))
    targets = ["-target=aws_sagemaker_mlflow_tracking_server.this"]  # and what it needs
    assert stack.terraform("factory", "apply", "-auto-approve", "-input=false", *targets) == 0
    sagemaker = applied.client("sagemaker")
    found = sagemaker.describe_mlflow_tracking_server(TrackingServerName=settings.names.tracking_server)
    assert found["TrackingServerArn"] == settings.tracking_server_arn
    assert found["ArtifactStoreUri"] == str(settings.names.artifacts("mlflow"))
    assert found["RoleArn"] == settings.names.role_arn("tracking")
    assert stack.terraform("factory", "plan", "-detailed-exitcode", "-input=false", *targets) == 0
    assert stack.terraform("factory", "destroy", "-auto-approve", "-input=false", *targets) == 0
    assert not sagemaker.list_mlflow_tracking_servers()["TrackingServerSummaries"]
    # Its role and the jobs' right to it go with the setting.
    assert applied.terraform("factory", "apply", "-auto-approve", "-input=false") == 0


def test_the_bare_commands_of_the_readme_find_nothing_to_change(applied: Stack, checkout: Path) -> None:
    """terraform/README.md: the same backend, variables and paths as ``cv-factory infra``, typed by hand."""
    text = (checkout / "terraform" / "README.md").read_text()
    names = applied.settings.names
    (block,) = re.findall(r"^    for root in data factory; do\n(?:    .*init .*\n)(?:    .*\n)*?    done$", text, re.M)
    for written, ours in {
        "cv-factory-dev-tfstate-111122223333": names.state_bucket,
        "region=ap-southeast-1": f"region={names.region}",
        "apply -var environment=dev": "plan -detailed-exitcode -input=false -var environment=local",
    }.items():
        assert written in block
        block = block.replace(written, ours)
    environment = infra._environment(applied.target, "data")
    for name in [name for name in environment if name.startswith("TF_VAR_") or name == "TF_DATA_DIR"]:
        del environment[name]
    mirror = environment.get(infra.MIRROR_VARIABLE)
    environment["TF_CLI_ARGS_init"] = f"-input=false -plugin-dir={mirror}" if mirror else "-input=false"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=checkout, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("No changes.") == 2
