"""One transform job from its start to its end, in a thread of its own.

Outputs are kept in the job's folder until the end: "When you stop a transform job before it is completed, SageMaker
doesn't store the job's output in Amazon S3" (StopTransformJob). An input that fails leaves no output and fails the job
at its end; "a transform job continues to process input files even if it fails to process one" (Batch transform errors).
"""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker.endpoints.settings import Settings
from local_sagemaker.jobs import failures, states, transform
from local_sagemaker.jobs.runner import Abandoned
from local_sagemaker.objects import ObjectError, relative_path, split
from local_sagemaker.store import Record
from local_sagemaker.transforms import payloads, sending
from local_sagemaker.transforms.instance import Instance

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

#: Seconds in which a process that closed its connections is seen to have ended.
_UNTIL_GONE = 1.0
_SEE_LOGS = "See job logs for more information"


@dataclass
class _Input:
    """An object to transform; ``name`` is its place below the output path, ``failure`` why there is no output."""

    uri: str
    name: str
    output: Path
    failure: tuple[str, str] | None = None

    @property
    def label(self) -> str:
        """As SageMaker's data log names it."""
        return self.uri.removeprefix("s3://")


class TransformRunner:
    """Runs one job. ``grace``: seconds between SIGTERM and SIGKILL of a container."""

    def __init__(self, platform: Platform, record: Record, grace: float) -> None:
        self._platform = platform
        self._record = record
        self._request: dict[str, Any] = record.body["Request"]
        self._settings = Settings.from_environment()
        self._grace = min(grace, self._settings.stop_seconds)
        self._folder = platform.state_dir / "jobs" / record.region / record.kind / record.name
        self._ending = threading.Event()
        self._stop_requested = False
        self._sender = sending.Sender(self._request, self._ending)
        self._instances: list[Instance] = []
        self._lost: failures.JobFailed | None = None
        self.abandoned = False

    def request_stop(self) -> None:
        self._stop_requested = True
        self._break_off()

    def abandon(self) -> None:
        self.abandoned = True
        self._ending.set()

    def salvage(self) -> None:
        """Remove the folder of a job whose server was killed."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self) -> None:
        """Take the job to its end and store that.

        Raises:
            JobFailed: with the reason, for the caller to store.
            Abandoned: nothing more must be stored.
        """
        try:
            inputs = self._transform()
            if self.abandoned:
                raise Abandoned
            if self._stop_requested:
                self._change("Stopped", status="Stopped")
                return
            self._upload(inputs)
            self._judge(inputs)
            self._change("Completed", status="Completed")
        except OSError as error:
            raise failures.client_error(f"The job's files could not be written: {error.strerror}") from error
        finally:
            if not self.abandoned:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _transform(self) -> list[_Input]:
        """Every input, sent; the containers have ended afterwards."""
        self._change("Starting", StartTime=self._platform.clock.time())
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        inputs = self._inputs()
        plan = self._record.body["Plan"]
        plan |= {"Environment": plan["Environment"] | (self._request.get("Environment") or {})}
        plan["Environment"] |= sending.environment(self._request)
        try:
            self._change("Downloading")
            for _ in range(self._count()):
                self._instances.append(self._instance(plan))
            for instance in self._instances:
                instance.prepare()
            for instance in self._instances:
                if not self._ending.is_set():
                    instance.launch()
            self._work(inputs)
        finally:
            if not self.abandoned:  # else whoever stops the server ends them
                for instance in self._instances:
                    instance.close(self._grace)
        return inputs

    def _count(self) -> int:
        """
        Raises:
            JobFailed: more containers than this machine is to run.
        """
        count: int = self._request["TransformResources"]["InstanceCount"]
        if count > self._settings.instances:
            raise failures.JobFailed(
                "CapacityError: Unable to provision requested ML compute capacity. The local SageMaker starts at most "
                f"{self._settings.instances} containers for a job (LOCAL_SAGEMAKER_HOSTING_INSTANCES); "
                f"InstanceCount is {count}."
            )
        return count

    def _instance(self, plan: dict[str, Any]) -> Instance:
        return Instance(
            self._platform, self._settings, plan, self._folder, self._record.region, transform.LOG_GROUP,
            self._request[transform.NAME], self._request["TransformResources"]["InstanceType"],
        )  # fmt: skip

    def _inputs(self) -> list[_Input]:
        """
        Raises:
            JobFailed: nothing is there, or the manifest is none.
        """
        source = self._request["TransformInput"]["DataSource"]["S3DataSource"]
        uri, objects, role = source["S3Uri"], self._platform.objects, self._record.body["Plan"]["RoleArn"]
        try:
            if source["S3DataType"] == "ManifestFile":
                named = objects.read_manifest(uri, role_arn=role)
            else:
                bucket, prefix = split(uri)
                keys = [found.key for found in objects.list(uri, role_arn=role) if not found.key.endswith("/")]
                named = [(f"s3://{bucket}/{key}", relative_path(key, prefix)) for key in keys]
        except ObjectError as error:
            if source["S3DataType"] == "ManifestFile":
                raise failures.client_error(f"Data download failed: {error}") from error
            named = []
        if not named:
            raise failures.client_error(failures.no_objects(uri, self._record.region, role or ""))
        return [_Input(uri, name, self._folder / f"{number}.out") for number, (uri, name) in enumerate(named)]

    # while

    def _work(self, inputs: list[_Input]) -> None:
        """Deal the inputs out to the instances, a thread for each.

        Raises:
            JobFailed: a container did not start, or ended.
        """
        errors: list[BaseException] = []

        def serve(instance: Instance, mine: list[_Input]) -> None:
            try:
                instance.await_ping(self._ending)
                if not self._ending.is_set():
                    self._serve(instance, mine)
            except BaseException as error:
                errors.append(error)
                self._break_off()

        count = len(self._instances)
        threads = [
            threading.Thread(target=serve, args=(instance, inputs[number::count]), name=f"transform {instance.id}")
            for number, instance in enumerate(self._instances)
        ]
        if not self._ending.is_set():
            self._change("Transforming")
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        stopped = self._stop_requested or self.abandoned
        if errors and not stopped:
            raise errors[0]
        if self._lost is not None and not stopped:
            raise self._lost

    def _serve(self, instance: Instance, inputs: Iterable[_Input]) -> None:
        """Send the payloads of all inputs, several at a time; the answers are written in the order of the payloads."""
        given = self._request["TransformInput"]
        pool = instance.container.pool
        parameters = sending.negotiate(pool, self._request, self._settings.ping_seconds)
        instance.data_log.write(self._stamped(str(parameters)))
        waiting: deque[tuple[_Input, Future[bytes]]] = deque()
        with ThreadPoolExecutor(parameters.concurrent) as executor:
            for one in inputs:
                source = payloads.Source(self._folder / f"{one.output.stem}.in", given.get("CompressionType") == "Gzip")
                try:
                    self._platform.objects.download_file(
                        one.uri, source.path, role_arn=self._record.body["Plan"]["RoleArn"]
                    )
                    one.output.touch()
                    for payload in payloads.cut(
                        source, lines=given.get("SplitType") == "Line",
                        several=parameters.strategy == "MULTI_RECORD", limit=parameters.limit,
                    ):  # fmt: skip
                        waiting.append((one, executor.submit(self._sender.send, pool, payload)))
                        while len(waiting) > 2 * parameters.concurrent:
                            self._collect(instance, *waiting.popleft())
                        if one.failure or self._ending.is_set():
                            break
                except (payloads.BadInput, ObjectError) as error:
                    self._fail(instance, one, sending.Refused("ClientError", str(error)))
                if self._ending.is_set():
                    break
            while waiting:
                self._collect(instance, *waiting.popleft())

    def _collect(self, instance: Instance, one: _Input, answer: Future[bytes]) -> None:
        """Write an answer, or note that the input failed."""
        try:
            content = answer.result()
        except sending.Ended:
            return
        except payloads.BadInput as error:
            self._fail(instance, one, sending.Refused("ClientError", str(error)))
        except sending.Refused as failure:
            self._fail(instance, one, failure)
        else:
            if one.failure is None:
                with one.output.open("ab") as file:
                    file.write(content)
                    if self._request["TransformOutput"].get("AssembleWith") == "Line" and not content.endswith(b"\n"):
                        file.write(b"\n")

    def _fail(self, instance: Instance, one: _Input, failure: sending.Refused) -> None:
        """The data log says it in SageMaker's lines. A container that ended fails the job at once."""
        code = instance.container.child.wait(_UNTIL_GONE if failure.lost else 0)
        if code is not None and not self._ending.is_set():
            self._lost = instance.ended(code)
            self._break_off()
        if one.failure is not None:
            return
        one.failure = (failure.fault, f"{failure.text} {failure.detail}".strip())
        one.output.unlink(missing_ok=True)
        lines = [failure.text, *(["", "Message:", *failure.detail.splitlines()] if failure.detail else [])]
        for line in lines:
            instance.data_log.write(self._stamped(f"{one.label}: {line}"))

    def _stamped(self, text: str) -> str:
        return f"{self._platform.events.instant().removesuffix('Z')}.000:[sagemaker logs]: {text}"

    def _break_off(self) -> None:
        """Send no more, and end the containers, so that no request is waited for."""
        self._ending.set()
        for instance in list(self._instances):
            threading.Thread(target=instance.terminate, args=(self._grace,), name="terminate", daemon=True).start()

    # after

    def _upload(self, inputs: list[_Input]) -> None:
        """
        Raises:
            JobFailed: an output could not be stored.
        """
        base = self._request["TransformOutput"]["S3OutputPath"].rstrip("/")
        try:
            for one in inputs:
                if one.failure is None:
                    self._platform.objects.upload_file(
                        one.output, f"{base}/{one.name}.out", role_arn=self._record.body["Plan"]["RoleArn"]
                    )
            self._platform.state.flush("s3")  # the stored state must not name objects that a killed server forgets
        except (ObjectError, OSError) as error:
            raise failures.client_error(f"Failed to upload the output to {base}: {error}") from error

    def _judge(self, inputs: list[_Input]) -> None:
        """
        Raises:
            JobFailed: an input failed.
        """
        failed = [one for one in inputs if one.failure is not None]
        if failed and failed[0].failure is not None:
            fault, text = failed[0].failure
            count = f"{len(failed)} of {len(inputs)} inputs failed"
            raise failures.JobFailed(f"{fault}: {_SEE_LOGS}. {count}; the first: {failed[0].uri}: {text}")

    def _change(self, secondary: str, **more: Any) -> None:
        states.change(self._platform, self._record.kind, self._record.region, self._record.name, secondary, **more)
