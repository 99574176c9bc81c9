"""What runs inside a Lambda worker process: Lambda's Python runtime, as far as a handler can see it.

Started by :mod:`local_sagemaker.lambdas`. Invocations come over a socket whose file descriptor the environment names;
what the handler prints goes to standard output, one line with a mark after each invocation. Needs the standard library
only: everything else that a handler imports comes with the function or the interpreter.
"""

import contextlib
import importlib
import json
import logging
import os
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

SOCKET_VARIABLE = "_LOCAL_LAMBDA_SOCKET"
PATH_VARIABLE = "_LOCAL_LAMBDA_PATH"

#: A line of this and the request id ends an invocation's output.
END_MARK = "\x00end "


def send(connection: socket.socket, header: dict[str, Any], payload: bytes) -> None:
    head = json.dumps(header).encode()
    connection.sendall(struct.pack("!II", len(head), len(payload)) + head)
    connection.sendall(payload)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    """Raises: EOFError: the other side is gone."""
    sizes = _exactly(connection, 8)
    head, payload = struct.unpack("!II", sizes)
    return json.loads(_exactly(connection, head)), _exactly(connection, payload)


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        chunk = connection.recv(min(size - len(parts), 1 << 20))
        if not chunk:
            raise EOFError
        parts += chunk
    return bytes(parts)


class _Formatter(logging.Formatter):
    """Lambda's text log format: level, instant, request id, message."""

    converter = staticmethod(time.gmtime)
    request_id = ""

    def format(self, record: logging.LogRecord) -> str:
        instant = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z"
        text = f"[{record.levelname}]\t{instant}\t{self.request_id}\t{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def main() -> None:
    connection = socket.socket(fileno=int(os.environ.pop(SOCKET_VARIABLE)))
    sys.path[0:1] = os.environ.pop(PATH_VARIABLE).split(os.pathsep)  # in place of this file's own folder
    formatter = _Formatter()
    output = logging.StreamHandler(sys.stdout)
    output.setFormatter(formatter)
    logging.getLogger().addHandler(output)
    handler, trouble = None, None
    try:
        handler = _load(os.environ["_HANDLER"])
    except Exception as error:  # told to each caller
        trouble = error
    with contextlib.suppress(BrokenPipeError):
        send(connection, {"ready": True}, b"")
    while True:
        try:
            header, payload = receive(connection)
        except EOFError:
            return
        formatter.request_id = header["request_id"]
        try:
            if handler is None:
                raise trouble or RuntimeError("no handler")
            answer, failed = _invoke(handler, header, payload), False
        except Exception as error:
            answer, failed = _failure(error, header["request_id"]), True
            print(f"[ERROR] {json.loads(answer)['errorType']}: {json.loads(answer)['errorMessage']}")
            for line in json.loads(answer)["stackTrace"]:
                print(line, end="")
        sys.stderr.flush()
        print(f"\n{END_MARK}{header['request_id']}", flush=True)
        with contextlib.suppress(BrokenPipeError):
            send(connection, {"failed": failed}, answer)


class _RuntimeError(Exception):
    """An error of the runtime, not of the handler; ``kind`` is its errorType."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _load(handler: str) -> Callable[[Any, Any], Any]:
    module_name, _, function = handler.rpartition(".")
    if not module_name:
        raise _RuntimeError("Runtime.MalformedHandlerName", f"Bad handler '{handler}': not enough values to unpack")
    module_name = module_name.replace("/", ".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise _RuntimeError("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        raise _RuntimeError(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}"
        ) from error
    found = getattr(module, function, None)
    if found is None:
        raise _RuntimeError("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module_name}'")
    return found  # type: ignore[no-any-return]


def _invoke(handler: Callable[[Any, Any], Any], header: dict[str, Any], payload: bytes) -> bytes:
    try:
        event = json.loads(payload or b"{}")
    except ValueError as error:
        raise _RuntimeError("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error
    variables = os.environ
    context = SimpleNamespace(
        aws_request_id=header["request_id"],
        function_name=variables["AWS_LAMBDA_FUNCTION_NAME"],
        function_version=variables["AWS_LAMBDA_FUNCTION_VERSION"],
        invoked_function_arn=header["arn"],
        memory_limit_in_mb=variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
        log_group_name=variables["AWS_LAMBDA_LOG_GROUP_NAME"],
        log_stream_name=variables["AWS_LAMBDA_LOG_STREAM_NAME"],
        identity=SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None),
        client_context=None,
        get_remaining_time_in_millis=lambda: max(0, int(header["deadline"] * 1000 - time.time() * 1000)),
    )
    result = handler(event, context)
    try:
        return json.dumps(result, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise _RuntimeError("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


def _failure(error: Exception, request_id: str) -> bytes:
    """The error object of Lambda's Python runtime; the stack starts at the handler."""
    kind = error.kind if isinstance(error, _RuntimeError) else type(error).__name__
    frames = traceback.extract_tb(
        (error.__cause__ if isinstance(error, _RuntimeError) and error.__cause__ else error).__traceback__
    )
    own = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    stack = traceback.format_list(own)
    return json.dumps(
        {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": stack}
    ).encode()


if __name__ == "__main__":
    main()
