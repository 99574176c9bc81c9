"""The running server's parts, which everything that answers or works in it shares.

The rooms of the server add theirs: ``jobs`` (:mod:`local_sagemaker.jobs`), ``executions``
(:mod:`local_sagemaker.pipelines`) and ``fleets`` (:mod:`local_sagemaker.endpoints`). Each is an object with
``start()``, called once after the state is loaded, and ``stop()``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from local_sagemaker.alarms import Alarms
from local_sagemaker.blobs import BlobStore
from local_sagemaker.children import Children
from local_sagemaker.clock import Clock
from local_sagemaker.events import Events
from local_sagemaker.faults import Faults
from local_sagemaker.iam import workloads
from local_sagemaker.iam.access import Access, Denied
from local_sagemaker.images import Images
from local_sagemaker.lambdas import Lambdas
from local_sagemaker.logs import Logs
from local_sagemaker.metrics import Metrics
from local_sagemaker.objects import Objects
from local_sagemaker.roles import Roles
from local_sagemaker.runtimes.processes import ProcessRuntime
from local_sagemaker.scaling import Scaler
from local_sagemaker.schedules import Schedules
from local_sagemaker.state import State
from local_sagemaker.store import Store

if TYPE_CHECKING:
    from local_sagemaker.endpoints import Fleets
    from local_sagemaker.jobs import Jobs
    from local_sagemaker.pipelines import Executions
    from local_sagemaker.runtimes import Runtime


class Room(Protocol):
    """A part with threads or children of its own."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Platform:
    """One server's parts. ``endpoint_url`` is known once the server listens."""

    jobs: Jobs
    executions: Executions
    fleets: Fleets

    def __init__(self, state_dir: Path, account_id: str, region: str) -> None:
        self.state_dir = state_dir
        self.account_id = account_id
        self.region = region
        self.endpoint_url = ""
        self.clock = Clock(state_dir / "clock")
        self.store = Store(state_dir / "resources.sqlite", self.clock.time)
        self.faults = Faults(self.store)
        self.metrics = Metrics(state_dir / "metrics.sqlite", self.clock)
        self.blobs = BlobStore(state_dir / "s3")
        self.state = State(state_dir / "moto", self.blobs)
        self.access = Access(self)
        self.images = Images(self.store)
        self.children = Children(self.store)
        self.runtime: Runtime = ProcessRuntime(self.images, self.children)
        self.logs = Logs(account_id, self.clock.time, self.state.changed)
        self.roles = Roles(account_id, lambda: self.endpoint_url, self.state.changed, self.clock.time)
        self.objects = Objects(account_id, self.blobs, self.state, self.access)
        self.lambdas = Lambdas(
            account_id, state_dir / "lambda", self.children, self.logs, self.roles, self.clock.time, self._may_log
        )
        self.events = Events(self)
        self.schedules = Schedules(self)
        self.alarms = Alarms(self)
        self.scaler = Scaler(self)

    def _may_log(self, role_arn: str, region: str, group: str, stream: str, function: str) -> bool:
        """May a function write its log? On AWS one that may not runs all the same, and its lines are lost."""
        try:
            workloads.check_function(self, role_arn, region, group, stream, function)
        except Denied:
            return False
        return True

    def caller_arn(self, response: Any) -> str:
        """Who makes the API call that moto's ``response`` object handles."""
        from moto.sts.models import sts_backends

        backend = sts_backends[self.account_id]["aws"]
        arn: str = backend.get_caller_identity(response.access_key, response.region)[1]
        return arn

    def image_tags(self, region: str, repository: str, digest: str) -> list[str]:
        """The tags that the local ECR has for an image."""
        from moto.ecr.models import ecr_backends

        found = ecr_backends[self.account_id][region].repositories.get(repository)
        images = found.images if found is not None else []
        return [str(tag) for image in images if image.get_image_digest() == digest for tag in image.image_tags]

    def principal_arn(self, caller_arn: str) -> str:
        """``aws:PrincipalArn``: the role behind an assumed-role session, else the caller itself."""
        parts = caller_arn.split(":", 5)
        if len(parts) == 6 and parts[2] == "sts" and parts[5].startswith("assumed-role/"):
            from moto.iam.models import iam_backends

            name = parts[5].split("/")[1]
            roles = iam_backends[self.account_id]["aws"].roles.values()
            return next((role.arn for role in roles if role.name == name), f"arn:aws:iam::{parts[4]}:role/{name}")
        return caller_arn
