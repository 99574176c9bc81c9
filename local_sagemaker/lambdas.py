"""Lambda functions as child processes.

The zip of a function is unpacked once for each content; a worker process (:mod:`local_sagemaker.lambda_worker`) runs
the handler with the role's credentials and the function's variables. As in AWS a worker takes one invocation at a
time, is used again while it is warm, and ends when code or configuration change.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import shutil
import socket
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_sagemaker import lambda_worker
from local_sagemaker.children import CannotStart, Child, Children
from local_sagemaker.logs import Logs, LogStream
from local_sagemaker.roles import CannotAssume, Roles

_log = logging.getLogger(__name__)

#: Limits of AWS ("Lambda quotas"), bytes.
LARGEST_REQUEST = 6_291_456
LARGEST_RESPONSE = 6_291_556

#: Seconds for which an unused worker stays, and after which one is replaced (its credentials hold an hour).
IDLE_SECONDS = 300.0
OLDEST_SECONDS = 1500.0

#: Seconds in which a worker has to import the handler's module; AWS's figure, which the function's timeout extends.
INIT_SECONDS = 10.0


class NoSuchFunction(Exception):
    """There is no such function, version or alias."""


class CannotInvoke(Exception):
    """The function cannot run here; ``code`` is the API's error code and ``status`` its HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class LambdaResult:
    """The answer of Invoke: HTTP status, body, ``Unhandled`` or None, the last 4 KB of the log."""

    status: int
    payload: bytes
    function_error: str | None
    log_tail: str
    version: str = "$LATEST"


class _Worker:
    """A process with the handler loaded, or about to load it."""

    def __init__(self, stream: LogStream) -> None:
        self.stream = stream
        self.born = self.used = time.monotonic()
        self.child: Child
        self.connection: socket.socket
        self.ready = False
        self._lines: list[str] = []
        self._ended = threading.Event()
        self._request_id = ""

    def sink(self, line: str) -> None:
        if line == lambda_worker.END_MARK + self._request_id:
            self._ended.set()
        elif line:
            self._lines.append(line)
            self.stream.write(line)

    def begin(self, request_id: str) -> None:
        self._request_id = request_id
        self._ended.clear()
        self._lines = []

    def end(self, patience: float) -> list[str]:
        """The lines of this invocation, once all are there."""
        self._ended.wait(patience)
        return self._lines

    def stop(self) -> None:
        self.connection.close()
        self.child.kill()

    def fresh(self) -> bool:
        now = time.monotonic()
        return self.child.returncode is None and now - self.used < IDLE_SECONDS and now - self.born < OLDEST_SECONDS


class Lambdas:
    """Invokes the functions that moto's Lambda backend holds."""

    def __init__(
        self, account_id: str, folder: Path, children: Children, logs: Logs, roles: Roles, now: Callable[[], float],
        may_log: Callable[[str, str, str, str, str], bool] = lambda *_: True,
    ) -> None:  # fmt: skip
        self._account_id = account_id
        self._folder = folder
        self._children = children
        self._logs = logs
        self._roles = roles
        self._now = now
        self._may_log = may_log
        self._lock = threading.Lock()
        self._idle: dict[str, list[_Worker]] = {}
        self._all: set[_Worker] = set()
        self._busy: dict[str, int] = {}
        self._stopping = threading.Event()
        self._sweeper: threading.Thread | None = None

    def find(self, function: str, region: str, qualifier: str | None = None) -> Any:
        """moto's function object of a name, partial or full ARN, with or without a version or alias.

        Raises:
            NoSuchFunction: there is none.
        """
        from moto.awslambda.exceptions import UnknownAliasException, UnknownFunctionException
        from moto.awslambda.models import lambda_backends

        if function.startswith("arn:"):
            parts = function.split(":")
            if len(parts) < 7:
                raise NoSuchFunction(f"Function not found: {function}")
            region, function = parts[3], ":".join(parts[6:])
        try:
            return lambda_backends[self._account_id][region].get_function(function, qualifier)
        except (UnknownFunctionException, UnknownAliasException, KeyError, ValueError):
            arn = f"arn:aws:lambda:{region}:{self._account_id}:function:{function}"
            raise NoSuchFunction(f"Function not found: {arn}{f':{qualifier}' if qualifier else ''}") from None

    def invoke(self, function: str, payload: bytes, region: str, *, qualifier: str | None = None) -> LambdaResult:
        """Run a function and wait for its answer; a failing function is an answer with ``function_error``.

        Raises:
            NoSuchFunction: there is none.
            CannotInvoke: what AWS refuses (too large, throttled), or a function that this server cannot run.
        """
        found = self.find(function, region, qualifier)
        self._check(found, payload)
        request_id = str(uuid.uuid4())
        name = found.function_arn
        with self._lock:
            limit = found.reserved_concurrency
            if limit is not None and self._busy.get(name, 0) >= int(limit):
                raise CannotInvoke("TooManyRequestsException", "Rate Exceeded.", 429)
            self._busy[name] = self._busy.get(name, 0) + 1
        try:
            return self._run(found, payload, request_id)
        finally:
            with self._lock:
                self._busy[name] -= 1

    def stop(self) -> None:
        """End every worker, in the middle of an invocation too."""
        self._stopping.set()
        with self._lock:
            workers = list(self._all)
            self._idle.clear()
        for worker in workers:
            worker.child.kill()

    def _check(self, function: Any, payload: bytes) -> None:
        if len(payload) > LARGEST_REQUEST:
            raise CannotInvoke(
                "RequestTooLargeException",
                f"Request must be smaller than {LARGEST_REQUEST} bytes for the InvokeFunction operation", 413,
            )  # fmt: skip
        if payload:
            try:
                json.loads(payload)
            except ValueError as error:
                raise CannotInvoke(
                    "InvalidRequestContentException", f"Could not parse request body into json: {error}"
                ) from None
        if function.package_type != "Zip" or not str(function.run_time).startswith("python"):
            what = function.run_time if function.package_type == "Zip" else "a container image"
            raise CannotInvoke(
                "InvalidRuntimeException",
                f"The local SageMaker runs Python functions from zip files only; {function.function_name} is {what}.",
                502,
            )

    def _run(self, function: Any, payload: bytes, request_id: str) -> LambdaResult:
        try:
            worker, key = self._take(function)
        except (CannotStart, CannotAssume) as error:
            raise CannotInvoke("ServiceException", str(error), 500) from error
        version = worker_version(function)
        stream, started = worker.stream, time.monotonic()
        stream.write(f"START RequestId: {request_id} Version: {version}")
        worker.begin(request_id)
        header: dict[str, Any] = {"request_id": request_id, "arn": function.function_arn}
        header["deadline"] = time.time() + function.timeout
        failure: str | None = None
        try:
            if not worker.ready:
                worker.connection.settimeout(INIT_SECONDS + function.timeout)
                lambda_worker.receive(worker.connection)
                worker.ready = True
                header["deadline"] = time.time() + function.timeout
            worker.connection.settimeout(function.timeout)
            lambda_worker.send(worker.connection, header, payload)
            answer, body = lambda_worker.receive(worker.connection)
            failure = "Unhandled" if answer["failed"] else None
            lines = worker.end(2)
            self._give_back(key, worker)
        except TimeoutError:
            self._end(worker)
            worker.child.wait(5)
            text = f"Task timed out after {function.timeout:.2f} seconds"
            body, failure = _error("Sandbox.Timedout", f"RequestId: {request_id} Error: {text}"), "Unhandled"
            lines = [*worker.end(0), f"{self._instant()} {request_id} {text}"]
            stream.write(lines[-1])
        except (EOFError, OSError):
            self._end(worker)
            code = worker.child.wait(5) or 0
            how = "signal: killed" if code < 0 else f"exit status {code}"
            body = _error("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited with error: {how}")
            failure = "Unhandled"
            lines = [*worker.end(0), f"RequestId: {request_id} Error: Runtime exited with error: {how}"]
            stream.write(lines[-1])
        if len(body) > LARGEST_RESPONSE:
            text = f"Response payload size exceeded maximum allowed payload size ({LARGEST_RESPONSE} bytes)."
            body, failure = _error("Function.ResponseSizeTooLarge", text), "Unhandled"
        milliseconds = (time.monotonic() - started) * 1000
        end = [
            f"END RequestId: {request_id}",
            f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\t"
            f"Billed Duration: {int(milliseconds) + 1} ms\tMemory Size: {function.memory_size} MB",
        ]
        for line in end:
            stream.write(line)
        log = "\n".join([f"START RequestId: {request_id} Version: {version}", *lines, *end, ""])
        return LambdaResult(200, body, failure, log.encode()[-4096:].decode(errors="ignore"), version)

    def _take(self, function: Any) -> tuple[_Worker, str]:
        """A worker for this code and configuration: a warm one, or a new one. Outdated ones end."""
        key = json.dumps([
            function.function_arn, function.code_sha_256, function.handler, function.role, function.environment_vars,
            function.timeout, function.memory_size, [layer["Arn"] for layer in function.layers],
        ], sort_keys=True)  # fmt: skip
        outdated = []
        found = None
        with self._lock:
            for other in list(self._idle):
                if other != key and json.loads(other)[0] == function.function_arn:
                    outdated += self._idle.pop(other)
            while found is None and self._idle.get(key):
                worker = self._idle[key].pop()
                if worker.fresh():
                    found = worker
                else:
                    outdated.append(worker)
        for worker in outdated:
            self._end(worker)
        return found or self._start(function), key

    def _give_back(self, key: str, worker: _Worker) -> None:
        worker.used = time.monotonic()
        with self._lock:
            if not self._stopping.is_set() and not self._idle.get(key):
                self._idle[key] = [worker]
                if self._sweeper is None:
                    self._sweeper = threading.Thread(target=self._sweep, name="lambda workers", daemon=True)
                    self._sweeper.start()
                return
        self._end(worker)

    def _sweep(self) -> None:
        """End workers that nobody used for a while."""
        while not self._stopping.wait(IDLE_SECONDS / 10):
            with self._lock:
                stale = [w for idle in self._idle.values() for w in idle if not w.fresh()]
                self._idle = {key: [w for w in idle if w not in stale] for key, idle in self._idle.items()}
            for worker in stale:
                self._end(worker)

    def _start(self, function: Any) -> _Worker:
        version = worker_version(function)
        group = f"/aws/lambda/{function.function_name}"
        instant = time.gmtime(self._now())
        name = f"{time.strftime('%Y/%m/%d', instant)}/[{version}]{uuid.uuid4().hex}"
        allowed = self._may_log(function.role, function.region, group, name, function.function_name)
        worker = _Worker(self._logs.stream(group, name, function.region) if allowed else self._logs.nowhere())
        code = self._unpacked(function.code_sha_256, function.code_bytes)
        path = [str(code), *(str(layer / "python") for layer in self._layers(function))]
        scratch = self._folder / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        variables = {
            **function.environment_vars,
            **self._roles.environment(function.role, function.region, session_name=function.function_name),
            "_HANDLER": function.handler,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_LOG_GROUP_NAME": group,
            "AWS_LAMBDA_LOG_STREAM_NAME": name,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "LAMBDA_TASK_ROOT": str(code),
            "HOME": str(scratch),
            "PYTHONDONTWRITEBYTECODE": "",
            lambda_worker.SOCKET_VARIABLE: str(theirs.fileno()),
            lambda_worker.PATH_VARIABLE: ":".join(path),
        }
        try:
            worker.child = self._children.start(
                f"lambda {function.function_name}", [sys.executable, "-u", lambda_worker.__file__], variables, code,
                worker.sink, memory_mb=int(function.memory_size), pass_fds=[theirs.fileno()],
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        worker.connection = ours
        with self._lock:
            self._all.add(worker)
        if self._stopping.is_set():
            worker.child.kill()
        return worker

    def _end(self, worker: _Worker) -> None:
        worker.stop()
        with self._lock:
            self._all.discard(worker)

    def _layers(self, function: Any) -> list[Path]:
        from moto.awslambda.models import lambda_backends

        backend = lambda_backends[self._account_id][function.region]
        found = [backend.layers_versions_by_arn(layer["Arn"]) for layer in function.layers]
        return [self._unpacked(layer.code_sha_256, layer.code_bytes) for layer in found if layer is not None]

    def _unpacked(self, sha256: str, data: bytes) -> Path:
        """The folder with a zip's content; ``sha256`` is Lambda's base64 form."""
        folder = self._folder / base64.b64decode(sha256).hex()
        with self._lock:
            if not folder.is_dir():
                partial = self._folder / f"{folder.name}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                try:
                    with zipfile.ZipFile(io.BytesIO(data)) as archive:
                        archive.extractall(partial)  # zipfile itself keeps names below the folder
                except zipfile.BadZipFile as error:
                    raise CannotInvoke(
                        "InvalidZipFileException", f"Lambda could not unzip the file: {error}", 502
                    ) from error
                with contextlib.suppress(FileExistsError):
                    partial.rename(folder)
        return folder

    def _instant(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self._now()))


def worker_version(function: Any) -> str:
    """``$LATEST``, or the number of a published version."""
    return function.function_arn.rsplit(":", 1)[1] if function.function_arn.count(":") > 6 else "$LATEST"


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()
