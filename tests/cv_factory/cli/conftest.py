"""The command line in this process, in a folder with a ``factory.yaml``, against moto as environment ``dev``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cv_factory import cli
from tests.cv_factory.helpers import FACTORY_YAML, Cloud, plain_moto

ENVIRONMENTS = """\
environments:
  dev: {}
  prod: {aws: {account_id: "999988887777"}}
"""


@dataclass(frozen=True)
class Answer:
    """What a call printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Answer]


@pytest.fixture(scope="session")
def _moto() -> Iterator[Cloud]:
    """One server for all tests of the command line."""
    with plain_moto() as url:
        it = Cloud(url)
        yield it
        it.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with settings for local, dev and prod; no AWS configuration of the shell."""
    (tmp_path / "factory.yaml").write_text(FACTORY_YAML + ENVIRONMENTS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    return tmp_path


@pytest.fixture
def call(folder: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """``call("status", "--json")``: the command line."""

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        code = cli.call(list(arguments))
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return run


@pytest.fixture
def aws(cloud: Cloud, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The shell's AWS configuration leads to moto, with the data bucket of environment dev."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    cloud.client("s3").create_bucket(
        Bucket="shapes-dev-data-123456789012", CreateBucketConfiguration={"LocationConstraint": cloud.region}
    )
    return cloud
