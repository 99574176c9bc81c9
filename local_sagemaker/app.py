"""The WSGI application: who answers which path.

``/_local/…`` is the admin's, ``/endpoints/<name>/invocations`` goes to the endpoint's own processes, everything else is
moto's. Web pages get nothing: whoever can post here can run the bound commands, so a request that a browser sent for
another site's page is refused, by its Origin or by a host name that only rebound DNS can bring here.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from local_sagemaker.admin import Admin
from local_sagemaker.errors import ApiError
from local_sagemaker.faults import answers
from local_sagemaker.iam import requests
from local_sagemaker.iam.access import Denied
from local_sagemaker.moto_gaps.dispatch import Dispatcher

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)
Environ = dict[str, Any]
StartResponse = Callable[..., Any]

#: Bytes of a request body that this module reads into memory at most; S3 and moto have limits of their own.
_LARGEST_BODY = 256 * 1024 * 1024

_NAMES = ("localhost", "host.docker.internal")
_DOMAINS = (".localhost", ".amazonaws.com")


#: SageMaker's runtime; nothing of S3, where ``endpoints`` may be a bucket, is a POST to such a path.
_INVOCATION = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")


class App:
    """The server's WSGI application."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._admin = Admin(platform)
        self._aws = Dispatcher(platform)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        try:
            if not self._is_trusted(environ):
                return _answer(start_response, 403, {"message": "requests of web pages are refused"})
            if path.startswith("/_local/"):
                if not environ.get("REMOTE_ADDR", "").startswith("127."):
                    return _answer(start_response, 403, {"message": "/_local/ answers on loopback only"})
                return _answer(start_response, *self._admin.handle(environ["REQUEST_METHOD"], path, _body(environ)))
            invocation = _INVOCATION.fullmatch(path)
            if invocation and environ["REQUEST_METHOD"] == "POST":
                return self._invoke_endpoint(environ, start_response, *invocation.groups())
            return self._aws(environ, start_response)
        except _TooLarge as error:
            return _answer(start_response, 413, {"message": str(error)}, {"x-amzn-ErrorType": "RequestTooLarge"})
        except ConnectionError:
            raise  # the client went away
        except Exception as error:
            _log.exception("%s %s", environ["REQUEST_METHOD"], path)
            text = f"The local SageMaker failed: {error!r}. Its server.log has the details."
            document = {"__type": "InternalFailure", "message": text}
            return _answer(start_response, 400, document, {"x-amzn-ErrorType": "InternalFailure"})

    def _is_trusted(self, environ: Environ) -> bool:
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin != self._platform.endpoint_url:
            return False
        host = environ.get("HTTP_HOST", "").rsplit(":", 1)[0].strip("[]").lower()
        if host in _NAMES or host.endswith(_DOMAINS):
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def _invoke_endpoint(
        self, environ: Environ, start_response: StartResponse, name: str, verb: str
    ) -> Iterable[bytes]:
        access_key, region = requests.credentials(environ)
        about = (self._platform.faults, "sagemaker-runtime", "InvokeEndpoint", access_key)
        headers = {
            key.removeprefix("HTTP_").replace("_", "-").title(): value
            for key, value in environ.items()
            if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
        }
        try:
            if self._platform.access.active:
                self._platform.access.http(environ, "sagemakerruntime")
            answers.before(*about)
            status, answered, body = self._platform.fleets.invoke(
                unquote(name), region or self._platform.region, _body(environ), headers, verb
            )
            answers.after(*about)
        except (ApiError, answers.Refusal) as error:
            document = {"message": error.message, "Message": error.message}
            return _answer(start_response, error.status, document, {"x-amzn-ErrorType": error.code})
        except Denied as denied:
            document = {"message": denied.message, "Message": denied.message}
            return _answer(start_response, 403, document, {"x-amzn-ErrorType": "AccessDeniedException"})
        start_response(f"{status} ", [*answered.items(), ("Content-Length", str(len(body)))])
        return [body]


class _TooLarge(Exception):
    """A request body over the limit."""


def _answer(
    start_response: StartResponse, status: int, document: Any, headers: dict[str, str] | None = None
) -> Iterable[bytes]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    fixed = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "x-amzn-RequestId": str(uuid.uuid4()),
    }
    start_response(f"{status} ", list((fixed | (headers or {})).items()))
    return [body]


def _body(environ: Environ) -> bytes:
    if environ.get("wsgi.input_terminated"):
        data: bytes = environ["wsgi.input"].read(_LARGEST_BODY + 1)
    else:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        data = environ["wsgi.input"].read(length) if length <= _LARGEST_BODY else b""
        if len(data) < length <= _LARGEST_BODY:
            raise ConnectionError(f"{len(data)} of {length} bytes arrived")
        if length > _LARGEST_BODY:
            raise _TooLarge(f"the body has {length} bytes; the limit is {_LARGEST_BODY}")
    if len(data) > _LARGEST_BODY:
        raise _TooLarge(f"the limit of a body is {_LARGEST_BODY} bytes")
    return data
