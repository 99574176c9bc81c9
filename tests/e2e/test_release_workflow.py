"""The workflows' ``run:`` lines as they stand, in order, from an account with nothing in it to an answering endpoint.

Each job runs in a clone of its own with what its runner exports, in the role that it takes by its OIDC token, against a
local SageMaker that serves dev's account and enforces IAM. What a person does once is done in a person's clone, as the
account's owner: ``infra bootstrap`` and the first ``infra apply``, and ``data import``. One thing is a stand-in: there
is no Docker engine here, so what ``make images`` pushes is in the registry before that line runs (see ``push_images``),
which therefore finds nothing to build. tests/docker builds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.least_privilege.stack import HOST, token
from contracts import settings, source
from contracts.settings import Settings
from cv_factory import session
from cv_factory.operations import infra, local_base
from cv_factory.operations.base import images
from local_sagemaker import control
from local_sagemaker.control import ServerInfo
from tests.e2e.checkouts import Checkout, clone, repository
from tests.e2e.conftest import draw
from tests.terraform.mirror import find_mirror

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]

#: The only lines that are not executed here: whole suites, and this test is part of the second.
SUITES = {
    "make test",
    "make test-terraform",
    'sudo env "PATH=$PATH" PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make test-docker',
}
#: What the workflows' expressions come to on a push to main.
EXPRESSIONS = {"${{ inputs.environment || 'dev' }}": "dev"}
ACCOUNT, REGION = "222233334444", "eu-west-1"
SETTINGS = f"""\
name: released
aws: {{region: {REGION}, account_id: "111122223333"}}
data: {{source: ./images, protocol: random, test_share: 0.4}}
training: {{recipe: "training.tiny:Tiny", max_minutes: 10}}
gate: {{min: {{balanced_accuracy: 0.0}}, max: {{latency_ms: 1000}}, champion_margin: 1.0}}
github: {{repository: acme/released}}
environments:
  dev: {{aws: {{account_id: "{ACCOUNT}"}}, release: {{approval: automatic, strategy: all-at-once}}}}
"""


@dataclass(frozen=True)
class Job:
    """A job of a workflow: its ``run:`` lines, and the variables that the workflow sets for them."""

    name: str
    lines: list[str]
    environment: dict[str, str]
    signs_in: dict[str, str]


def jobs(origin: Checkout, workflow: str) -> Iterator[Job]:
    """The jobs in the order in which they run."""
    value = yaml.safe_load((origin.folder / ".github" / "workflows" / workflow).read_text(encoding="utf-8"))
    before: set[str] = set()
    for name, job in value["jobs"].items():
        needs = job.get("needs", [])
        assert {needs} <= before if isinstance(needs, str) else set(needs) <= before, f"{name} stands too early"
        before.add(name)
        variables = {**value.get("env", {}), **job.get("env", {})}
        yield Job(
            name,
            [step["run"] for step in job["steps"] if "run" in step],
            {key: EXPRESSIONS.get(text, text) for key, text in variables.items()},
            _role(job),
        )


#: The variables that name a role -> the role.
ROLES = {
    "AWS_PLAN_ROLE_ARN": "github-plan",
    "AWS_APPLY_ROLE_ARN": "github-apply",
    "AWS_RELEASE_ROLE_ARN": "github-release",
}


def _role(job: dict[str, Any]) -> dict[str, str]:
    """The role that a job takes, and what GitHub's token says of the job; empty for one that does not sign in."""
    for step in job["steps"]:
        if "configure-aws-credentials" in step.get("uses", ""):
            (variable,) = [name for name in ROLES if name in step["with"]["role-to-assume"]]
            where = "environment:dev" if "environment" in job else "ref:refs/heads/main"
            return {"role": ROLES[variable], "subject": f"repo:acme/released:{where}"}
    return {}


def signed_in(job: Job, dev: Settings, server: ServerInfo) -> dict[str, str]:
    """The variables that configure-aws-credentials sets."""
    if not job.signs_in:
        return {}
    claims = {"iss": f"https://{HOST}", "aud": "sts.amazonaws.com", "sub": job.signs_in["subject"]}
    sts = session.local_session(server.endpoint_url, REGION).client("sts")
    found = sts.assume_role_with_web_identity(
        RoleArn=dev.names.role_arn(job.signs_in["role"]),
        RoleSessionName="GitHubActions",
        WebIdentityToken=token(claims),
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerInfo]:
    """A SageMaker that serves dev's account: nothing is in it, and a role may what its policies allow."""
    try:
        info = control.start(tmp_path / "aws", ACCOUNT, REGION)
        local_base.enforce_iam(f"{info.endpoint_url}/_local", True)
        yield info
    finally:
        control.stop(tmp_path / "aws")


@pytest.fixture
def origin(tmp_path: Path, server: ServerInfo) -> Checkout:
    """The team's repository; its shells have what a signed-in runner has, with the server where AWS would be."""
    for name in ("home", "origin"):
        (tmp_path / name).mkdir()
    mirror = find_mirror()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "LANG": "C.UTF-8",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "AWS_ACCESS_KEY_ID": "fake",
        "AWS_SECRET_ACCESS_KEY": "fake",
        "CHECKPOINT_DISABLE": "1",
        **({infra.MIRROR_VARIABLE: mirror} if mirror else {}),
    }
    return repository(tmp_path / "origin", SETTINGS, environment)


def push_images(checkout: Checkout, dev: Settings, server: ServerInfo) -> None:
    """Stand-in for what ``make images`` does with an engine: building, pushing and signing both images.

    Their manifests are put under their source tags and signed; what runs for them is this interpreter with the
    checkout's code.
    """
    account = session.local_session(server.endpoint_url, REGION)
    ecr, kms, s3 = account.client("ecr"), account.client("kms"), account.client("s3")
    for image in source.IMAGES:
        manifest = images.manifest(dev.names, image, source.source_hash(image, checkout.folder))
        images.put(ecr, manifest)
        images.sign(kms, s3, dev.names, manifest)
    assert local_base.bind_images(dev, f"{server.endpoint_url}/_local", checkout.folder)


def test_from_a_push_to_an_answer(origin: Checkout, server: ServerInfo, tmp_path: Path) -> None:
    dev = settings.load(origin.folder / "factory.yaml", "dev")
    person = clone(origin, tmp_path / "person")
    draw(person.folder / "images", {"broken": 24, "whole": 36})
    for verb in ("infra bootstrap", "--yes infra apply"):  # the account's owner, once: the workflows' roles come of it
        person.run(f".venv/bin/cv-factory --env dev {verb}")

    ran = []
    for job in jobs(origin, "release.yml"):
        checkout = clone(origin, tmp_path / job.name, job.environment | signed_in(job, dev, server))
        if job.name == "images":
            refused = checkout.run("make images-check", fails=True)
            assert f"{dev.names.training_repository}:src-" in refused and "is not in the registry" in refused
            push_images(checkout, dev, server)
        for line in job.lines:
            printed = checkout.run(line)
            if line == "make images":
                assert printed.count(" is in the registry: sha256:") == len(source.IMAGES), printed
            assert line != "make env" or "Nothing to be done" in printed
        ran.append(job.name)
        if job.name == "base":
            person.run(".venv/bin/cv-factory --env dev data import ./images")
    assert ran == ["base", "images", "pipeline"]

    account = session.local_session(server.endpoint_url, REGION)
    sagemaker = account.client("sagemaker")
    (execution,) = sagemaker.list_pipeline_executions(PipelineName=dev.names.pipeline)["PipelineExecutionSummaries"]
    listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution["PipelineExecutionArn"])
    steps = {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}
    assert steps["Deploy"]["StepStatus"] == "Succeeded"
    registered = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    package = sagemaker.describe_model_package(ModelPackageName=registered)
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["ApprovalDescription"].startswith("Approved by its pipeline")
    assert package["MetadataProperties"]["CommitId"] == origin.commit

    name = dev.names.endpoint
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    assert f"Endpoint {name}: InService, serves {registered}" in person.run(".venv/bin/cv-factory --env dev status")
    picture = next((person.folder / "images" / "broken").glob("*.png"))
    answer = account.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name, ContentType="image/png", Body=picture.read_bytes()
    )
    assert json.loads(answer["Body"].read())["predicted_label"] in ("broken", "whole")

    # The next push: what ci.yml plans finds the base as release.yml left it, from a clone that is not the one it left.
    left_out, plans = set(), []
    for job in jobs(origin, "ci.yml"):
        left_out |= SUITES & {*job.lines}
        lines = [line for line in job.lines if line not in SUITES]
        if lines:
            checkout = clone(origin, tmp_path / f"ci-{job.name}", job.environment | signed_in(job, dev, server))
            plans += [checkout.run(line) for line in lines]
    assert left_out == SUITES
    assert plans[-1].count("No changes.") == len(infra.ROOTS), plans[-1]
