"""One run of the deployer's function in a process of its own, with one of its API calls struck.

The process is forked from one that has read the code and made the clients, as a warm Lambda has, but has never used
them. The SDK tries a call as often as in the Lambda; only the pauses between its tries are not waited.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.endpoint

from contracts import release
from deployment import clock, handler

#: The faults. The first three are the server's own (``/_local/faults``), by name.
BEFORE, AFTER, THROTTLED, KILLED = "error-before", "error-after", "throttling", "killed"
FAULTS = (BEFORE, AFTER, KILLED, THROTTLED)
#: Whose calls the server's faults strike.
ACCESS_KEY = "AKIADEPLOYERDEPLOYER"
_SERVICES = (
    "application-autoscaling", "cloudwatch", "ecr", "kms", "logs", "s3", "sagemaker", "sagemaker-runtime", "sns",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Strike:
    """``fault`` strikes the ``number``-th call (from 0) of a run."""

    fault: str
    number: int


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did.

    Attributes:
        calls: ``service.Operation`` in order.
        code: the process's exit code; 0: it answered, -9: it was killed.
        struck: how often the server refused the struck call; None: nothing was to be struck, or it was to be killed.
        answer: the function's; empty where it failed or was killed.
        error: the last line that it printed, where it failed.
    """

    calls: tuple[str, ...]
    code: int
    struck: int | None
    answer: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def action(self) -> str:
        return str(self.answer.get("action", ""))


class Deployer:
    """Runs of the deployer on a local SageMaker.

    Args:
        admin: calls the server's admin route.
        settings_uri: what the base gives the function.
        folder: for what a run tells.
    """

    def __init__(
        self, endpoint_url: str, region: str, settings_uri: str, admin: Callable[..., Any], folder: Path
    ) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ |= {
            "AWS_ENDPOINT_URL": endpoint_url, "AWS_DEFAULT_REGION": region, "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull, release.SETTINGS_VARIABLE: settings_uri,
        }  # fmt: skip
        self._admin, self._folder = admin, folder
        self._strike: Strike | None = None
        self._told = -1
        self._made = 0
        handler._session.cache_clear()
        session: Any = handler._session()
        clients = {service: session.client(service) for service in _SERVICES}
        for client in clients.values():
            client.meta.events.register("before-call", self._before)
            client.meta.events.register("after-call", self._after)
        session.client = clients.__getitem__

    def run(self, strike: Strike | None, offset: float) -> Run:
        """One run. ``offset``: seconds by which the server's clock is ahead."""
        told, printed = self._folder / "told.txt", self._folder / "printed.txt"
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self._told = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                output = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                os.dup2(output, 1)
                os.dup2(output, 2)
                self._act(strike, offset)
                code = 0
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        lines = [json.loads(line) for line in told.read_text().splitlines()]
        return Run(
            calls=tuple(line["call"] for line in lines if "call" in line),
            code=code,
            struck=next((line["struck"] for line in lines if "struck" in line), None),
            answer=next((line["answer"] for line in lines if "answer" in line), {}),
            error=_last_error(printed) if code > 0 else "",
        )

    # --- in the child -------------------------------------------------------------------------------------------------

    def _act(self, strike: Strike | None, offset: float) -> None:
        self._strike = strike
        ahead = timedelta(seconds=offset)
        clock.now = lambda: datetime.now(UTC) + ahead
        botocore.endpoint.time = types.SimpleNamespace(sleep=lambda seconds: None)  # type: ignore[attr-defined]
        answer = handler.handler({"action": release.SWEEP}, None)
        self._tell({"answer": answer})

    def _tell(self, value: dict[str, Any]) -> None:
        os.write(self._told, (json.dumps(value) + "\n").encode())

    def _before(self, model: Any, **_: Any) -> None:
        service, operation = model.service_model.service_name, model.name
        self._tell({"call": f"{service}.{operation}"})
        self._made += 1
        if self._is_now() and self._strike is not None and self._strike.fault != KILLED:
            fault = {"name": self._strike.fault, "service": service, "operation": operation, "access_key": ACCESS_KEY}
            self._admin("PUT", "faults", [fault])

    def _after(self, **_: Any) -> None:
        if not self._is_now() or self._strike is None:
            return
        if self._strike.fault == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        (fault,) = self._admin("GET", "faults")["faults"]
        self._admin("DELETE", "faults")
        self._tell({"struck": fault["struck"]})

    def _is_now(self) -> bool:
        return self._strike is not None and self._strike.number == self._made - 1


def _last_error(printed: Path) -> str:
    for line in reversed(printed.read_text(errors="replace").splitlines()):
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            return str(value.get("error") or value)[:500]
        return line[:500]
    return ""
