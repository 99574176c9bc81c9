"""InvokeEndpoint: a request goes to one container, its answer comes back.

Source: API reference, "InvokeEndpoint" (headers, errors, limits); Developer Guide, "Use Your Own Inference Code with
Hosting Services" (what the container gets). Headers are never logged: custom attributes may be secrets.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from local_sagemaker.endpoints import metrics
from local_sagemaker.endpoints.instance import log_group
from local_sagemaker.errors import ApiError

if TYPE_CHECKING:
    from local_sagemaker.endpoints.container import Container
    from local_sagemaker.endpoints.endpoint import Endpoint
    from local_sagemaker.endpoints.settings import Settings
    from local_sagemaker.platform import Platform

#: HTTP status, headers, body.
Answer = tuple[int, dict[str, str], bytes]

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
_VARIANT = "x-amzn-sagemaker-target-variant"
#: All that a container gets to see of the caller's headers.
_FORWARDED = (
    "content-type", "accept", ATTRIBUTES, _VARIANT, "x-amzn-sagemaker-inference-id", "x-amzn-sagemaker-prefix-aware-id",
)  # fmt: skip
_REFUSED = {
    "x-amzn-sagemaker-target-model": "TargetModel",
    "x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname",
    "x-amzn-sagemaker-inference-component": "InferenceComponentName",
    "x-amzn-sagemaker-enable-explanations": "EnableExplanations",
    "x-amzn-sagemaker-session-id": "SessionId",
}
_MESSAGE_CHARACTERS = 2048
_ATTEMPTS = 3


def invoke(
    platform: Platform,
    settings: Settings,
    endpoint: Endpoint | None,
    name: str,
    region: str,
    body: bytes,
    headers: Mapping[str, str],
) -> Answer:
    """Send one request; ``endpoint`` is None when there is none of that name.

    Raises:
        ApiError: ValidationError or ServiceUnavailable; a container's own error is a ModelError answer.
    """
    began = time.monotonic()
    given = {key.lower(): value for key, value in headers.items()}
    if endpoint is None or not endpoint.serves():
        raise _invalid(f"Endpoint {name} of account {platform.account_id} not found.")
    for header, member in _REFUSED.items():
        if given.get(header):
            raise _invalid(f"InvokeEndpoint: {member} is not supported by the local SageMaker.")
    if len(body) > settings.body_bytes:
        raise _invalid(f"Request of {len(body)} bytes has exceeded the upper limit of {settings.body_bytes} bytes.")
    if len(given.get(ATTRIBUTES, "")) > 1024 or not given.get(ATTRIBUTES, "").isascii():
        raise _invalid("CustomAttributes must be at most 1024 ASCII characters.")
    variant = given.get(_VARIANT)
    if variant and not endpoint.has(variant):
        raise _invalid(f"Variant {variant} of endpoint {name} not found.")
    error = _ModelError(platform, region, name)
    forwarded = {key: given[key] for key in _FORWARDED if given.get(key)}
    for _ in range(_ATTEMPTS):
        found = endpoint.pick(variant)
        if found is None:
            break
        chosen, instance = found
        sent = time.monotonic()
        try:
            container = instance.container
            if container is None:
                continue
            reply = _exchange(container, settings, body, forwarded)
        except NewConnectionError:  # nothing was sent: another instance may answer
            continue
        finally:
            instance.release()
        answered = time.monotonic()
        metrics.invoked(
            platform, region, instance.endpoint, chosen, status=reply.status, instances=endpoint.instances(chosen),
            model_seconds=answered - sent, overhead_seconds=sent - began,
        )  # fmt: skip
        if reply.trouble:
            return error.answer(reply.status, reply.trouble)
        if not 200 <= reply.status < 300:
            return error.answer(reply.status, reply.content.decode("utf-8", "replace"))
        return reply.status, _answer_headers(reply.headers, chosen), reply.content
    raise ApiError(
        f"No instance of endpoint {name} can answer now. Try again shortly.", code="ServiceUnavailable", status=503
    )


@dataclass(frozen=True, slots=True)
class _Reply:
    """A container's answer; ``trouble``: why there is none that can be handed on. ``status`` 0: it gave none."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    trouble: str = ""


def _exchange(container: Container, settings: Settings, body: bytes, headers: dict[str, str]) -> _Reply:
    """One request to a container.

    Raises:
        NewConnectionError: it was not reached.
    """
    try:
        answer = container.pool.urlopen(
            "POST", "/invocations", body=body, headers=headers, preload_content=False, retries=False, redirect=False,
            timeout=settings.invocation_seconds,
        )  # fmt: skip
        content = _read(answer, settings.body_bytes)
    except NewConnectionError:
        raise
    except ReadTimeoutError:
        return _Reply(
            0,
            {},
            b"",
            "Your invocation timed out while waiting for a response from container primary. Review the latency metrics "
            "for each container in Amazon CloudWatch, resolve the issue, and try again.",
        )
    except (HTTPError, OSError):
        return _Reply(0, {}, b"", "The container closed the connection before it answered.")
    if content is None:
        return _Reply(0, {}, b"", f"The answer has exceeded the upper limit of {settings.body_bytes} bytes.")
    return _Reply(answer.status, answer.headers, content)


def refuse_verb(verb: str) -> None:
    """Only plain invocations run here.

    Raises:
        ApiError: another verb of the runtime's API.
    """
    names = {
        "async-invocations": "InvokeEndpointAsync",
        "invocations-response-stream": "InvokeEndpointWithResponseStream",
    }
    if verb != "invocations":
        raise _invalid(f"{names.get(verb, verb)} is not supported by the local SageMaker. Use InvokeEndpoint.")


def _invalid(message: str) -> ApiError:
    return ApiError(message, code="ValidationError", status=400)


def _read(answer: urllib3.BaseHTTPResponse, limit: int) -> bytes | None:
    """The whole body; None when it is longer than ``limit`` bytes. A connection that was read to the end is kept."""
    content = answer.read(limit + 1, decode_content=False)
    if len(content) > limit:
        answer.close()
        return None
    answer.drain_conn()
    answer.release_conn()
    return content


def _answer_headers(given: Mapping[str, str], variant: str) -> dict[str, str]:
    headers = {
        "Content-Type": given.get("Content-Type", "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": variant,
        "x-amzn-RequestId": str(uuid.uuid4()),
    }
    attributes = given.get(ATTRIBUTES)
    if attributes:
        headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
    return headers


class _ModelError:
    """The ModelError of an endpoint, with where its log is."""

    def __init__(self, platform: Platform, region: str, endpoint: str) -> None:
        self._account = platform.account_id
        self._region = region
        self._group = log_group(endpoint)

    def answer(self, status: int, message: str) -> Answer:
        """``status`` is the container's, 0 when it gave none."""
        message = message[:_MESSAGE_CHARACTERS]
        side = "client" if 400 <= status < 500 else "server"
        console = f"https://{self._region}.console.aws.amazon.com/cloudwatch/home?region={self._region}"
        document = {
            "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if side == "client" else "INTERNAL_FAILURE_FROM_MODEL",
            "LogStreamArn": f"arn:aws:logs:{self._region}:{self._account}:log-group:{self._group}",
            "Message": f'Received {side} error ({status}) from primary with message "{message}". See '
            f"{console}#logEventViewer:group={self._group} in account {self._account} for more information.",
            "OriginalMessage": message,
            "OriginalStatusCode": status,
        }
        headers = {
            "Content-Type": "application/json",
            "x-amzn-ErrorType": "ModelError",
            "x-amzn-RequestId": str(uuid.uuid4()),
        }
        return 424, headers, json.dumps(document).encode()
