"""Where SageMaker puts things in a container, and how our entry points are called.

Source: SageMaker Developer Guide, "How Amazon SageMaker AI Runs Your Training Image", "How Amazon SageMaker Processing
Runs Your Processing Container Image" and "Use Your Own Inference Code with Hosting Services".
``SAGEMAKER_BASE_DIR`` replaces ``/opt/ml``, as in the SageMaker toolkits.
"""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR_VARIABLE = "SAGEMAKER_BASE_DIR"
DEFAULT_BASE = "/opt/ml"

#: What ContainerEntrypoint names; ``python`` is the image's own interpreter.
PREPROCESS = ("python", "-m", "training.preprocess")
TRAIN = ("python", "-m", "training.train")
EVALUATE = ("python", "-m", "training.evaluate")
SERVE = ("python", "-m", "inference.server")

SERVING_PORT = 8080
#: Where the server listens: the port is SageMaker's variable; the host is ours, named like it (0.0.0.0 unless set).
PORT_VARIABLE = "SAGEMAKER_BIND_TO_PORT"
HOST_VARIABLE = "SAGEMAKER_BIND_TO_HOST"

#: Local paths of the processing inputs and outputs that the definition names.
PROCESSING_INPUT = f"{DEFAULT_BASE}/processing/input"
PROCESSING_OUTPUT = f"{DEFAULT_BASE}/processing/output"
#: A training job's checkpoints; CheckpointConfig.LocalPath.
CHECKPOINTS = f"{DEFAULT_BASE}/checkpoints"

#: A failure message is cut to this many characters (DescribeTrainingJob, FailureReason).
MAX_FAILURE_CHARACTERS = 1024


def base() -> Path:
    """The folder that is ``/opt/ml`` here."""
    return Path(os.environ.get(BASE_DIR_VARIABLE, DEFAULT_BASE))


def local(path: str) -> Path:
    """``/opt/ml/...`` as a path on this machine."""
    if path == DEFAULT_BASE or path.startswith(DEFAULT_BASE + "/"):
        return base() / path[len(DEFAULT_BASE) :].lstrip("/")
    return Path(path)
