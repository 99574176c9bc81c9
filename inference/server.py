"""``python -m inference.server [serve]``: the serving container's process.

Environment:

- ``SAGEMAKER_BIND_TO_PORT``: the port, 8080 unless set; 0 takes a free one. The first line that is printed names it.
- ``SAGEMAKER_BIND_TO_HOST``: the address to listen on, ``0.0.0.0`` unless set, as SageMaker needs. On a laptop it is
  ``127.0.0.1``. (The port's variable is AWS's; this one is ours, named like it.)
- ``SAGEMAKER_BASE_DIR``: what stands for ``/opt/ml``; the bundle lies unpacked in ``<base>/model``.
- ``SAGEMAKER_PROGRAM`` and the toolkit's other variables: see :mod:`inference.limits` and :mod:`inference.user`.
- ``CVF_…``: limits and hosts, see :mod:`contracts.invocation`.

A bundle with ``code/inference.py`` is served by that, any other by the image model. With
``SAGEMAKER_MODEL_SERVER_WORKERS`` above 1 this process supervises that many (:mod:`inference.supervisor`).

Exit code: 0 after SIGTERM or SIGINT, when the requests in flight are answered; 1 when the model cannot be loaded or the
port is taken; 2 for a wrong argument or variable. Each with one line on stderr that says why.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence

from contracts import container
from contracts.errors import FactoryError, UsageError
from inference import limits
from inference.limits import ServerOptions

DEFAULT_HOST = "0.0.0.0"  # noqa: S104 - SageMaker reaches the container from outside

#: Set when the bundle's requirements are installed: this process was started again to find them.
_INSTALLED = "CVF_REQUIREMENTS_INSTALLED"


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Serve until SIGTERM and end the process; returns an exit code only when there is nothing to serve."""
    try:
        if list(arguments) not in ([], ["serve"]):
            raise UsageError(
                f"unknown arguments: {' '.join(arguments)}", "Call it as: python -m inference.server serve"
            )
        options = ServerOptions.from_environment(environment)
        _install_requirements(environment)
        from inference import supervisor

        number = supervisor.worker_number(environment)
        if number is None and options.workers > 1:
            # The supervisor waits for signals, so it must stay without threads, which numpy and others start when they
            # are imported: one of them could get the signal.
            return supervisor.Supervisor(_announced(environment), options).run()
        from inference import worker  # what the requirements bring must be found before it is imported
        from inference.handler import Options

        image_options = Options.from_environment(environment)
        listener = _announced(environment) if number is None else supervisor.inherited_socket(environment)
        return worker.run(listener, options, image_options, number)
    except FactoryError as error:
        say(str(error))
        return error.exit_code


def say(message: str) -> None:
    """One line on stderr."""
    print("inference.server: " + " ".join(message.split("\n")), file=sys.stderr, flush=True)


def _install_requirements(environment: Mapping[str, str]) -> None:
    """Install ``code/requirements.txt``; where it went to a folder of its own, this process starts again with it."""
    if environment.get(_INSTALLED):
        return
    from inference.user import requirements

    target = requirements.install(container.base() / "model", environment)
    if target is None:
        os.environ[_INSTALLED] = "1"  # workers need not look again
        return
    paths = [str(target), *filter(None, [environment.get("PYTHONPATH")])]
    sys.stdout.flush()
    os.execve(  # noqa: S606 - the same process, with its packages
        sys.executable,
        [sys.executable, "-m", "inference.server", "serve"],
        {**environment, _INSTALLED: "1", "PYTHONPATH": os.pathsep.join(paths)},
    )


def _announced(environment: Mapping[str, str]) -> socket.socket:
    """The listening socket; the line that names its address is printed."""
    listener = _listen(environment)
    host, port = listener.getsockname()[:2]
    print(f"inference.server: listening on http://{host}:{port}", flush=True)
    return listener


def _listen(environment: Mapping[str, str]) -> socket.socket:
    port = limits.port(environment)
    host = environment.get(container.HOST_VARIABLE, "").strip() or DEFAULT_HOST
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise FactoryError(f"cannot listen on {host}:{port}: {reason}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
