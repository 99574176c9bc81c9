"""The definition is a function of the settings and the sources: of no machine, day, folder, locale or AWS set-up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from contracts import settings, source
from tests.pipeline_definition.update_golden import FACTORY, GOLDEN, SOURCE_HASH

# Builds each environment and prints, as JSON, what was built and every attempt to use the network, which is refused.
# The hook sees what C code does; whoever swallows the refusal is still found out.
BUILD = """
import json, sys, time
attempts = []
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        attempts.append(f"{event} {arguments[1:]}")
        raise OSError("no network")
sys.addaudithook(refuse)
shift = float(sys.argv[1])
real = time.time
time.time = lambda: real() + shift
import logging, os, warnings
import pipeline_definition
from contracts import settings
before = dict(os.environ)
handlers = logging.getLogger().handlers[:]
built = {
    env: pipeline_definition.build(settings.load(sys.argv[2], env), source_hash=sys.argv[3])
    for env in settings.environments(__import__("pathlib").Path(sys.argv[2]))
}
assert dict(os.environ) == before, "the environment was changed"
assert logging.getLogger().handlers == handlers, "the root logger was changed"
import boto3
assert boto3.DEFAULT_SESSION is None, "a session without keys was left behind"
print(json.dumps({"built": built, "attempts": attempts}))
"""


def _build(environment: dict[str, str], folder: Path, *, shift: float = 0, umask: int = -1) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(shift), str(FACTORY), SOURCE_HASH],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(source.root()), **environment},
        cwd=folder,
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == "", "the SDK talks to the user"
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _committed() -> dict[str, object]:
    return {
        env: json.loads((GOLDEN / f"{env}.json").read_text(encoding="utf-8")) for env in settings.environments(FACTORY)
    }


def _parsed(result: dict[str, object]) -> dict[str, object]:
    built = result["built"]
    assert isinstance(built, dict)
    return {env: json.loads(text) for env, text in built.items()}


def test_nothing_around_it_changes_a_byte(tmp_path: Path) -> None:
    """A bare environment, and one full of what the SDK would read, on another day, in another locale and folder."""
    home = tmp_path / "home"
    folder = tmp_path / "work" / "deep"
    folder.mkdir(parents=True)
    (tmp_path / "work" / ".sagemaker-code-config").write_text(
        json.dumps({"sagemakerProjectId": "p-1", "sagemakerProjectName": "intruder"})
    )
    for name in ("config", "credentials"):
        path = home / ".aws" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[default]\nregion = eu-west-3\nendpoint_url = http://intruder.invalid\n[broken\n")
    defaults = home / ".config" / "sagemaker" / "config.yaml"
    defaults.parent.mkdir(parents=True)
    defaults.write_text(
        "SchemaVersion: '1.0'\n"
        "SageMaker:\n"
        "  TrainingJob: {Environment: {INTRUDER: 'yes'}, Tags: [{Key: intruder, Value: 'yes'}]}\n"
        "  ProcessingJob: {Environment: {INTRUDER: 'yes'}, Tags: [{Key: intruder, Value: 'yes'}]}\n"
    )
    hostile = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "AWS_PROFILE": "does-not-exist",
        "AWS_REGION": "eu-west-3",
        "AWS_DEFAULT_REGION": "eu-west-3",
        "AWS_ENDPOINT_URL": "http://intruder.invalid:1",
        "AWS_ACCESS_KEY_ID": "AKIAINTRUDER",
        "AWS_SECRET_ACCESS_KEY": "intruder",
        "AWS_SESSION_TOKEN": "intruder",
        "AWS_ROLE_ARN": "arn:aws:iam::999999999999:role/intruder",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/does/not/exist",
        "AWS_CA_BUNDLE": "/does/not/exist",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(defaults),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(defaults),
        "SAGEMAKER_VALIDATE_ROLE": "true",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "TZ": "Pacific/Kiritimati",
        "PYTHONHASHSEED": "12345",
        "PYTHONUTF8": "0",
    }
    plain = _build({"HOME": str(tmp_path / "nobody"), "PYTHONHASHSEED": "1"}, Path("/"))
    other = _build(hostile, folder, shift=40 * 86400.0, umask=0o077)

    assert plain["attempts"] == [] and other["attempts"] == []
    assert plain["built"] == other["built"]
    assert _parsed(plain) == _committed()


def test_importing_the_room_does_not_import_the_sdk() -> None:
    code = (
        "import sys, pipeline_definition; print(sorted({'sagemaker', 'boto3', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=source.root(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_sdk_the_error_says_how_to_get_it_and_nothing_is_left_changed() -> None:
    code = (
        "import os, sys; sys.modules['sagemaker'] = None\n"
        "import pipeline_definition\n"
        "from contracts import settings\n"
        "before = dict(os.environ)\n"
        "try:\n    pipeline_definition.build(settings.load('factory.yaml'), source_hash='0')\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
        "assert dict(os.environ) == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=source.root(), capture_output=True, text=True, check=True)
    assert done.stdout.startswith("UsageError the SageMaker SDK cannot be imported")
    assert "pip install -e '.[pipeline]'" in done.stdout
