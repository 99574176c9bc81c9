"""An account on the local SageMaker with IAM enforced, a checkout that acts on it, and actors in their roles."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import urllib3
from PIL import Image

from contracts import settings, source
from contracts.errors import FactoryError
from contracts.settings import Settings
from cv_factory import session
from cv_factory.operations import infra, local_base
from local_sagemaker import control

ACCOUNT, REGION, ENV = "222233334444", "eu-west-1", "trial"
#: An account that reads packages and pulls images.
READER = "555566667777"
#: A bucket of the team's own, with the images.
PHOTOS = "their-photos"
REPOSITORY, BRANCH = "acme/widgets", "main"
HOST = "token.actions.githubusercontent.com"
#: Who a workflow is, as GitHub's token says.
PULL_REQUEST = f"repo:{REPOSITORY}:pull_request"
ENVIRONMENT = f"repo:{REPOSITORY}:environment:{ENV}"

SETTINGS = f"""\
name: widgets
aws: {{region: {REGION}, account_id: "{ACCOUNT}"}}
data: {{source: "s3://{PHOTOS}/solar", protocol: random, test_share: 0.4}}
training: {{recipe: "benchmarks.least_privilege.recipe:Tiny", max_minutes: 10, seed: 0}}
gate: {{min: {{balanced_accuracy: 0.0}}, max: {{latency_ms: 1000}}, champion_margin: 1.0}}
serving: {{capture_share: 0.25, max_instances: 2}}
release: {{strategy: all-at-once, bake_minutes: 0}}
operations: {{email: ml@example.com, log_days: 30}}
network: {{vpc: create, nat: true}}
github: {{repository: {REPOSITORY}, branch: {BRANCH}}}
environments: {{{ENV}: {{}}}}
"""
#: What PyTorch, Terraform and Python need of the machine; nothing of an AWS account.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", infra.MIRROR_VARIABLE)


class Refused(FactoryError):
    """A command ended as it should not have; the message has its output."""


@dataclass(frozen=True)
class Actor:
    """Somebody with credentials; ``keys`` are the variables of AWS's SDKs."""

    name: str
    keys: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Stack:
    """The account, and the folder from which commands act on it."""

    folder: Path
    endpoint: str

    @property
    def settings(self) -> Settings:
        return settings.load(self.folder / "factory.yaml", ENV)

    @property
    def root(self) -> Actor:
        """The account itself."""
        return Actor("root", {"AWS_ACCESS_KEY_ID": "root", "AWS_SECRET_ACCESS_KEY": "root"})

    # --- acting ------------------------------------------------------------------------------------------------------

    def run(self, actor: Actor, *arguments: str, fails: bool = False) -> str:
        """Run ``cv-factory --env …`` as an actor, as a process of its own; what it printed.

        Raises:
            Refused: it ended otherwise than expected.
        """
        code = "import sys; from cv_factory.cli import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code, "--env", ENV, *arguments],
            cwd=self.folder, env=self._environment(actor), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=1200, check=False,
        )  # fmt: skip
        if (done.returncode != 0) != fails:
            raise Refused(f"{actor.name}: cv-factory {' '.join(arguments)} ended with {done.returncode}", done.stdout)
        return done.stdout

    def _environment(self, actor: Actor) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {
            **kept,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CHECKPOINT_DISABLE": "1",
            "PYTHONPATH": str(self.folder),
            **actor.keys,
        }

    def client(self, actor: Actor, service: str) -> Any:
        """A boto3 client as an actor."""
        import boto3
        from botocore.config import Config

        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=actor.keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=actor.keys["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=actor.keys.get("AWS_SESSION_TOKEN"),
            config=Config(retries={"total_max_attempts": 1}, read_timeout=300),
        )

    # --- taking roles ------------------------------------------------------------------------------------------------

    def workflow(self, role: str, subject: str) -> Actor:
        """A workflow that takes ``github-<role>`` by its OIDC token."""
        claims = {"iss": f"https://{HOST}", "aud": "sts.amazonaws.com", "sub": subject}
        sts = self.client(self.root, "sts")
        answer = sts.assume_role_with_web_identity(
            RoleArn=self.settings.names.role_arn(f"github-{role}"), RoleSessionName="workflow",
            WebIdentityToken=token(claims),
        )  # fmt: skip
        return Actor(f"github-{role}", _keys(answer["Credentials"]))

    def person(self, role: str) -> Actor:
        """Somebody who takes a role of the account."""
        sts = self.client(self.root, "sts")
        arn = self.settings.names.role_arn(role)
        return Actor(role, _keys(sts.assume_role(RoleArn=arn, RoleSessionName="person")["Credentials"]))

    def service(self, role: str) -> Actor:
        """A role that only a service may take, for asking what it may: its trust is opened for a moment."""
        iam, name = self.client(self.root, "iam"), self.settings.names.role(role)
        trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        opened = {
            **trust,
            "Statement": [
                *trust["Statement"],
                {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"},
            ],
        }
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(opened))
        try:
            return self.person(role)
        finally:
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))

    # --- the server's switches ---------------------------------------------------------------------------------------

    def admin(self, method: str, path: str, document: Any = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        answer = urllib3.request(method, f"{self.endpoint}/_local/{path}", body=body, retries=False)
        if answer.status >= 400:
            raise FactoryError(f"{method} /_local/{path}: {answer.data.decode()}")
        return answer.json()

    def bind_images(self) -> None:
        local_base.bind_images(self.settings, f"{self.endpoint}/_local", self.folder)

    def target(self, actor: Actor) -> session.Target:
        """The target of an operation that runs in this process as an actor."""
        import boto3

        made = boto3.Session(
            aws_access_key_id=actor.keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=actor.keys["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=actor.keys.get("AWS_SESSION_TOKEN"),
            region_name=REGION,
        )
        stack = self

        class Local(boto3.Session):
            def client(self, service_name: str, **options: Any) -> Any:  # type: ignore[override]
                return stack.client(actor, service_name)

        local = Local(botocore_session=made._session, region_name=REGION)
        return session.Target(self.settings, self.folder / "factory.yaml", self.endpoint, local)


def token(claims: Mapping[str, str]) -> str:
    """An OIDC token with these claims. The local SageMaker cannot check its signature, and says so."""
    parts = [json.dumps({"alg": "RS256", "typ": "JWT"}), json.dumps(claims), "unsigned"]
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


def _keys(found: Mapping[str, Any]) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }


@contextlib.contextmanager
def opened(base: Path, *, enforce: bool = True) -> Iterator[Stack]:
    """A new, empty account, recorded from its first call, and a checkout of this repository that acts on it."""
    folder = base / "checkout"
    _copy(folder)
    (folder / "factory.yaml").write_text(SETTINGS)
    _draw(folder / "images", {"broken": 24, "whole": 36})
    server = control.start(base / "aws", ACCOUNT, REGION)
    try:
        stack = Stack(folder, server.endpoint_url)
        stack.admin("PUT", "iam", {"enforce": enforce, "record": True})
        yield stack
    finally:
        control.stop(base / "aws")


def _copy(folder: Path) -> None:
    """The files of this repository that are, or may be, under version control."""
    root = source.root()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)


def _draw(folder: Path, classes: dict[str, int], size: int = 40) -> None:
    """Images of noise: brighter in the first class, with a bar that says the class."""
    random = np.random.default_rng(0)
    for number, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = random.normal(90 + 40 * (number == 0), 12, (size, size))
            pixels[:, 6 * number : 6 * number + 4 * number] = 220
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{name}-{index:03}.png")
