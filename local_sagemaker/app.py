"""The WSGI application: who answers which path.

``/_local/…`` is the admin's, ``/endpoints/<name>/invocations`` goes to the endpoint's own processes, everything else is
moto's, wrapped so that nothing ever answers with an HTML page: SDKs retry those for minutes.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from local_sagemaker.admin import Admin
from local_sagemaker.errors import ApiError

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)
Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class App:
    """The server's WSGI application."""

    def __init__(self, platform: Platform) -> None:
        from local_sagemaker.moto_gaps.dispatch import Dispatcher

        self._platform = platform
        self._admin = Admin(platform)
        self._aws = Dispatcher(platform)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        try:
            if path.startswith("/_local/"):
                return self._answer(
                    start_response, *self._admin.handle(environ["REQUEST_METHOD"], path, _body(environ))
                )
            if path.startswith("/endpoints/"):
                return self._invoke_endpoint(environ, start_response)
            return self._aws(environ, start_response)
        except Exception as error:
            _log.exception("%s %s", environ["REQUEST_METHOD"], path)
            return self._answer(start_response, 400, {"__type": "InternalFailure", "message": repr(error)})

    def _invoke_endpoint(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        _, _, name, verb = f"{environ['PATH_INFO']}///".split("/")[:4]
        authorization = environ.get("HTTP_AUTHORIZATION", "").split("/")
        region = authorization[2] if len(authorization) > 2 else self._platform.region
        headers = {
            key.removeprefix("HTTP_").replace("_", "-").title(): value
            for key, value in environ.items()
            if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
        }
        try:
            status, answer_headers, body = self._platform.fleets.invoke(
                unquote(name), region, _body(environ), headers, verb
            )
        except ApiError as error:
            answer = {"message": error.message, "Message": error.message}
            return self._answer(start_response, error.status, answer, {"x-amzn-ErrorType": error.code})
        start_response(f"{status} ", [*answer_headers.items(), ("Content-Length", str(len(body)))])
        return [body]

    def _answer(
        self, start_response: StartResponse, status: int, document: Any, headers: dict[str, str] | None = None
    ) -> Iterable[bytes]:
        body = json.dumps(document).encode()
        start_response(
            f"{status} ",
            [
                ("Content-Type", "application/json"), ("Content-Length", str(len(body))),
                ("x-amzn-RequestId", str(uuid.uuid4())), *(headers or {}).items(),
            ],
        )  # fmt: skip
        return [body]


def _body(environ: Environ) -> bytes:
    length = environ.get("CONTENT_LENGTH")
    data: bytes = environ["wsgi.input"].read(int(length)) if length else b""
    return data
