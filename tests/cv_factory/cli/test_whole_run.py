"""``run`` and ``run --demo`` against the real local SageMaker, with a network small enough for a test."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contracts.settings import load
from cv_factory import cli, session
from cv_factory.operations.base import vpc
from local_sagemaker import control
from tests.cv_factory.cli.conftest import Answer
from tests.cv_factory.helpers import ROOT

SETTINGS = """\
name: bars
aws: {region: eu-west-1, account_id: "123456789012"}
data: {source: ./images, protocol: random, test_share: 0.4}
training: {recipe: "tests.e2e.recipes:Tiny", max_minutes: 10}
gate: {min: {balanced_accuracy: 0.0}, max: {latency_ms: 5000, bundle_mb: 0.001}, champion_margin: 1.0}
environments:
  local: {release: {strategy: all-at-once, bake_minutes: 0}, network: {vpc: create}}
"""


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with settings and images; its local SageMaker runs."""
    folder = tmp_path_factory.mktemp("bars")
    (folder / "factory.yaml").write_text(SETTINGS, encoding="utf-8")
    random = np.random.default_rng(0)
    for label, light, count in (("broken", 60, 24), ("whole", 150, 36)):
        (folder / "images" / label).mkdir(parents=True)
        for number in range(count):
            pixels = np.clip(random.normal(light, 15, (40, 40)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "images" / label / f"{number:02}.png")
    state = folder / ".cv-factory" / "local"
    assert cli.call(["--file", str(folder / "factory.yaml"), "local", "up"]) == 0
    yield folder
    control.stop(state)


def call(factory: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> Answer:
    capsys.readouterr()
    code = cli.call(["--file", str(factory / "factory.yaml"), *arguments])
    printed = capsys.readouterr()
    return Answer(code, printed.out, printed.err)


def _hear_ctrl_c() -> None:
    """Tests that a shell runs in the background are started with SIGINT ignored, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def change(factory: Path, old: str, new: str) -> None:
    file = factory / "factory.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_refused_then_registered_then_known_then_served(factory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Ctrl-C leaves the execution running.
    with subprocess.Popen(
        [sys.executable, "-m", "cv_factory.cli", "--file", str(factory / "factory.yaml"), "run"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        preexec_fn=_hear_ctrl_c,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert any("Preprocess: Executing" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        left, _ = process.communicate()
    assert process.returncode == 130
    assert "The execution goes on" in left and "status --follow" in left and "pipeline stop" in left

    refused = call(factory, capsys, "status", "--follow")
    assert refused.code == 3
    assert "refused the model" in refused.err and "bundle size in MB" in refused.err
    assert "Train: Succeeded in" in refused.out
    change(factory, "bundle_mb: 0.001", "bundle_mb: 1000")

    first = call(factory, capsys, "run")
    assert first.code == 0, first.err
    for words in (
        "Train: Succeeded (cache)",
        "Report: ",
        "Sheet of images: ",
        "protocol random",
        "(PendingManualApproval)",
    ):
        assert words in first.out
    assert "approve 1" in first.out and "Endpoint" not in first.out

    # Nothing changed: the package that waits is named, and nothing is registered again.
    second = call(factory, capsys, "run", "--json")
    assert second.code == 0, second.err
    about = second.document
    steps = {step["name"]: step for step in about["steps"]}
    assert steps["Preprocess"]["cache_hit"] and steps["Train"]["cache_hit"] and "Register" not in steps
    assert (about["outcome"], about["model_package_status"]) == ("known", "PendingManualApproval")
    assert about["model_package_arn"].endswith(":model-package/bars-local/1") and about["prediction"] is None

    demo = call(factory, capsys, "run", "--demo", "--json")
    assert demo.code == 0, demo.err
    about = demo.document
    assert set(about) >= {
        "execution_arn", "status", "steps", "metrics", "protocol", "model_package_arn", "endpoint_name", "prediction",
        "seconds",
    }  # fmt: skip
    assert about["endpoint_name"] == "bars-local" and about["model_package_status"] == "Approved"
    assert set(about["prediction"]["probabilities"]) == {"broken", "whole"}
    assert about["prediction"]["true_label"] in ("broken", "whole")
    assert {"import", "upsert", "start", "pipeline", "deploy", "predict", "total"} <= set(about["seconds"])
    metric = about["metrics"]["balanced_accuracy"]
    assert metric["low"] <= metric["value"] <= metric["high"] and about["protocol"] == "random"

    # The champion is this very model: the endpoint is asked, not touched.
    again = call(factory, capsys, "run", "--demo", "--json")
    assert again.code == 0, again.err
    assert again.document["outcome"] in ("known", "nothing-new")
    assert again.document["prediction"]["predicted_label"] == about["prediction"]["predicted_label"]

    one = next((factory / "images" / "whole").iterdir())
    predicted = call(factory, capsys, "predict", str(one), "--json")
    assert predicted.document[0]["predicted_label"] in ("broken", "whole")
    (factory / "note.png").write_text("no picture", encoding="utf-8")
    no_picture = call(factory, capsys, "predict", str(factory / "note.png"))
    assert no_picture.code == 1 and "answered 400" in no_picture.err

    report = call(factory, capsys, "report")
    assert "<html" in Path(report.out.strip()).read_text(encoding="utf-8")[:2000].lower()
    status = call(factory, capsys, "status", "--logs")
    assert "InService" in status.out
    listed = json.loads(call(factory, capsys, "status", "--releases", "--json").out)
    assert [(each["version"], each["approval"], each["served"]) for each in listed["packages"]] == [
        (1, "Approved", True)
    ]
    (release,) = listed["releases"]
    assert (release["version"], release["state"]) == (1, "succeeded") and release["bundle_hash"]

    # network.vpc is create: jobs and the served model are in the VPC that local up made.
    settings = load(factory / "factory.yaml", "local")
    target = session.open(settings, factory / "factory.yaml")
    wanted = vpc.ensure(target.client("ec2"), settings)
    in_vpc = {"Subnets": wanted["subnets"], "SecurityGroupIds": wanted["security_groups"]}
    sagemaker = target.client("sagemaker")
    trained = sagemaker.list_training_jobs()["TrainingJobSummaries"][0]["TrainingJobName"]
    assert sagemaker.describe_training_job(TrainingJobName=trained)["VpcConfig"] == in_vpc
    processed = sagemaker.list_processing_jobs()["ProcessingJobSummaries"]
    for job in (sagemaker.describe_processing_job(ProcessingJobName=one["ProcessingJobName"]) for one in processed):
        assert job["NetworkConfig"]["VpcConfig"] == in_vpc
    served = sagemaker.list_models()["Models"][0]["ModelName"]
    assert sagemaker.describe_model(ModelName=served)["VpcConfig"] == in_vpc

    # Taken down, it stays down, until somebody asks for it.
    assert call(factory, capsys, "cleanup", "--all", "--yes").code == 0
    assert call(factory, capsys, "cleanup", "--verify").code == 0
    back = call(factory, capsys, "run", "--demo", "--json")
    assert back.code == 0, back.err
    assert "the endpoint is being created with version 1" in back.err
    assert back.document["prediction"]["predicted_label"] == about["prediction"]["predicted_label"]
