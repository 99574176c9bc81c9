"""One request of a transform job to its container, with the job's timeout and retries."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from local_sagemaker.transforms.payloads import Payload, Source

#: ModelClientConfig: "The default value is 600" seconds, and 3 retries.
TIMEOUT_SECONDS, RETRIES = 600, 3
#: "…the default values": MaxPayloadInMB, MaxConcurrentTransforms, BatchStrategy (Use your own inference code with batch
#: transform).
_DEFAULTS = {"MaxPayloadInMB": 6, "MaxConcurrentTransforms": 1, "BatchStrategy": "MULTI_RECORD"}
#: A container may ask for more at a time; so many payloads are kept in memory at most, unless the user asks for more.
MOST_CONCURRENT = 64
_STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}

#: Before the second try, in seconds; doubled before each later one.
_FIRST_PAUSE = 0.2
_MESSAGE_CHARACTERS = 1000


class Refused(Exception):
    """The container did not transform a payload.

    ``fault`` is ClientError or AlgorithmError, ``detail`` the container's answer; ``lost``: there was no connection.
    """

    def __init__(self, fault: str, text: str, detail: str = "", *, lost: bool = False) -> None:
        super().__init__(text)
        self.fault = fault
        self.text = text
        self.detail = detail
        self.lost = lost


class Ended(Exception):
    """The job is being stopped."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """How a container is sent its work. ``payload_mb`` 0: no limit."""

    payload_mb: int
    concurrent: int
    strategy: str

    @property
    def limit(self) -> int | None:
        """Bytes of a payload at most."""
        return self.payload_mb * 2**20 or None

    def __str__(self) -> str:
        """As SageMaker writes them into the data log."""
        return (
            f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={self.payload_mb}, "
            f"BatchStrategy={self.strategy}"
        )


def environment(request: Mapping[str, Any]) -> dict[str, str]:
    """The variables of batch transform. "If the user doesn't set values for them, they aren't passed." """
    found = {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": request.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": _STRATEGIES.get(request.get("BatchStrategy", "")),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": request.get("MaxConcurrentTransforms"),
    }
    return {"SAGEMAKER_BATCH": "true"} | {name: str(value) for name, value in found.items() if value is not None}


def negotiate(pool: HTTPConnectionPool, request: Mapping[str, Any], seconds: float) -> Parameters:
    """The request's values, else those that the container gives at ``/execution-parameters``, else the defaults.

    A container need not have that path; what it answers and is no valid value is left out.
    """
    wanted: dict[str, Any] = dict(_DEFAULTS)
    try:
        answer = pool.urlopen("GET", "/execution-parameters", retries=False, redirect=False, timeout=seconds)
        given = json.loads(answer.data) if answer.status == 200 else {}
    except (HTTPError, OSError, ValueError, RecursionError):
        given = {}
    if isinstance(given, dict):
        size, parallel, strategy = (given.get(name) for name in _DEFAULTS)
        if _is_count(size):
            wanted["MaxPayloadInMB"] = size
        if _is_count(parallel) and parallel:
            wanted["MaxConcurrentTransforms"] = min(parallel, MOST_CONCURRENT)
        if strategy in _STRATEGIES.values():
            wanted["BatchStrategy"] = strategy
    if request.get("MaxPayloadInMB") is not None:
        wanted["MaxPayloadInMB"] = request["MaxPayloadInMB"]
    if request.get("MaxConcurrentTransforms"):  # 0 is as if it were left out
        wanted["MaxConcurrentTransforms"] = request["MaxConcurrentTransforms"]
    if request.get("BatchStrategy"):
        wanted["BatchStrategy"] = _STRATEGIES[request["BatchStrategy"]]
    return Parameters(wanted["MaxPayloadInMB"], wanted["MaxConcurrentTransforms"], wanted["BatchStrategy"])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class Sender:
    """Sends payloads. ``ending`` is set when no more must be sent. Safe to use from several threads."""

    def __init__(self, request: Mapping[str, Any], ending: threading.Event) -> None:
        config = request.get("ModelClientConfig") or {}
        self._timeout = float(config.get("InvocationsTimeoutInSeconds", TIMEOUT_SECONDS))
        self._attempts = int(config.get("InvocationsMaxRetries", RETRIES)) + 1
        self._headers = {
            name: value
            for name, value in (
                ("Content-Type", request["TransformInput"].get("ContentType")),
                ("Accept", request["TransformOutput"].get("Accept")),
            )
            if value
        }
        self._ending = ending

    def send(self, pool: HTTPConnectionPool, payload: Payload) -> bytes:
        """The container's answer.

        A timeout, a lost connection and a 5xx are tried again; a 4xx says that the data is wrong.

        Raises:
            Refused: the last try failed.
            Ended: the job is being stopped.
            BadInput: a streamed input is no gzip file.
        """
        left = self._attempts
        pause = _FIRST_PAUSE
        while True:
            left -= 1
            try:
                return self._try(pool, payload)
            except Refused as failure:
                if self._ending.is_set():
                    raise Ended from None
                if failure.fault == "ClientError" or not left:
                    raise
            if self._ending.wait(pause):
                raise Ended
            pause *= 2

    def _try(self, pool: HTTPConnectionPool, payload: Payload) -> bytes:
        if self._ending.is_set():
            raise Ended
        body = payload.chunks() if isinstance(payload, Source) else payload
        try:
            answer = pool.urlopen(
                "POST", "/invocations", body=body, headers=self._headers, retries=False, redirect=False,
                timeout=urllib3.Timeout(connect=self._timeout, read=self._timeout), decode_content=False,
            )  # fmt: skip
        except ReadTimeoutError:
            raise Refused(
                "AlgorithmError",
                f"Model server did not respond to /invocations request within {self._timeout:g} seconds",
            ) from None
        except NewConnectionError:
            raise Refused("AlgorithmError", "Unable to connect to the model server", lost=True) from None
        except (HTTPError, OSError) as error:
            raise Refused("AlgorithmError", f"Unable to get response from algorithm: {error}", lost=True) from error
        if 200 <= answer.status < 300:
            return answer.data
        detail = answer.data.decode("utf-8", "replace")[:_MESSAGE_CHARACTERS]
        if 400 <= answer.status < 500:
            raise Refused("ClientError", f"ClientError: {answer.status}", detail)
        raise Refused("AlgorithmError", f"Bad HTTP status received from algorithm: {answer.status}", detail)
