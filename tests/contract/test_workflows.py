"""The workflows: thin, pinned, with no right that a job does not need; and every line runs on a laptop too.

``tests/e2e/test_release_workflow.py`` runs them.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from contracts import source

ROOT = source.root()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent


def workflow(path: Path) -> dict[str, Any]:
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


#: Which role each job that signs in takes: a variable of the repository or of the environment.
ROLES = {
    "ci.plan": "AWS_PLAN_ROLE_ARN",
    "release.base": "AWS_APPLY_ROLE_ARN",
    "release.images": "AWS_RELEASE_ROLE_ARN",
    "release.pipeline": "AWS_RELEASE_ROLE_ARN",
}


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [(f"{path.stem}.{name}", job) for path in WORKFLOWS for name, job in workflow(path)["jobs"].items()]


def lines() -> list[tuple[str, str]]:
    return [(name, step["run"]) for name, job in jobs() for step in job["steps"] if "run" in step]


def test_there_are_two_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("tool", [["actionlint"], ["zizmor", "--offline", "--quiet", "--persona=pedantic", ".github"]])
def test_the_linters_have_nothing_to_say(tool: list[str]) -> None:
    done = subprocess.run([str(BIN / tool[0]), *tool[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("job", "line"), lines())
def test_a_line_is_a_make_target_or_a_command_and_runs_as_it_stands(job: str, line: str) -> None:
    assert "\n" not in line.strip() and "${{" not in line, "values come in by the environment"
    words = shlex.split(line)
    if words[:2] == ["sudo", "env"]:  # as root, with these variables
        words = words[2:]
        while "=" in words[0]:
            words.pop(0)
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
        assert len(words) == 2 and words[1] in targets
        return
    assert words[0] == ".venv/bin/cv-factory"
    from cv_factory.cli import app

    command: Any = typer.main.get_command(app)
    rest = [word for word in words[1:] if word not in ("--env", "$ENV", "--yes")]
    while rest and hasattr(command, "commands"):
        assert rest[0] in command.commands, f"{rest[0]} is no command"
        command = command.commands[rest.pop(0)]
    if command.name != "infra":
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(rest) <= known


def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        uses = re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8"))
        for name, rest in uses:
            action, _, commit = name.partition("@")
            assert re.fullmatch(r"[0-9a-f]{40}", commit) and re.fullmatch(r" # v\d+\.\d+\.\d+", rest), name
            pins.setdefault(action, set()).add(commit + rest)
    assert all(len(commits) == 1 for commits in pins.values()), "one version of an action"


@pytest.mark.parametrize(("name", "job"), jobs())
def test_a_job_has_the_rights_that_its_steps_need(name: str, job: dict[str, Any]) -> None:
    signs_in = any("configure-aws-credentials" in step.get("uses", "") for step in job["steps"])
    assert job["permissions"] == ({"contents": "read", "id-token": "write"} if signs_in else {"contents": "read"})
    plans = name == "ci.plan"
    assert ("environment" in job) == (signs_in and not plans), "roles that write trust an environment"
    assert job["timeout-minutes"] <= 180
    checkout = job["steps"][0]
    assert checkout["uses"].startswith("actions/checkout@") and checkout["with"] == {"persist-credentials": False}
    for step in job["steps"]:
        if "configure-aws-credentials" in step.get("uses", ""):
            assert set(step["with"]) == {"role-to-assume", "aws-region"}, "no long-lived key"
            assert step["with"]["role-to-assume"] == f"${{{{ vars.{ROLES[name]} }}}}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_is_granted_for_a_whole_workflow_and_releases_do_not_overtake_each_other(path: Path) -> None:
    value = workflow(path)
    assert value["permissions"] == {} and "group" in value["concurrency"]
    if path.stem == "release":
        assert value["concurrency"]["cancel-in-progress"] is False
        assert list(value["jobs"]) == ["base", "images", "pipeline"]
        assert [value["jobs"][name].get("needs") for name in ("images", "pipeline")] == ["base", "images"]


def test_pull_requests_sign_in_only_to_plan_and_forks_never() -> None:
    found = workflow(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    assert [name for name, job in found.items() if "id-token" in job["permissions"]] == ["plan"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in found["plan"]["if"]
    (line,) = [step["run"] for step in found["plan"]["steps"] if "cv-factory" in step.get("run", "")]
    assert line.endswith(" infra plan -lock=false"), "its role may not write a lock"
    triggers = workflow(ROOT / ".github" / "workflows" / "release.yml")[True]  # YAML 1.1 reads the key `on` as true
    assert set(triggers) == {"push", "workflow_dispatch"}
