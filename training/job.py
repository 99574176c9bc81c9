"""SageMaker's contract with an own image: where a job reads its configuration and how it says that it failed.

Source: SageMaker Developer Guide, "How Amazon SageMaker AI Provides Training Information", "How Amazon SageMaker AI
Signals Algorithm Success and Failure", "How Amazon SageMaker Processing Configures Input and Output For Your Processing
Container". ``SM_*`` variables belong to the training toolkit, not to SageMaker: they are read only as an override.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from contracts import container, jsonio
from contracts.errors import ContractError, FactoryError, UsageError

#: Exit code after SIGTERM, as a shell reports it. Not 0: SageMaker reads 0 as "the model is complete".
STOPPED = 128 + signal.SIGTERM

FAILURE = "/opt/ml/output/failure"
#: A processing job's ExitMessage.
MESSAGE = "/opt/ml/output/message"


class Stopped(BaseException):
    """SIGTERM came: what was to be kept is kept, and the process ends with :data:`STOPPED`."""


@dataclass(frozen=True)
class TrainingJob:
    """What SageMaker tells a training container.

    Attributes:
        hyperparameters: name -> text.
        channels: channel -> folder, for the channels of the request.
        hosts: all of the job's hosts, ``algo-1`` and so on.
        model: what SageMaker packs into ``model.tar.gz``.
        output_data: what SageMaker packs into ``output.tar.gz``.
        checkpoints: kept in S3 while the job runs, and brought back when it is started again.
    """

    hyperparameters: Mapping[str, str]
    channels: Mapping[str, Path]
    hosts: tuple[str, ...]
    model: Path
    output_data: Path
    checkpoints: Path

    @classmethod
    def read(cls) -> TrainingJob:
        """The job that this container was started for.

        Raises:
            ContractError: a configuration file is not what SageMaker writes.
        """
        config = container.local("/opt/ml/input/config")
        given = os.environ.get("SM_HPS")
        hyperparameters = _parse("SM_HPS", given) if given else _optional(config / "hyperparameters.json")
        for name, value in hyperparameters.items():
            if not isinstance(value, str):
                raise ContractError(
                    f"hyperparameter {name} is {value!r}, a {type(value).__name__}",
                    "SageMaker passes hyperparameters as strings.",
                )
        data = container.local("/opt/ml/input/data")
        channels = {
            name: Path(os.environ.get(f"SM_CHANNEL_{name.upper()}", data / name))
            for name in _channels(_optional(config / "inputdataconfig.json"))
        }
        resources = _optional(config / "resourceconfig.json")
        return cls(
            hyperparameters,
            channels,
            tuple(resources.get("hosts", ("algo-1",))),
            Path(os.environ.get("SM_MODEL_DIR", container.local("/opt/ml/model"))),
            Path(os.environ.get("SM_OUTPUT_DATA_DIR", container.local("/opt/ml/output/data"))),
            container.local(container.CHECKPOINTS),
        )

    def channel(self, name: str) -> Path:
        """The folder of a channel.

        Raises:
            ContractError: the job has no such channel, or its folder is missing.
        """
        folder = self.channels.get(name)
        if folder is None:
            raise ContractError(
                f"the training job has no channel {name!r}",
                f"It has: {', '.join(sorted(self.channels)) or 'none'}. InputDataConfig must name {name!r}.",
            )
        if not folder.is_dir():
            raise ContractError(f"channel {name!r} has no folder {folder}", "The input mode must be File or FastFile.")
        return folder


def processing_instance() -> tuple[int, int]:
    """(number of this instance from 0, number of instances) of a processing job.

    Raises:
        ContractError: ``resourceconfig.json`` does not name this host among the hosts.
    """
    config = _optional(container.local("/opt/ml/config/resourceconfig.json"))
    if not config:
        return 0, 1
    hosts, host = sorted(config.get("hosts", ()), key=_host_number), config.get("current_host")
    if host not in hosts:
        raise ContractError(f"resourceconfig.json names the hosts {hosts}; {host!r} is not among them")
    return hosts.index(host), len(hosts)


def run(main: Callable[[], None], failure_file: str) -> int:
    """Run an entry point and return its exit code: 0, an error's own, or :data:`STOPPED`.

    On failure ``failure_file`` gets one readable message of at most 1,024 characters, which SageMaker shows as the
    job's failure reason; an error that nobody foresaw also leaves its traceback in the log.
    """
    try:
        main()
    except Stopped as stopped:
        print(f"Stopped: {stopped}", flush=True)
        return STOPPED
    except FactoryError as error:
        message, code = str(error), error.exit_code
    except Exception as error:
        traceback.print_exc()
        message, code = f"{type(error).__name__}: {error}\nThe traceback is in the log.", 1
    else:
        return 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the process is ending anyway, with the right code
    print(f"Failed: {message}", file=sys.stderr, flush=True)
    path = container.local(failure_file)
    try:
        jsonio.write_bytes(path, message[: container.MAX_FAILURE_CHARACTERS].encode())
    except OSError as error:  # a full disk must not hide the reason, which is in the log
        print(f"{path} could not be written: {error}", file=sys.stderr, flush=True)
    return code


class StopRequest:
    """SIGTERM. By default it raises :class:`Stopped` at once; work that has something to save defers it and asks.

    Its handler is installed when it is made, in the main thread.
    """

    def __init__(self) -> None:
        self._came = False
        self._deferred = False
        signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        if not self._deferred:
            raise Stopped("before there was anything new to keep")

    def __bool__(self) -> bool:
        return self._came

    def check(self, what: str = "") -> None:
        """Raise :class:`Stopped`, saying ``what``, if SIGTERM came."""
        if self._came:
            raise Stopped(what)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """While this lasts, SIGTERM is only noted."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False


def whole_number(hyperparameters: Mapping[str, str], name: str, default: int) -> int:
    """A hyperparameter that is a whole number, 0 or more.

    Raises:
        UsageError: it is something else.
    """
    text = hyperparameters.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) >= 2**31:
        raise UsageError(f"hyperparameter {name} is {text!r}", f"{name} must be a whole number from 0 to {2**31 - 1}.")
    return int(text)


def _optional(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    value = jsonio.read(path)
    if not isinstance(value, dict):
        raise ContractError(f"{path} is not a JSON object")
    return value


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ContractError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ContractError(f"{name} is not a JSON object")
    return value


def _channels(config: Mapping[str, Any]) -> set[str]:
    override = {name[len("SM_CHANNEL_") :].lower() for name in os.environ if name.startswith("SM_CHANNEL_")}
    return set(config) | override


def _host_number(host: str) -> tuple[int, str]:
    digits = host.rpartition("-")[2]
    return (int(digits) if digits.isdigit() else 0, host)
