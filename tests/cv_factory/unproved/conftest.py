"""An environment with its base on a local SageMaker, and the command that tries the checks in it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from contracts.settings import load
from cv_factory import session
from cv_factory.operations import local_base, state
from cv_factory.operations.base import dockerfile
from cv_factory.operations.data.importing import import_data
from cv_factory.operations.reporter import Reporter
from cv_factory.session import Target
from local_sagemaker import control
from tests.cv_factory.helpers import encoded
from tests.e2e.conftest import environment

FACTORY_YAML = """\
name: shapes
aws: {region: eu-west-1, account_id: "123456789012"}
data: {source: ./photos, protocol: random, test_share: 0.25, seed: 0}
gate: {min: {balanced_accuracy: 0.5}}
environments:
  local: {release: {strategy: all-at-once, bake_minutes: 0}}
"""
#: Short limits, so that what AWS gives minutes takes seconds.
HOSTING = {
    "STARTUP_SECONDS": "20", "PING_INTERVAL_SECONDS": "0.2", "STOP_SECONDS": "3", "RESTART_SECONDS": "1",
}  # fmt: skip
#: What stands for the training steps: they write one file where the real ones write their results.
STEPS = {
    "preprocess": "processing/output/dataset",
    "train": "model",
}
_STEP = """\
import os
from pathlib import Path

target = Path(os.environ["SAGEMAKER_BASE_DIR"], {folder!r})
target.mkdir(parents=True, exist_ok=True)
(target / "result.txt").write_text("made")
"""


@dataclass
class Account:
    """The environment ``local`` of a folder, and its server."""

    folder: Path
    target: Target

    @property
    def file(self) -> Path:
        return self.folder / "factory.yaml"

    def client(self, service: str) -> Any:
        return self.target.client(service)

    def bind(self, image: str, **more: str) -> None:
        """Bind an image as it is bound, with more variables."""
        body = dockerfile.binding(image, local_base.image_pattern(self.target.settings, image))
        if image == "training":
            self.add_steps(body)
        body["environment"] |= more
        self.bindings("PUT", body)

    def unbind(self, pattern: str) -> None:
        self.bindings("DELETE", {"pattern": pattern})

    def add_steps(self, body: dict[str, Any]) -> None:
        """The folder in which ``training.preprocess`` and ``training.train`` take no time."""
        folder = self.folder / "steps"
        (folder / "training").mkdir(parents=True, exist_ok=True)
        (folder / "training" / "__init__.py").touch()
        for step, output in STEPS.items():
            (folder / "training" / f"{step}.py").write_text(_STEP.format(folder=output))
        body["environment"]["PYTHONPATH"] = str(folder)
        body["working_dir"] = str(folder)

    def bindings(self, method: str, body: dict[str, Any]) -> None:
        """Ask the local server's route for image bindings; there need not be one to delete."""
        connection = http.client.HTTPConnection(urlsplit(self.target.endpoint).netloc)
        try:
            connection.request(method, "/_local/images", json.dumps(body), {"Content-Type": "application/json"})
            assert connection.getresponse().status in (200, 404)
        finally:
            connection.close()

    def command(self, *arguments: str) -> list[str]:
        """The command line of ``make test-aws`` for this environment."""
        fixed = ["--env", "local", "--against-the-local-sagemaker", "--file", str(self.file)]
        return [sys.executable, "-m", "cv_factory.operations.unproved", *fixed, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=self.folder, env=environment(), capture_output=True, text=True, check=False
        )

    def left(self) -> list[str]:
        """What is in the account and was made by a check, and the lists that runs have left."""
        sagemaker, s3, bucket = self.client("sagemaker"), self.client("s3"), self.target.settings.names.artifact_bucket
        listed = {
            "PipelineName": sagemaker.list_pipelines()["PipelineSummaries"],
            "ModelName": sagemaker.list_models()["Models"],
            "EndpointName": sagemaker.list_endpoints()["Endpoints"],
            "EndpointConfigName": sagemaker.list_endpoint_configs()["EndpointConfigs"],
            "ModelPackageGroupName": sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"],
            "RoleName": self.client("iam").list_roles()["Roles"],
            "Name": self.client("events").list_rules()["Rules"],
        }
        names = [item[member] for member, items in listed.items() for item in items]
        names += self.client("sqs").list_queues().get("QueueUrls", [])
        names += [item["Key"] for item in s3.list_object_versions(Bucket=bucket).get("Versions", [])]
        names += [item["logGroupName"] for item in self.client("logs").describe_log_groups()["logGroups"]]
        found = [name for name in names if "unproved" in name or name.startswith("runs/")]
        return found + [str(path) for path in (self.target.state / "unproved").glob("*.made.json")]


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("unproved")
    (folder / "factory.yaml").write_text(FACTORY_YAML)
    for number in range(24):
        photo = folder / "photos" / ("cat" if number % 2 else "dog") / f"{number:02}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(encoded(number))
    settings = load(folder / "factory.yaml", "local")
    where = state.folder(folder / "factory.yaml", "local")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in HOSTING.items():
            patch.setenv(f"LOCAL_SAGEMAKER_HOSTING_{name}", value)
        server = control.start(where, settings.aws.account_id, settings.aws.region)
    try:
        made = Account(folder, session.open(settings, folder / "factory.yaml"))
        local_base.ensure(settings, made.target.session, f"{server.endpoint_url}/_local")
        made.bind("training")
        import_data(
            "./photos", settings=settings, base=folder, state=where, client=made.target.client, reporter=Reporter()
        )
        yield made
    finally:
        control.stop(where)
