"""moto's dispatcher, made fast and safe.

- moto lists its own package folder on disk for every request; here the service of a host name is looked up once.
- Requests for S3 objects go straight to the S3 responder, past Flask's routing; their bodies go straight to a file.
- A missing action or a crash inside moto is an error in the service's own format (moto: an HTML page with status 500,
  which SDKs retry for minutes).
- What changed is told to the state, so that it is stored.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import flask
from botocore.exceptions import ClientError
from moto import backends
from moto.core.common_models import BaseModel
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.moto_server.werkzeug_app import BackendRequest, DomainDispatcherApplication, create_backend_app
from moto.s3.responses import S3Response
from werkzeug.exceptions import MethodNotAllowed, NotFound

from local_sagemaker import moto_gaps
from local_sagemaker.faults import calls
from local_sagemaker.faults.answers import Refusal
from local_sagemaker.iam.access import Denied
from local_sagemaker.moto_gaps import s3, s3_bodies, wire
from local_sagemaker.moto_gaps.patching import put, replace

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

_log = logging.getLogger(__name__)

_READING = re.compile(r"(Describe|List|Get|Head|BatchGet|Lookup|Query|Search|Filter|Test|Validate|Simulate|Estimate)")
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_FORM = "application/x-www-form-urlencoded"

#: Where a change in one service also changes others.
_ALSO = {"sts": ("iam",), "sns": ("sqs",), "s3": ("sqs", "sns"), "awslambda": ("logs",), "iam": ("sts",)}

_CONDITIONAL = threading.Lock()

Answer = tuple[int, dict[str, Any], Any]


class _Unsupported(ServiceException):
    code = "UnsupportedOperation"


def install() -> None:
    """Let a missing action be an error that SDKs understand, and forget models that nobody uses any more.

    moto keeps every model it ever made in a list, for the pages of its own dashboard.
    """
    put(BaseModel, "__new__", lambda cls, *args, **kwargs: object.__new__(cls))

    @replace(BaseResponse)
    def call_action(self: Any) -> Any:
        try:
            return call_action.original(self)  # type: ignore[attr-defined]
        except NotImplementedError as error:
            _log.warning("not built: %s %s", type(self).__name__, error)
            answer = ActionResult(_Unsupported(f"The local SageMaker lacks it: {error}"))
            _, headers, body = self.serialized(answer)
            headers["status"] = "501"
            return 501, headers, body


class Dispatcher(DomainDispatcherApplication):
    """The WSGI application that answers every AWS call."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(self._create_app)
        self._platform = platform
        self._modules = frozenset(backends.list_of_moto_modules())
        self._services: dict[str, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host is None or host in self._modules:
            return host
        if host not in self._services:
            if len(self._services) > 1000:  # hosts come from requests
                self._services.clear()
            self._services[host] = super().get_backend_for_host(host)
        return self._services[host]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        service = "s3"
        try:
            if s3_bodies.is_object_request(environ):
                self._authorise(environ, service)
                call = calls.Call(self._platform, environ, service)
                call.before()
                with self._platform.state.using("s3"):
                    answer = _object(environ, self._platform)
                if answer[0] < 400 and call.active:
                    self._changed("s3")
                    call.after()
            else:
                app: Any = self.get_application(environ)
                service = app.service
                self._authorise(environ, service)
                action = _action(environ)
                call = calls.Call(self._platform, environ, service)
                call.before()
                with self._platform.state.using(service):
                    pieces = call.run(app, start_response)
                if _changes(environ, action):
                    self._changed(service)
                call.finish(start_response)
                return pieces
        except ConnectionError:
            raise  # the client went away in the middle
        except Denied as denied:
            answer = _denied(environ, service, denied)
        except Refusal as refusal:
            return _send(wire.error(environ, service, refusal.code, refusal.message, refusal.status), start_response)
        except s3_bodies.Fault as fault:
            answer = wire.error(environ, "s3", fault.code, fault.message, fault.status)
        except Exception as error:
            answer = _crashed(environ, service, error)
        if answer[0] < 400 and environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            self._changed("s3")
        return _send(answer, start_response)

    def _authorise(self, environ: dict[str, Any], service: str) -> None:
        """Ask IAM, unless nobody wants it asked. Raises: Denied."""
        if self._platform.access.active:
            self._platform.access.http(environ, service)

    def _create_app(self, service: Any) -> Any:
        """moto's Flask application of a service; a path that no route matches is a missing action, not an HTML page."""
        moto_gaps.install_later(service, self._platform)
        app = create_backend_app(service)

        def missing(error: Exception) -> NoReturn:
            raise NotImplementedError(f"{flask.request.method} {flask.request.path} of {service}")

        app.register_error_handler(NotFound, missing)
        app.register_error_handler(MethodNotAllowed, missing)
        return app

    def _changed(self, service: str) -> None:
        self._platform.state.changed(service, *_ALSO.get(service, ()))


def _object(environ: dict[str, Any], platform: Platform) -> Answer:
    """Answer a request for one S3 object."""
    s3_bodies.receive(environ, platform.blobs)
    request = BackendRequest(environ)
    conditional = "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ
    try:
        # moto looks and then writes: of two conditional writes at once, both would find what they hope for.
        with _CONDITIONAL if conditional else contextlib.nullcontext():
            answer: Answer = S3Response.key_dispatch(request, request.raw_url, dict(request.headers))
    except ClientError as error:
        return 400, {}, error.response["Error"]["Message"]
    finally:
        s3_bodies.forget(environ)
        s3.forget()
    return answer


def _send(answer: Answer, start_response: Callable[..., Any]) -> Iterable[bytes]:
    status, headers, content = answer
    body = content.encode() if isinstance(content, str) else content
    listed = [(name, str(value)) for name, value in headers.items() if name.lower() != "status"]
    if not any(name.lower() == "content-length" for name, _ in listed):
        listed.append(("Content-Length", str(len(body))))
    start_response(f"{status} ", listed)
    return [body] if isinstance(body, bytes) else body


def _denied(environ: dict[str, Any], service: str, denied: Denied) -> Answer:
    """A refusal, in the code and status that SDKs know from the service."""
    if service == "ec2":
        return wire.error(environ, service, "UnauthorizedOperation", denied.message, 403)
    queried = service in ("s3", "s3control") or environ.get("CONTENT_TYPE", "").startswith(_FORM)
    if queried:
        return wire.error(environ, service, "AccessDenied", denied.message, 403)
    status = 400 if "HTTP_X_AMZ_TARGET" in environ else 403
    return wire.error(environ, service, "AccessDeniedException", denied.message, status)


def _crashed(environ: dict[str, Any], service: str, error: Exception) -> Answer:
    what = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
    full = _disk_full(error)
    if full:
        _log.error("%s: %s", what, full)
        message = f"The local SageMaker cannot write to its state folder: {full}. Free some space and try again."
        return wire.error(environ, service, "InsufficientStorage", message, 507)
    if isinstance(error, NotImplementedError):
        _log.warning("not built: %s %s", what, error)
        return wire.error(environ, service, "NotImplemented", f"The local SageMaker lacks it: {error}", 501)
    _log.error("moto failed: %s %s", what, environ.get("HTTP_X_AMZ_TARGET", ""), exc_info=error)
    message = f"The local SageMaker failed inside {service}: {error!r}. Its server.log has the details."
    return wire.error(environ, service, "InternalFailure", message, 400)


def _disk_full(error: Exception) -> str:
    """What the system says when the state folder's disk takes no more; empty for any other error."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return str(error.strerror)
    if isinstance(error, sqlite3.OperationalError) and ("is full" in str(error) or "disk I/O" in str(error)):
        return str(error)
    return ""


def _action(environ: dict[str, Any]) -> str:
    """The name of the operation where the request carries one, else an empty text."""
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rsplit(".", 1)[-1]
    path: str = environ["PATH_INFO"]
    if path.startswith("/service/") and "/operation/" in path:
        return path.rsplit("/", 1)[-1]
    if environ.get("CONTENT_TYPE", "").startswith(_FORM):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        found = _ACTION.search(body)
        return found[1].decode() if found else ""
    return ""


def _changes(environ: dict[str, Any], action: str) -> bool:
    if action:
        return _READING.match(action) is None
    return environ["REQUEST_METHOD"] not in ("GET", "HEAD")
