"""A local SageMaker of one's own with the base of an environment ``local``, and a deployer on that server's clock.

The rules that call the deployer's function are off: here the deployer is called in this process, after each step of the
driven clock, as the sweep calls it, and what it takes for the time is the server's clock. (A function's process has the
machine's clock, which the driven one runs ahead of: the share of a label on the day before would be that of another
day.)
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.bad_model.kinds import Behaviour
from contracts.settings import load
from cv_factory import session as sessions
from cv_factory.operations import local_base
from deployment import clock, ledger
from deployment.aws import read_settings
from deployment.outcome import Outcome
from deployment.packages import Package
from deployment.reconcile import reconcile
from local_sagemaker import control
from tests.deployment.checks.factory import Calls, Factory
from tests.waiting import eventually

STRATEGIES = ("canary", "linear", "rolling", "all-at-once")
INSTANCES = 4
#: Of canary, of each step of linear, and of a batch of rolling: one instance of four.
PERCENT = 25
BAKE_MINUTES = 10
#: The defaults, but for ``label_shift``: a quarter of the traffic cannot move a share by the default, 0.3.
GUARDS = {"errors_5xx": 5, "share_4xx": 0.5, "latency_p99_ms": 2000, "memory_percent": 90, "label_shift": 0.1}
#: Limits of hosting that are minutes on AWS, in seconds; and room for what two fleets need.
_HOSTING = {"PING_INTERVAL_SECONDS": "0.5", "RESTART_SECONDS": "1", "STOP_SECONDS": "5", "INSTANCES": "40"}
_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack")
#: Seconds that an endpoint may take for what does not hang on the driven clock: a bound for a bug, not a measure.
_LONGEST = 180.0


@dataclass
class Place:
    """The server, what a pipeline leaves in it, and its deployer."""

    made: Factory
    folder: Path
    url: str
    #: (this machine's time, how far the server's clock is ahead from then on), newest last.
    moves: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def endpoint(self) -> str:
        return self.made.release.names.endpoint

    def now(self) -> float:
        """The server's clock, seconds since the epoch."""
        return time.time() + self.moves[-1][1]

    def advance(self, seconds: float) -> None:
        before = time.time()
        _admin(self.url, "POST", "clock", {"advance": seconds})
        self.moves.append((before, self.moves[-1][1] + seconds))

    def at(self, moment: float) -> float:
        """This machine's time of a moment on the server's clock."""
        return moment - next(ahead for since, ahead in reversed(self.moves) if moment >= since + ahead)

    def package(self, behaviour: Behaviour) -> Package:
        """A package that waits for its approval."""
        return self.made.package(
            model=behaviour.model(), expected=behaviour.expected(), approval="PendingManualApproval"
        )

    def approve(self, package: Package) -> None:
        self.made.client("sagemaker").update_model_package(ModelPackageArn=package.arn, ModelApprovalStatus="Approved")

    def sweep(self) -> Outcome:
        """The deployer does what is due."""
        return reconcile(self.made.session, self.made.release)

    def described(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.made.client("sagemaker").describe_endpoint(EndpointName=self.endpoint)
        return answer

    def releases(self) -> list[ledger.Release]:
        """Newest first."""
        return list(ledger.releases(self.made.client("s3"), self.made.release))

    def serve(self, package: Package) -> str:
        """Approve the first package and wait until its release has ended well; the configuration that is served."""
        self.approve(package)

        def served() -> str:
            self.sweep()
            now, told = self.described(), self.releases()[0]
            assert told.open or told.state == ledger.SUCCEEDED, f"the good model is {told.state}: {told.reason}"
            done = now["EndpointStatus"] == "InService" and not told.open
            return str(now["EndpointConfigName"]) if done else ""

        return eventually(served, "the good model's release", _LONGEST)


@contextmanager
def opened(folder: Path, strategy: str, *, toy: bool = True) -> Iterator[Place]:
    """A place in ``folder``, until the block ends. ``toy``: the serving image is the toy container."""
    (folder / "factory.yaml").write_text(
        'name: widgets\naws: {region: eu-west-1, account_id: "123456789012"}\ndata: {source: ./photos}\n'
        f"serving: {{instance_count: {INSTANCES}, max_instances: {INSTANCES}}}\n"
        f"release: {{strategy: {strategy}, percent: {PERCENT}, bake_minutes: {BAKE_MINUTES}, staging: false,"
        f" guards: {json.dumps(GUARDS)}}}\n"
    )
    settings = load(folder / "factory.yaml", "local")
    with mock.patch.dict(os.environ, {f"LOCAL_SAGEMAKER_HOSTING_{name}": value for name, value in _HOSTING.items()}):
        server = control.start(folder / "state", settings.aws.account_id, settings.aws.region)
    try:
        session = sessions.local_session(server.endpoint_url, server.region)
        cached: dict[str, Any] = {}
        make: Any = session.client
        with (
            mock.patch.object(
                session, "client", lambda name: cached[name] if name in cached else cached.setdefault(name, make(name))
            ),
        ):
            calls = Calls(session)
            local_base.ensure(settings, session, f"{server.endpoint_url}/_local")
            for rule in (settings.names.registry_rule, settings.names.endpoint_rule, settings.names.sweep_rule):
                session.client("events").disable_rule(Name=rule)
            release = read_settings(session, settings.names.artifacts("release/settings.json"))
            place = Place(Factory(settings, session, release, folder, server.port, calls), folder, server.endpoint_url)
            if toy:
                binding = {
                    "pattern": f"{settings.names.registry}/{settings.names.inference_repository}@*",
                    "entrypoint": [sys.executable, str(Path(__file__).with_name("container.py"))],
                    "environment": {"JOURNAL": str(place.journal)},
                    "working_dir": str(folder),
                }
                _admin(server.endpoint_url, "PUT", "images", binding)
            with mock.patch.object(clock, "now", lambda: datetime.fromtimestamp(place.now(), UTC)):
                yield place
    finally:
        control.stop(folder / "state")


def _admin(url: str, method: str, path: str, value: Any) -> Any:
    request = urllib.request.Request(f"{url}/_local/{path}", json.dumps(value).encode(), method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.loads(answer.read())
