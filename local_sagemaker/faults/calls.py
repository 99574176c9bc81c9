"""Faults that strike one AWS call on its way through moto: before it is done, or once it is done.

SageMaker's operations that this server owns meet theirs in :func:`local_sagemaker.api.perform`, where the steps of
pipelines come along too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from moto.core.request import Request
from moto.core.routing import get_service_router
from werkzeug.exceptions import HTTPException

from local_sagemaker.faults import answers
from local_sagemaker.iam import requests

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform


class Call:
    """A call and, as long as any fault is on, its operation's name. ``service``: moto's name."""

    def __init__(self, platform: Platform, environ: dict[str, Any], service: str) -> None:
        from local_sagemaker.api import OPERATIONS

        self._faults = platform.faults
        self._environ = environ
        self._service = service
        self._answer: tuple[Any, ...] | None = None
        self._operation = ""
        self._access_key = ""
        if self._faults.active:
            self._service, self._operation = _names(environ, service, platform.region)
            self._access_key = requests.credentials(environ)[0]
        self.active = self._faults.active and not (service == "sagemaker" and self._operation in OPERATIONS)

    def before(self) -> None:
        """Raises: Refusal."""
        if self.active:
            answers.before(self._faults, self._service, self._operation, self._access_key)

    def run(self, app: Callable[..., Iterable[bytes]], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Have ``app`` answer; the head of its answer goes out with :meth:`finish`."""
        if not self.active:
            return app(self._environ, start_response)

        def keep(*answer: Any) -> Callable[[bytes], None]:
            self._answer = answer
            return lambda data: None

        pieces = app(self._environ, keep)
        try:
            return list(pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def finish(self, start_response: Callable[..., Any]) -> None:
        """Send the head, unless the call is struck now that it is done. Raises: Refusal."""
        if self._answer is not None:
            if int(str(self._answer[0]).split()[0]) < 400:
                self.after()
            start_response(*self._answer)

    def after(self) -> None:
        """The call was done. Raises: Refusal."""
        if self.active:
            answers.after(self._faults, self._service, self._operation, self._access_key)


def _names(environ: dict[str, Any], service: str, region: str) -> tuple[str, str]:
    """Service and operation as botocore has them; the operation is empty for none. Bodies of S3 are not touched."""
    if service != "s3":
        found = requests.read(environ, service, region)
        return found.service, found.operation
    try:
        matched, _ = get_service_router("s3").match(Request({**environ, "wsgi.input": None}))
    except (HTTPException, NotImplementedError):
        return service, ""
    return service, str(matched.name)
