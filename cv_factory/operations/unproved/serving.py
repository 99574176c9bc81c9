"""A model that answers what its container sees, for the checks of endpoints and of batch transform."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path
from typing import Any, Literal

from contracts import archives
from cv_factory.operations.unproved.bench import CONTAINERS, Bench

Role = Literal["endpoint", "job"]

#: A picture of one pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
#: What the model's file says, and the endpoint's answers with it.
PROOF = "read from /opt/ml/model"


def archive(bench: Bench, below: str = "packages/") -> str:
    """The URI of the model's archive: the module ``code/inference.py`` and one file."""
    with tempfile.TemporaryDirectory() as folder:
        proof = Path(folder, "proof.txt")
        proof.write_text(PROOF)
        packed = io.BytesIO()
        archives.pack(packed, {"code/inference.py": CONTAINERS / "serving.py", "proof.txt": proof})
    return str(bench.put("model/model.tar.gz", packed.getvalue(), below=below))


def create_model(
    bench: Bench, word: str, *, role: Role = "endpoint", below: str = "packages/", **environment: str
) -> str:
    """Create a model of the serving image with that archive; its name."""
    container = {"Image": bench.image("inference"), "ModelDataUrl": archive(bench, below), "Environment": environment}
    return create(bench, word, container, role)


def create(bench: Bench, word: str, container: dict[str, Any], role: Role = "endpoint") -> str:
    """Create a model of one container; its name."""
    name = bench.make("model", word)
    settings = bench.target.settings
    bench.client("sagemaker").create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn=settings.role_arn(role), Tags=bench.tags
    )
    return name


def package(bench: Bench, word: str, group: str, **environment: str) -> str:
    """Register the model as a package that waits for approval; its ARN."""
    container: dict[str, Any] = {"Image": bench.image("inference"), "ModelDataUrl": archive(bench)}
    if environment:
        container["Environment"] = environment
    answer = bench.client("sagemaker").create_model_package(
        ModelPackageGroupName=group,
        ModelPackageDescription=f"made by make test-aws: {word}",
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )
    return str(answer["ModelPackageArn"])


def create_group(bench: Bench, word: str) -> str:
    """Create a package group of this run; its name."""
    name = bench.make("package-group", word)
    bench.client("sagemaker").create_model_package_group(ModelPackageGroupName=name, Tags=bench.tags)
    return name
