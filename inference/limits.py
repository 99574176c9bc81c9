"""The server's limits, from its environment: the toolkit's variables where it has one, ours for the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from contracts import container, invocation
from contracts.errors import UsageError

#: The toolkit's variables; each means what it means there (``parameters.py`` of sagemaker-inference 1.10.1).
WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"
TIMEOUT_MINUTES = "SAGEMAKER_MODEL_SERVER_TIMEOUT"
TIMEOUT_SECONDS = "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS"
STARTUP_TIMEOUT = "SAGEMAKER_STARTUP_TIMEOUT"
MAX_PAYLOAD = "SAGEMAKER_MAX_PAYLOAD_IN_MB"
MULTI_MODEL = "SAGEMAKER_MULTI_MODEL"
#: Set by batch transform, whose requests may take an hour.
BATCH = "SAGEMAKER_BATCH"
_BATCH_SECONDS = 3600

#: What SageMaker's real-time endpoints accept.
DEFAULT_MAX_BODY_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Limits that hold whatever answers the requests.

    Attributes:
        queue: requests of a process that may wait for a thread; one more is a 503.
        deadline_seconds: from a request's headers to its answer.
        read_seconds: for a request's headers, and again for its body.
        max_headers, max_header_bytes: of a request.
        log_share: share of the requests whose line is logged, 0…1; errors of ours always are.
        workers: processes.
        threads: that answer at once, of each process; None: as many as there are processors for the image model, and
            one for a user module, which the toolkit would never call twice at a time.
        metrics_port: of the Prometheus page; None: there is none.
        startup_seconds: until the model must be loaded.
    """

    queue: int = 100
    deadline_seconds: float = 60.0
    read_seconds: float = 15.0
    max_headers: int = 64
    max_header_bytes: int = 16_384
    log_share: float = 1.0
    workers: int = 1
    threads: int | None = None
    metrics_port: int | None = None
    startup_seconds: float = 600.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ServerOptions:
        """Raises UsageError, which names the variable, for a value that is none."""
        own = cls()
        if environment.get(MULTI_MODEL, "").strip().lower() == "true":
            raise UsageError(f"{MULTI_MODEL} is true; this container serves one model", "Leave the variable away.")
        port = _whole(environment, invocation.METRICS_PORT_VARIABLE, -1, 0, 65535)
        threads = positive(environment, invocation.THREADS_VARIABLE, 0)
        return cls(
            queue=_whole(environment, invocation.QUEUE_VARIABLE, own.queue, 0, 100_000),
            deadline_seconds=_deadline(environment, own.deadline_seconds),
            read_seconds=positive(environment, invocation.READ_VARIABLE, int(own.read_seconds)),
            max_headers=positive(environment, invocation.MAX_HEADERS_VARIABLE, own.max_headers),
            max_header_bytes=positive(environment, invocation.MAX_HEADER_BYTES_VARIABLE, own.max_header_bytes),
            log_share=_share(environment, invocation.LOG_SHARE_VARIABLE, own.log_share),
            workers=positive(environment, WORKERS, own.workers),
            threads=threads or None,
            metrics_port=None if port < 0 else port,
            startup_seconds=positive(environment, STARTUP_TIMEOUT, int(own.startup_seconds)),
        )


def max_body_bytes(environment: Mapping[str, str] = os.environ) -> int:
    """The limit of a request's body: SageMaker's variable where it is set and not 0, else ours."""
    megabytes = _whole(environment, MAX_PAYLOAD, 0, 0, 4096)
    return megabytes * 2**20 or positive(environment, invocation.MAX_BODY_VARIABLE, DEFAULT_MAX_BODY_BYTES)


def port(environment: Mapping[str, str]) -> int:
    return _whole(environment, container.PORT_VARIABLE, container.SERVING_PORT, 0, 65535)


def positive(environment: Mapping[str, str], name: str, default: int) -> int:
    """A whole number of at least 1; a missing or empty variable is the default."""
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not _is_whole(text) or int(text) < 1:
        raise UsageError(f"{name} is {text!r}; it must be a whole number of at least 1")
    return int(text)


def _whole(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not _is_whole(text) or not least <= int(text) <= most:
        raise UsageError(f"{name} is {text!r}; it must be a whole number, {least} to {most}")
    return int(text)


def _share(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is {text!r}; it must be a number, 0 to 1")
    return value


def _deadline(environment: Mapping[str, str], default: float) -> float:
    """The toolkit's timeouts where one is set; its ``…_TIMEOUT`` is in minutes, and the one in seconds wins."""
    if environment.get(TIMEOUT_SECONDS, "").strip():
        return positive(environment, TIMEOUT_SECONDS, 1)
    if environment.get(TIMEOUT_MINUTES, "").strip():
        return 60 * positive(environment, TIMEOUT_MINUTES, 1)
    batch = environment.get(BATCH, "").strip().lower() == "true"
    return positive(environment, invocation.DEADLINE_VARIABLE, _BATCH_SECONDS if batch else int(default))


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
