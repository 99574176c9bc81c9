"""Limits of hosting on this machine. AWS's own values unless an environment variable of the server says otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """Each value is read from ``LOCAL_SAGEMAKER_HOSTING_<NAME>``, in seconds or bytes."""

    #: From the container's start to its first answered ping; a variant's own limit wins
    #: (ContainerStartupHealthCheckTimeoutInSeconds). AWS: 8 minutes.
    startup_seconds: float = 480.0
    #: "A container must respond to /ping within 2 seconds" (Use Your Own Inference Code with Hosting Services).
    ping_seconds: float = 2.0
    #: Between two pings of a container that serves.
    ping_interval_seconds: float = 5.0
    #: An answer of the model must come within 60 seconds (InvokeEndpoint).
    invocation_seconds: float = 60.0
    #: Request and answer (InvokeEndpoint, Body).
    body_bytes: int = 6_291_456
    #: Between SIGTERM and SIGKILL of a container.
    stop_seconds: float = 30.0
    #: The longest pause before a container that died is started again; the first is half a second.
    restart_seconds: float = 30.0
    #: Containers at a time on this machine, over all endpoints and with both fleets of an update.
    instances: int = 20
    #: Unpacked model data of one container.
    model_bytes: int = 20 * 1024**3
    model_files: int = 100_000

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Raises ValueError for a value that is no number."""
        given: dict[str, Any] = {}
        for field in fields(cls):
            text = environment.get(f"LOCAL_SAGEMAKER_HOSTING_{field.name.upper()}")
            if text is not None:
                given[field.name] = float(text) if field.name.endswith("_seconds") else int(text)
        return cls(**given)
