"""``python -m inference.server [serve]``: the serving container's process.

Environment:

- ``SAGEMAKER_BIND_TO_PORT``: the port, 8080 unless set; 0 takes a free one. The first line that is printed names it.
- ``SAGEMAKER_BIND_TO_HOST``: the address to listen on, ``0.0.0.0`` unless set, as SageMaker needs. On a laptop it is
  ``127.0.0.1``. (The port's variable is AWS's; this one is ours, named like it.)
- ``SAGEMAKER_BASE_DIR``: what stands for ``/opt/ml``; the bundle lies unpacked in ``<base>/model``.
- ``CVF_…``: limits and hosts, see :class:`inference.handler.Options`.

Exit code: 0 after SIGTERM or SIGINT, when the requests in flight are answered; 1 when the model cannot be loaded or the
port is taken; 2 for a wrong argument or variable. Each with one line on stderr that says why.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

import uvicorn

from contracts import container
from contracts.errors import FactoryError, UsageError
from inference.app import Application
from inference.handler import Handler, Options

DEFAULT_HOST = "0.0.0.0"  # noqa: S104 - SageMaker reaches the container from outside

#: Seconds for the requests in flight after SIGTERM; SageMaker sends SIGKILL after 30.
_GRACE_SECONDS = 25


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Serve until SIGTERM and end the process; returns an exit code only when there is nothing to serve."""
    try:
        if list(arguments) not in ([], ["serve"]):
            raise UsageError(
                f"unknown arguments: {' '.join(arguments)}", "Call it as: python -m inference.server serve"
            )
        options = Options.from_environment(environment)
        listener = _listen(environment)
    except FactoryError as error:
        _say(str(error))
        return error.exit_code
    return asyncio.run(_serve(listener, options))


async def _serve(listener: socket.socket, options: Options) -> NoReturn:
    handler = Handler(options)
    threads = len(os.sched_getaffinity(0))
    application = Application(handler, threads)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )

    def stop(signum: int, frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn handles both while it serves, and raises them again when it is done: then, and before, they end here.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    host, port = listener.getsockname()[:2]
    print(f"inference.server: listening on http://{host}:{port}", flush=True)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    loading = asyncio.create_task(asyncio.to_thread(handler.model_fn, container.base() / "model"))
    await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if loading.done():
        error = loading.exception()
        if error is None:
            predictor = loading.result()
            application.ready(predictor)
            spec = predictor.spec
            print(
                f"inference.server: ready with bundle {spec.bundle_hash[:12]}, {len(spec.classes)} classes, "
                f"{threads} threads",
                flush=True,
            )
        else:
            code = 1
            if not isinstance(error, FactoryError):
                traceback.print_exception(error)
            _say(f"the model cannot be loaded: {error}")
            server.should_exit = True
    await serving
    # Threads that still load or predict now have had their time; a plain return would wait for them.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _listen(environment: Mapping[str, str]) -> socket.socket:
    text = environment.get(container.PORT_VARIABLE, "").strip() or str(container.SERVING_PORT)
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise UsageError(f"{container.PORT_VARIABLE} is {text!r}; it must be a port, 0 to 65535")
    host = environment.get(container.HOST_VARIABLE, "").strip() or DEFAULT_HOST
    try:
        return socket.create_server((host, int(text)), backlog=1024)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise FactoryError(f"cannot listen on {host}:{text}: {reason}") from None


def _say(message: str) -> None:
    print("inference.server: " + " ".join(message.split("\n")), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
