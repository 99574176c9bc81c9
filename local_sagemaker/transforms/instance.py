"""One instance of a transform job: the model's container, started once and never started again."""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker.endpoints.container import CannotLaunch, Container, launch, ping, prepare
from local_sagemaker.iam import workloads
from local_sagemaker.iam.access import Denied
from local_sagemaker.jobs import failures

if TYPE_CHECKING:
    from local_sagemaker.endpoints.settings import Settings
    from local_sagemaker.logs import LogStream
    from local_sagemaker.platform import Platform

_OWNER = "the transform job"
_LAST_LINES = 8


class Instance:
    """A container and its log; ``data_log`` is where SageMaker itself writes about the inputs."""

    def __init__(
        self, platform: Platform, settings: Settings, plan: dict[str, Any], folder: Path, region: str, group: str,
        job: str, instance_type: str,
    ) -> None:  # fmt: skip
        self.id = f"i-{secrets.token_hex(9)[:17]}"
        self._platform = platform
        self._settings = settings
        self._plan = plan
        self._base = folder / self.id
        self._region = region
        self._instance_type = instance_type
        stream = f"{job}/{self.id}-{int(platform.clock.time())}"
        self.log: LogStream = platform.logs.stream(group, stream, region)
        self.data_log: LogStream = platform.logs.stream(group, f"{stream}/data-log", region)
        self._place = (group, stream)
        self._container: Container | None = None

    @property
    def container(self) -> Container:
        """The started container."""
        if self._container is None:
            raise RuntimeError("the container was not launched")
        return self._container

    def prepare(self) -> None:
        """Download the model.

        Raises:
            JobFailed.
        """
        try:
            workloads.check_container(self._platform, self._plan, self._region, *self._place)
            prepare(self._platform, self._settings, self._plan, _OWNER, self._base)
        except (CannotLaunch, Denied) as error:
            raise failures.client_error(str(error)) from None

    def launch(self) -> None:
        """Start the container.

        Raises:
            JobFailed.
        """
        try:
            self._container = launch(
                self._platform, self._plan, _OWNER, self._base, self._region, self.log.write,
                self._instance_type,
            )  # fmt: skip
        except CannotLaunch as error:
            raise failures.client_error(str(error)) from None

    def await_ping(self, ending: threading.Event) -> None:
        """Wait until the container answers ``/ping`` with 200, or ``ending`` is set.

        Raises:
            JobFailed: it ended, or did not answer in time.
        """
        limit, delay = self._settings.startup_seconds, 0.05
        deadline = time.monotonic() + limit
        while not ending.is_set():
            code = self.container.child.wait(delay)
            if ending.is_set():
                return
            if code is not None:
                raise self.ended(code)
            if ping(self.container, self._settings.ping_seconds):
                return
            if time.monotonic() > deadline:
                raise self._failed(f"The container did not answer /ping with 200 within {limit:g} s.")
            delay = min(delay * 1.5, 1.0)

    def ended(self, code: int) -> failures.JobFailed:
        """The failure of a job whose container ended."""
        return self._failed(f"The container ended with exit code {failures.exit_code(code)}.")

    def terminate(self, grace: float) -> None:
        """End the container: SIGTERM, SIGKILL after ``grace`` seconds."""
        if self._container is not None:
            self._container.child.terminate(grace)

    def close(self, grace: float) -> None:
        """End the container and the connections to it. Its logs stay."""
        self.terminate(grace)
        if self._container is not None:
            self._container.close()
        self.log.close()
        self.data_log.close()

    def _failed(self, what: str) -> failures.JobFailed:
        """AWS's sentence, then what AWS leaves to the log."""
        lines = " | ".join(self.log.tail(_LAST_LINES))
        text = f"AlgorithmError: See job logs for more information. {what}"
        return failures.JobFailed(f"{text} Last lines: {lines}" if lines else text)
