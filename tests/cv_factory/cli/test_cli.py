"""The command line's manners: help, exit codes, one-line errors, global options, and a light start."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cv_factory import cli
from tests.cv_factory.cli.conftest import Call
from tests.cv_factory.helpers import ROOT, Cloud


def _verbs() -> list[list[str]]:
    found = []

    def walk(app: typer.Typer, path: list[str]) -> None:
        found.extend([*path, str(command.name)] for command in app.registered_commands)
        for group in app.registered_groups:
            assert group.typer_instance is not None
            walk(group.typer_instance, [*path, str(group.name)])

    walk(cli.app, [])
    return found


VERBS = {
    "init", "doctor", "cleanup", "infra", "run", "plan", "status", "report", "approve", "reject", "deploy", "rollback",
    "predict", "serve", "local up", "local status", "local down", "data import", "pipeline build", "pipeline upsert",
    "pipeline start", "pipeline stop",
}  # fmt: skip


def test_verbs_are_those_that_are_built() -> None:
    assert {" ".join(path) for path in _verbs()} == VERBS


@pytest.mark.parametrize("path", _verbs(), ids=" ".join)
def test_every_verb_explains_itself_with_an_example_that_exists(path: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [*path, "--help"])
    assert result.exit_code == 0
    assert f"cv-factory {' '.join(path)}" in result.output.replace("--env dev ", "")
    (example,) = [line for line in result.output.splitlines() if line.strip().startswith("Example: ")]
    words = [word for word in example.split("Example: cv-factory ")[1].split(";")[0].split() if word != ">"]
    if words[0] == "--env":
        words = words[2:]
    assert words[: len(path)] == path


def _run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from cv_factory.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd or ROOT,
        env={**os.environ, **environment},
        check=False,
    )


def test_help_costs_little_and_imports_nothing_heavy() -> None:
    heavy = ["torch", "sagemaker", "boto3", "botocore", "pydantic", "yaml", "numpy", "PIL", "rich", "moto"]
    code = (
        "import sys\nfrom cv_factory.cli import call\ncode = call(['--help'])\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)\nsys.exit(code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.stderr.strip() == "[]"
    assert (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime) <= 0.5
    assert "Usage: cv-factory" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["run", "--nonsense"], 2, "--nonsense"),
        (["data", "import"], 2, "Missing argument"),
        (["--env", "moon", "status"], 2, "there is no environment 'moon'"),
        (["--file", "nowhere.yaml", "status"], 2, "nowhere.yaml does not exist"),
        (["local", "up", "--env", "dev"], 2, "local commands are for --env local"),
        (["run", "--demo", "--env", "dev"], 3, "--demo approves and deploys by itself"),
        (["status"], 1, "is not running"),
        (["local", "status"], 1, "is not running"),
    ],
)
def test_exit_code_and_one_line(folder: Path, arguments: list[str], code: int, words: str) -> None:
    result = _run(*arguments, cwd=folder, PYTHONPATH=str(ROOT))
    assert result.returncode == code
    assert words in result.stderr and "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-2 if code == 2 and "Usage" in result.stderr else 0].startswith("Error: ") or (
        "\nError: " in result.stderr
    )


def test_wrong_settings_name_line_value_and_what_is_allowed(folder: Path, call: Call) -> None:
    (folder / "factory.yaml").write_text(
        'name: x\naws: {region: eu-west-1, account_id: "123456789012"}\ndata:\n  sede: 3\n'
    )
    answer = call("status")
    assert answer.code == 2
    assert "factory.yaml:1" in answer.err and "factory.yaml:4" in answer.err and "did you mean seed?" in answer.err


def test_global_options_stand_before_or_after_the_verb(aws: Cloud, call: Call) -> None:
    for arguments in (["--env", "dev", "--json", "status"], ["status", "--env", "dev", "--json"]):
        answer = call(*arguments)
        assert answer.code == 2  # there is no pipeline yet
        assert answer.document["error"]["message"] == "there is no pipeline shapes-dev yet"
    assert call("--env", "prod", "status", "--env", "dev").code == 2  # the later one wins: prod would be refused


def test_json_errors_are_a_document(call: Call) -> None:
    answer = call("status", "--json")
    assert answer.code == 1
    assert "not running" in answer.document["error"]["message"]
    assert "cv-factory local up" in answer.document["error"]["hint"]


def test_traceback_only_with_v(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from contracts import settings

    monkeypatch.setattr(settings, "load", lambda *_: 1 / 0)
    answer = call("status")
    assert answer.code == 1 and "unexpected: ZeroDivisionError" in answer.err and "Traceback" not in answer.err
    assert "Run it again with -v" in answer.err
    assert "Traceback" in call("-v", "status").err


def test_full_disk_has_its_own_sentence(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from contracts import settings

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "/data/x")

    monkeypatch.setattr(settings, "load", full)
    answer = call("status")
    assert answer.code == 1 and "the disk is full (/data/x)" in answer.err and "goes on where it stopped" in answer.err


def test_wrong_account_is_refused_with_both_numbers(aws: Cloud, call: Call) -> None:
    answer = call("--env", "prod", "pipeline", "upsert")
    assert answer.code == 3
    assert "account 123456789012" in answer.err and "999988887777" in answer.err
    assert aws.client("sagemaker").list_pipelines()["PipelineSummaries"] == []


def test_no_credentials_and_no_answer(folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no AWS credentials" in call("--env", "dev", "status").err
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    answer = call("--env", "dev", "status")
    assert answer.code == 1 and "http://127.0.0.1:9" in answer.err
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "nobody" in call("--env", "dev", "status").err


def test_init_writes_settings_for_a_folder(folder: Path, call: Call, photos: Any) -> None:
    (folder / "factory.yaml").unlink()
    photos({"good": 3, "bad": 3})
    answer = call("init", "photos")
    assert answer.code == 0 and "cv-factory local up" in answer.out
    from contracts import settings

    text = (folder / "factory.yaml").read_text(encoding="utf-8")
    loaded = settings.load(folder / "factory.yaml")
    assert loaded.data.source == "./photos" and "# 3-20 of a-z" not in loaded.name and "#" in text
    assert loaded.gate.min_per_slice == {}
    (schema,) = re.findall(r"\$schema=(\S+)", text)
    assert json.loads((folder / schema).read_text(encoding="utf-8"))["title"] == "cv-factory settings"
    again = call("init", "photos")
    assert again.code == 2 and "exists already" in again.err


def test_init_refuses_a_folder_without_classes(folder: Path, call: Call) -> None:
    (folder / "factory.yaml").unlink()
    (folder / "empty").mkdir()
    answer = call("init", "empty")
    assert answer.code == 1 and "no class folders" in answer.err and not (folder / "factory.yaml").exists()


def test_json_is_one_document_on_standard_output(aws: Cloud, call: Call, photos: Any) -> None:
    photos()
    answer = call("--env", "dev", "data", "import", "photos", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["images"] == 24
    assert "Sheet of images" in answer.err
