"""Terraform with the real AWS provider against the local SageMaker; one apply for all tests of the folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts import source
from contracts.settings import DEFAULTS, Settings, load
from cv_factory import session as sessions
from cv_factory.operations import infra, local_base
from cv_factory.operations.base import templates
from cv_factory.session import Target
from local_sagemaker import control
from tests.terraform.mirror import find_mirror

#: Every section that changes what is made has a value of its own here.
FACTORY_YAML = """\
name: widgets
aws: {region: eu-west-1, account_id: "123456789012"}
data: {source: "s3://their-bucket/photos"}
serving: {capture_share: 0.25, image_url_hosts: [images.example.com, cdn.example.com], max_instances: 3}
network: {vpc: create, nat: true, isolated: [train]}
operations: {email: ml@example.com, log_days: 14, budget_usd: 50, images_keep: 7, reserved_concurrency: 2}
release: {readers: ["210987654321", "111122223333"], owners: ["arn:aws:iam::123456789012:role/lead"]}
github: {repository: acme/widgets, branch: trunk}
environments:
  local: {release: {strategy: linear, percent: 20, bake_minutes: 3}}
  dev:
    aws: {existing: {job_role: null, oidc_provider: ~, endpoint_role: "arn:aws:iam::123456789012:role/theirs"}}
    serving: {instance_type: ml.g4dn.xlarge}
    data: {source: ./photos}
"""


@dataclass(frozen=True)
class Stack:
    """A local SageMaker with a base in it."""

    target: Target

    @property
    def settings(self) -> Settings:
        return self.target.settings

    def client(self, service: str) -> Any:
        return self.target.client(service)

    def terraform(self, root: str, *args: str) -> int:
        return infra.terraform(self.target, root, args)

    def output(self, root: str, *args: str) -> Any:
        """The JSON that a Terraform command prints."""
        folder = templates.folder() / root
        done = subprocess.run(
            ["terraform", f"-chdir={folder}", *args],
            env=infra._environment(self.target, root), capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of what Terraform reads, so that nothing is written into the repository."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(source.root() / "terraform", root / "terraform", ignore=shutil.ignore_patterns(".terraform*"))
    (root / "contracts").mkdir()
    shutil.copy(DEFAULTS, root / "contracts")
    (root / "factory.yaml").write_text(FACTORY_YAML)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "folder", lambda: root / "terraform")
        patch.setattr(infra, "build_folder", lambda: root / "build")
        patch.setenv("CHECKPOINT_DISABLE", "1")
        patch.delenv("TF_CLI_CONFIG_FILE", raising=False)
        mirror = find_mirror()
        if mirror:
            patch.setenv(infra.MIRROR_VARIABLE, mirror)
        yield root


def start(folder: Path, file: Path) -> Stack:
    settings = load(file, "local")
    server = control.start(folder, settings.aws.account_id, settings.aws.region)
    session = sessions.local_session(server.endpoint_url, server.region)
    return Stack(Target(settings, file, server.endpoint_url, session))


@pytest.fixture(scope="session")
def applied(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """What Terraform makes for env local."""
    folder = tmp_path_factory.mktemp("terraform")
    stack = start(folder, checkout / "factory.yaml")
    try:
        assert infra.state_bucket.ensure(stack.target)
        infra.package.main([str(infra._zip())])
        for root in infra.ROOTS:
            assert stack.terraform(root, "apply", "-auto-approve", "-input=false") == 0
        yield stack
    finally:
        control.stop(folder)


@pytest.fixture(scope="session")
def ensured(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """What the local base makes of the same settings."""
    folder = tmp_path_factory.mktemp("base")
    stack = start(folder, checkout / "factory.yaml")
    try:
        local_base.ensure(stack.settings, stack.target.session)
        yield stack
    finally:
        control.stop(folder)
