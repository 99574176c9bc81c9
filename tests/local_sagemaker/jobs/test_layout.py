"""Rewriting of /opt/ml, and network isolation."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_sagemaker.children import CannotIsolate
from local_sagemaker.jobs import layout
from tests.local_sagemaker.jobs.harness import LocalSageMaker, processing

BASE = Path("/state/algo-1")
GROUP = "/aws/sagemaker/ProcessingJobs"


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("/opt/ml", "/state/algo-1"),
        ("/opt/ml/model", "/state/algo-1/model"),
        ("--path=/opt/ml/model/", "--path=/state/algo-1/model/"),
        ("a:/opt/ml/a:/opt/ml/b", "a:/state/algo-1/a:/state/algo-1/b"),
        ('{"x": "/opt/ml"}', '{"x": "/state/algo-1"}'),
        ("file:///opt/ml/x", "file:///state/algo-1/x"),
        ("It is in /opt/ml.", "It is in /state/algo-1."),
        ("/opt/mlflow", "/opt/mlflow"),
        ("/opt/ml-data", "/opt/ml-data"),
        ("/opt/ml.d", "/opt/ml.d"),
        ("s3://bucket/opt/ml/x", "s3://bucket/opt/ml/x"),
        ("/my/opt/ml", "/my/opt/ml"),
        ("./opt/ml", "./opt/ml"),
    ],
)
def test_only_the_folder_itself_is_rewritten(text: str, rewritten: str) -> None:
    assert layout.rewrite(text, BASE) == rewritten


def test_a_folder_with_special_characters() -> None:
    assert layout.rewrite("/opt/ml/x", Path(r"/a\1 b")) == r"/a\1 b/x"


ISOLATED = {"NetworkConfig": {"EnableNetworkIsolation": True}}


def test_isolation_that_cannot_be_enforced_fails_the_job(
    sagemaker: LocalSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise CannotIsolate("no namespaces here")

    monkeypatch.setattr(sagemaker.platform.children, "_check_isolation", refuse)
    sagemaker("CreateProcessingJob", **processing("alone", "true", **ISOLATED))
    reason = sagemaker.wait("alone")["FailureReason"]
    assert reason == "ClientError: EnableNetworkIsolation cannot be enforced here. no namespaces here"


@pytest.mark.docker
def test_an_isolated_job_has_neither_network_nor_credentials(sagemaker: LocalSageMaker) -> None:
    script = (
        "env | grep -c -e ^AWS_ACCESS -e ^AWS_SECRET -e ^AWS_SESSION -e ^AWS_ENDPOINT; cat /proc/net/dev | grep -c eth0"
    )
    sagemaker("CreateProcessingJob", **processing("alone", script + "; true", **ISOLATED))
    assert sagemaker.wait("alone")["ProcessingJobStatus"] == "Completed"
    assert sagemaker.log(GROUP, "alone") == ["0", "0"]
