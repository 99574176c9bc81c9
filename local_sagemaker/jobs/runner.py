"""One job from its start to its end, in a thread of its own.

The thread waits for one thing at a time: the end of a host's process, a request to stop, the time limit. Nothing polls.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker.children import CannotIsolate, CannotStart, Child
from local_sagemaker.faults.registry import CAPACITY
from local_sagemaker.iam import workloads
from local_sagemaker.iam.access import Denied
from local_sagemaker.images import Unbound
from local_sagemaker.jobs import archive, failures, layout, states, training
from local_sagemaker.jobs.metrics import Scraper
from local_sagemaker.jobs.plan import Input, Plan, Result
from local_sagemaker.jobs.sync import FolderSync
from local_sagemaker.logs import LogStream
from local_sagemaker.objects import ObjectError
from local_sagemaker.roles import CannotAssume
from local_sagemaker.runtimes import Image, Launch
from local_sagemaker.store import Record

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_STOP, _ABANDON = "stop", "abandon"


class Abandoned(Exception):
    """The server is stopping; the job's state stays as it is for the next start to fail."""


class Runner:
    """Runs one job. ``grace`` and ``sync_interval`` in seconds."""

    def __init__(self, platform: Platform, record: Record, grace: float, sync_interval: float) -> None:
        self._platform = platform
        self._record = record
        self._request: dict[str, Any] = record.body["Request"]
        self._module = states.KINDS[record.kind]
        self._plan: Plan = self._module.plan(self._request, record.body["Arn"])
        self._grace = grace
        self._sync_interval = sync_interval
        self._folder = platform.state_dir / "jobs" / record.region / record.kind / record.name
        self._signals: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
        self._children: list[Child] = []
        self._stop_requested = False
        self.abandoned = False

    def request_stop(self) -> None:
        self._stop_requested = True
        self._signals.put((_STOP, 0, 0))

    def abandon(self) -> None:
        self.abandoned = True
        self._signals.put((_ABANDON, 0, 0))

    def run(self) -> None:
        """Take the job to its end and store that.

        Raises:
            JobFailed: with the reason, for the caller to store.
            Abandoned: nothing more must be stored.
        """
        try:
            self._run()
        finally:
            if not self.abandoned:
                shutil.rmtree(self._folder, ignore_errors=True)

    def salvage(self) -> None:
        """Send the checkpoints of a job whose server was killed, and remove its folder."""
        if self._plan.checkpoints is not None and self._folder.is_dir():
            with contextlib.suppress(ObjectError, OSError):
                for sync in self._syncs(self._bases(), checkpoints_only=True):
                    sync.finish()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        self._change("Starting", StartTime=self._platform.clock.time())
        self._check_capacity()
        image = self._image()
        self._check_role()
        environment = self._environment()
        bases = self._prepare()
        self._change("Downloading")
        self._download(bases)
        if self._stop_requested:
            self._finish("Stopped", "Stopped")
            return
        scraper = Scraper(self._plan.metrics, self._platform.clock.time)
        syncs = self._syncs(bases)
        self._change("Training")
        streams = self._streams()
        try:
            result = self._execute(bases, image, environment, streams, scraper, syncs)
        finally:
            for stream in streams:
                stream.close()
        self._after(result, syncs, scraper)

    # before

    def _image(self) -> Image:
        try:
            return self._platform.runtime.image(self._plan.image)
        except Unbound as error:
            raise failures.client_error(f"Cannot pull image {self._plan.image}. {error}") from None

    def _check_capacity(self) -> None:
        """Does a fault leave AWS without machines for this job?"""
        operation = "Create" + "".join(part.title() for part in self._record.kind.split("-"))
        name = self._request[self._module.NAME]
        if self._platform.faults.strike(CAPACITY, service="sagemaker", operation=operation, resource=name):
            raise failures.JobFailed(failures.NO_CAPACITY)

    def _check_role(self) -> None:
        """What AWS does in the job's role before and beside the container, asked for now."""
        name, group = self._request[self._module.NAME], self._module.LOG_GROUP
        try:
            workloads.check_job(self._platform, self._request, self._record.region, self._plan.image, group, name)
        except Denied as error:
            raise failures.client_error(error.message) from None

    def _environment(self) -> dict[str, str]:
        region = self._record.region
        if self._plan.isolated:
            access = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_EC2_METADATA_DISABLED": "true"}
        else:
            try:
                access = self._platform.roles.environment(self._plan.role_arn, region)
            except CannotAssume as error:
                raise failures.client_error(str(error)) from None
        return {**self._plan.environment, **access}

    def _bases(self) -> list[Path]:
        return [self._folder / host for host in layout.hosts(self._plan.instance_count)]

    def _prepare(self) -> list[Path]:
        """Make the folders and write SageMaker's own files."""
        shutil.rmtree(self._folder, ignore_errors=True)
        bases = self._bases()
        for base in bases:
            folders = [*self._plan.folders, *([self._plan.checkpoints.path] if self._plan.checkpoints else [])]
            for folder in folders:
                layout.place(folder, base).mkdir(parents=True, exist_ok=True)
            for path, content in self._plan.files(base.name).items():
                layout.write_json(layout.place(path, base), content)
        return bases

    def _download(self, bases: list[Path]) -> None:
        objects, role = self._platform.objects, self._plan.role_arn
        for index, base in enumerate(bases):
            for item in self._plan.inputs:
                if self._stop_requested:
                    return
                shard = (index, len(bases)) if item.sharded else (0, 1)
                self._download_one(item, layout.place(item.path, base), shard)
            checkpoints = self._plan.checkpoints
            if checkpoints is not None:
                prefix = checkpoints.uri if checkpoints.uri.endswith("/") else checkpoints.uri + "/"
                try:
                    objects.download_prefix(prefix, layout.place(checkpoints.path, base), role_arn=role)
                except (ObjectError, OSError) as error:
                    raise failures.client_error(f"Data download failed: checkpoints: {error}") from error

    def _download_one(self, item: Input, folder: Path, shard: tuple[int, int]) -> None:
        objects, role = self._platform.objects, self._plan.role_arn
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if item.manifest:
                objects.download_manifest(item.uri, folder, shard, role_arn=role)
            elif not objects.download_prefix(item.uri, folder, shard=shard, role_arn=role) and not objects.list(
                item.uri
            ):
                raise failures.client_error(failures.no_objects(item.uri, self._record.region, role))
        except ObjectError as error:
            if not item.manifest:
                raise failures.client_error(failures.no_objects(item.uri, self._record.region, role)) from error
            raise failures.client_error(f"Data download failed: {item.name}: {error}") from error
        except OSError as error:
            raise failures.client_error(f"Data download failed: {item.name}: {error}") from error

    def _syncs(self, bases: list[Path], *, checkpoints_only: bool = False) -> list[FolderSync]:
        uploads = [] if checkpoints_only else [upload for upload in self._plan.uploads if upload.continuous]
        if self._plan.checkpoints is not None:
            uploads.append(self._plan.checkpoints)
        return [
            FolderSync(
                self._platform.objects,
                layout.place(upload.path, base),
                upload.uri,
                self._sync_interval,
                self._plan.role_arn,
            )
            for upload in uploads
            for base in bases
        ]

    def _streams(self) -> list[LogStream]:
        epoch = int(self._platform.clock.time())
        return [
            self._platform.logs.stream(
                self._module.LOG_GROUP, f"{self._request[self._module.NAME]}/{host}-{epoch}", self._record.region
            )
            for host in layout.hosts(self._plan.instance_count)
        ]

    # while

    def _execute(
        self, bases: list[Path], image: Image, environment: dict[str, str], streams: list[LogStream],
        scraper: Scraper, syncs: list[FolderSync],
    ) -> Result:  # fmt: skip
        result = Result(bases)
        for sync in syncs:
            sync.start()
        try:
            for index, (base, stream) in enumerate(zip(bases, streams, strict=True)):
                self._launch(index, base, image, environment, stream, scraper)
            self._wait(result)
        except BaseException as error:
            if not isinstance(error, Abandoned):  # else whoever stops the server ends them, with time to save
                for child in self._children:
                    child.kill()
            for sync in syncs:
                sync.cancel()
            raise
        return result

    def _launch(
        self, index: int, base: Path, image: Image, environment: dict[str, str], stream: LogStream, scraper: Scraper
    ) -> None:
        def sink(line: str) -> None:
            stream.write(line)
            scraper.feed(line)

        name = f"{self._record.kind} {self._record.name}/{base.name}"
        plan = self._plan
        launch = Launch(
            name, base, plan.arguments, environment, sink, plan.entrypoint, plan.isolated, plan.instance_type,
            base.name, plan.outside(),
        )  # fmt: skip
        try:
            child = image.run(launch)
        except CannotIsolate as error:
            raise failures.client_error(f"EnableNetworkIsolation cannot be enforced here. {error}") from error
        except CannotStart as error:
            if self.abandoned:
                raise Abandoned from error
            raise failures.algorithm_error(127, f"Failed to start the container's command: {error}") from error
        self._children.append(child)

        def watch() -> None:
            code = child.wait()
            self._signals.put(("ended", index, code if code is not None else 1))

        threading.Thread(target=watch, name=f"{name} watch", daemon=True).start()

    def _wait(self, result: Result) -> None:
        """Until every host has ended; one that fails, the time limit and a stop end the others."""
        deadline = time.monotonic() + self._plan.max_runtime
        left = len(self._children)
        while left:
            ending = result.stopped or result.timed_out or result.failed_host is not None
            try:
                what, index, code = self._signals.get(timeout=None if ending else max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                result.timed_out = True
                self._end_all()
                continue
            if what == _ABANDON:
                raise Abandoned
            if what == _STOP:
                if not ending:
                    result.stopped = True
                    self._end_all()
                continue
            left -= 1
            if code != 0 and not ending:
                result.failed_host, result.code = index, code
                if left:
                    self._end_all()

    def _end_all(self) -> None:
        """SIGTERM to all hosts, SIGKILL after the grace period; the watchers tell when they are gone."""
        for child in self._children:
            threading.Thread(target=child.terminate, args=(self._grace,), name="terminate", daemon=True).start()

    # after

    def _after(self, result: Result, syncs: list[FolderSync], scraper: Scraper) -> None:
        if self.abandoned:
            raise Abandoned
        more: dict[str, Any] = {"FinalMetricDataList": scraper.final()} if self._plan.metrics else {}
        message = self._exit_message(result.bases)
        if message:
            more["ExitMessage"] = message
        failed = result.failed_host is not None
        self._change("Uploading", **more)
        try:
            for sync in syncs:
                sync.finish()
            self._upload(result)
            self._platform.state.flush("s3")  # the stored state must not name objects that a killed server forgets
        except (ObjectError, OSError) as error:
            if not failed:
                raise failures.client_error(f"Artifact upload failed: {error}") from error
        if result.failed_host is not None:
            raise failures.algorithm_error(
                failures.exit_code(result.code), self._failure_text(result.bases[result.failed_host])
            )
        if result.timed_out:
            reason = (
                {}
                if self._is_training
                else {"FailureReason": "Processing job runtime exceeded MaxRuntimeInSeconds provided"}
            )
            self._finish("MaxRuntimeExceeded", "Stopped", **reason)
        elif result.stopped:
            self._finish("Stopped", "Stopped")
        else:
            self._finish("Completed", "Completed")

    @property
    def _is_training(self) -> bool:
        return self._module is training

    def _upload(self, result: Result) -> None:
        """Outputs of a processing job that completed; artefacts of a training job, the model unless it failed."""
        if self._is_training:
            self._upload_artefacts("output", [base / "output/data" for base in result.bases])
            if result.failed_host is None:
                self._upload_artefacts("model", [base / "model" for base in result.bases])
        elif not result.stopped and not result.timed_out and result.failed_host is None:
            for upload in self._plan.uploads:
                if not upload.continuous:
                    for base in result.bases:
                        self._platform.objects.upload_folder(
                            layout.place(upload.path, base), upload.uri, role_arn=self._plan.role_arn
                        )

    def _upload_artefacts(self, name: str, folders: list[Path]) -> None:
        objects, role = self._platform.objects, self._plan.role_arn
        prefix = training.output_prefix(self._request)
        if self._request["OutputDataConfig"].get("CompressionType", "GZIP") != "NONE":
            target = self._folder / f"{name}.tar.gz"
            if archive.pack(folders, target):
                objects.upload_file(target, f"{prefix}/{name}.tar.gz", role_arn=role)
        else:
            for relative, path in archive.files_of(folders).items():
                objects.upload_file(path, f"{prefix}/{name}/{relative}", role_arn=role)

    def _failure_text(self, base: Path) -> str:
        text = failures.read_text(base / "output/failure").strip()
        return text or ("" if self._is_training else "See job logs for more information")

    def _exit_message(self, bases: list[Path]) -> str:
        """What processing containers wrote to ``/opt/ml/output/message``, the first kilobyte."""
        if self._is_training:
            return ""
        return "".join(failures.read_text(base / "output/message") for base in bases)[: failures.LONGEST]

    def _change(self, secondary: str, **more: Any) -> None:
        states.change(self._platform, self._record.kind, self._record.region, self._record.name, secondary, **more)

    def _finish(self, secondary: str, status: str, **more: Any) -> None:
        self._change(secondary, status=status, **more)
