"""All jobs of the server: the queue, the slots, and what a restart does to jobs that were running."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from local_sagemaker import models, tags
from local_sagemaker.api import Call
from local_sagemaker.errors import ResourceInUse, ValidationException
from local_sagemaker.jobs import failures, states, training, transform
from local_sagemaker.jobs.runner import Runner
from local_sagemaker.objects import ObjectError
from local_sagemaker.roles import CannotAssume
from local_sagemaker.store import Exists, Record

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)

#: Between two tries to store a job's end.
RETRY_SECONDS = 1.0

#: (kind, region, name in lower case) of a job.
Key = tuple[str, str, str]


class JobRunner(Protocol):
    """What takes one job to its end."""

    abandoned: bool

    def run(self) -> None: ...
    def salvage(self) -> None: ...
    def request_stop(self) -> None: ...
    def abandon(self) -> None: ...


class Jobs:
    """Runs at most ``parallel`` jobs at a time, first come first served; the others wait as Pending.

    ``grace`` is the time in seconds between SIGTERM and SIGKILL of a job that is stopped (AWS: 120), ``sync_interval``
    the time between two looks at folders that are copied while a job runs.
    """

    def __init__(self, platform: Platform, parallel: int = 2) -> None:
        self.grace = 120.0
        self.sync_interval = 1.0
        self._platform = platform
        self._parallel = parallel
        self._lock = threading.Lock()
        self._waiting: deque[Key] = deque()
        self._running: dict[Key, JobRunner] = {}
        self._listeners: list[Callable[[Key], None]] = []
        self._closing = threading.Event()

    def on_end(self, listener: Callable[[Key], None]) -> None:
        """Call ``listener`` with (kind, region, name) of each job that has ended, after its last state is stored."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Fail what an earlier server was running; what was still waiting waits again."""
        for kind in states.KINDS:
            for record in self._platform.store.list(kind):
                if record.body["Status"] not in states.RUNNING:
                    continue
                key = (kind, record.region, record.name)
                if record.body["SecondaryStatus"] == "Pending" and record.body["Status"] == "InProgress":
                    self._waiting.append(key)
                else:
                    self._runner(record).salvage()
                    self._fail(key, failures.INTERRUPTED)
        self._dispatch()

    def stop(self) -> None:
        """Let go of the running jobs: whoever stops the server ends their processes; the next start fails them."""
        with self._lock:
            self._closing.set()
            runners = list(self._running.values())
        for runner in runners:
            runner.abandon()

    def create(self, call: Call, kind: str) -> str:
        """Check and store a new job and queue it; returns its ARN.

        Raises:
            ValidationException, ResourceInUse.
        """
        module, platform = states.KINDS[kind], self._platform
        request = dict(call.request)
        tag_list = request.pop("Tags", None)
        module.check(request)
        tags.check(tag_list)
        more: dict[str, Any] = {}
        if kind == transform.KIND:  # it has its model's role, and runs even if the model is deleted meanwhile
            more["Plan"] = models.launch_plan(call, request["ModelName"])
        else:
            try:
                platform.roles.check(request["RoleArn"], call.arn(kind, request[module.NAME]))
            except CannotAssume as error:
                raise ValidationException(str(error)) from None
        if kind == training.KIND:
            self._check_inputs(call)
        name = request[module.NAME]
        arn = call.arn(kind, name)
        with self._lock:
            free = len(self._running) + len(self._waiting) < self._parallel
        body = {
            "Request": request,
            "Arn": arn,
            **more,
            **states.first("Starting" if free else "Pending", platform.clock.time()),
        }
        platform.state.flush("s3", "iam", "ecr")  # what the job names is on disk before the job
        with platform.store.transaction():
            try:
                record = platform.store.insert(kind, call.region, name.lower(), body)
            except Exists:
                raise ResourceInUse(
                    "Job name must be unique within an AWS account and region, and a job with this name already exists"
                    f" ({arn})"
                ) from None
            tags.create(call, arn, tag_list)
            states.publish(platform, record)
        with self._lock:
            self._waiting.append((kind, call.region, record.name))
        self._dispatch()
        return arn

    def request_stop(self, kind: str, record: Record) -> None:
        """Begin to stop a job; one that has ended stays as it is."""
        key = (kind, record.region, record.name)
        if record.body["Status"] != "InProgress":
            return
        with self._lock:
            queued = key in self._waiting
            if queued:
                self._waiting.remove(key)
            runner = self._running.get(key)
        if queued:
            states.change(self._platform, *key, "Stopping", status="Stopping")
            states.change(self._platform, *key, "Stopped", status="Stopped")
            self._ended(key)
        elif runner is not None:
            states.change(self._platform, *key, "Stopping", status="Stopping")
            runner.request_stop()

    def _check_inputs(self, call: Call) -> None:
        """As AWS does when a training job is created: an S3 prefix must match something."""
        for channel in call.request.get("InputDataConfig") or []:
            source = channel["DataSource"]["S3DataSource"]
            if source["S3DataType"] != "S3Prefix":
                continue
            role_arn = call.request["RoleArn"]
            try:
                found = self._platform.objects.list(source["S3Uri"], role_arn=role_arn)
            except ObjectError:
                found = []
            if not found:
                raise ValidationException(failures.no_objects(source["S3Uri"], call.region, role_arn))

    def _runner(self, record: Record) -> JobRunner:
        if record.kind == transform.KIND:
            from local_sagemaker.transforms.runner import TransformRunner  # the room of serving containers needs this

            return TransformRunner(self._platform, record, self.grace)
        return Runner(self._platform, record, self.grace, self.sync_interval)

    def _dispatch(self) -> None:
        """Start waiting jobs while there are free slots."""
        while True:
            with self._lock:
                if self._closing.is_set() or not self._waiting or len(self._running) >= self._parallel:
                    return
                key = self._waiting.popleft()
                record = self._platform.store.get(*key)
                if record is None:  # deleted while it waited
                    continue
                runner = self._runner(record)
                self._running[key] = runner
            threading.Thread(target=self._work, args=(key, runner), name=f"job {key[2]}", daemon=True).start()

    def _work(self, key: Key, runner: JobRunner) -> None:
        try:
            runner.run()
        except failures.JobFailed as failure:
            self._fail(key, failure.reason)
        except Exception:
            if not runner.abandoned:
                _log.exception("job %s", key)
                self._fail(key, failures.INTERNAL)
        finally:
            with self._lock:
                self._running.pop(key, None)
        if not runner.abandoned:
            self._ended(key)
            self._dispatch()

    def _fail(self, key: Key, reason: str) -> None:
        """Store a failure; when it cannot be stored (the disk is full) try again until it can."""
        while True:
            try:
                states.change(self._platform, *key, "Failed", status="Failed", FailureReason=reason)
                return
            except sqlite3.OperationalError as error:
                _log.error("the end of job %s cannot be stored, trying again: %s", key[2], error)
                if self._closing.wait(RETRY_SECONDS):
                    return

    def _ended(self, key: Key) -> None:
        for listener in self._listeners:
            listener(key)


def find(call: Call, kind: str) -> Record:
    """The job that a request names; case does not matter, because a job's ARN holds its name in lower case.

    Raises:
        ValidationException: there is none, in AWS's words.
    """
    name: str = call.request[states.KINDS[kind].NAME]
    record = call.platform.store.get(kind, call.region, name.lower())
    if record is None:
        if kind == training.KIND:
            raise ValidationException("Requested resource not found.")
        raise ValidationException(f"Could not find requested job with name: {name}")
    return record
