"""``infra``: what Terraform is called with. Terraform itself is tested in tests/terraform."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import FactoryError, UsageError
from cv_factory.operations import infra
from cv_factory.operations.base import templates
from cv_factory.session import Target

SCRIPT = """#!/bin/sh
printf '%s\\n' "$*" >> "$TERRAFORM_LOG"
env | sort > "$TERRAFORM_LOG.env"
case "$*" in *"$TERRAFORM_FAILS"*) echo "it broke"; exit "$TERRAFORM_EXIT";; esac
"""


@pytest.fixture
def target(settings: Any, session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    made = Target(settings, tmp_path / "factory.yaml", "http://127.0.0.1:1", session)
    monkeypatch.setattr(infra.sessions, "open", lambda *_: made)
    return made


@pytest.fixture
def terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A terraform that writes down how it was called: ``terraform()`` lists the calls."""
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
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

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
    run(target, "destroy", "--with-data", yes=True)
    assert folders(terraform()) == ["factory", "factory", "data"]
    assert not [call for call in terraform() if "--with-data" in call]


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


def test_without_terraform_it_says_where_to_get_it(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FactoryError, match="terraform is not on PATH"):
        run(target, "plan")


@pytest.mark.parametrize(
    ("args", "message"), [((), "needs a command"), (("plan", "--with-data"), "belongs to destroy")]
)
def test_wrong_use(target: Target, terraform: Any, args: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(target, *args)
    assert not terraform()


def test_bootstrap_makes_the_state_bucket_once(target: Target, session: Any) -> None:
    code, said = run(target, "bootstrap")
    assert code == 0 and said[-1].endswith(": made")
    assert run(target, "bootstrap")[1][-1].endswith(": there already")
    bucket = target.settings.names.state_bucket
    s3 = session.client("s3")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
