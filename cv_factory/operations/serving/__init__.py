"""``serve``: the container's own server on this machine, with a page to try it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from contracts.errors import FactoryError
from cv_factory.operations.serving.container import Container, Guard, free_port, listen
from cv_factory.operations.serving.front import Front

if TYPE_CHECKING:
    from contracts.bundle import BundleSpec
    from contracts.settings import Settings

__all__ = ["Serving", "describe", "listen", "serve"]

#: Seconds until the model must be loaded; SageMaker gives its containers 8 minutes.
_LOADED_WITHIN = 480.0
#: Seconds between two pings while it is loaded.
_PAUSE = 0.05
_GRACE = 5


@dataclass(frozen=True)
class Serving:
    """What is served, and what is told of it.

    Attributes:
        base: what stands for ``/opt/ml``; the bundle is in ``<base>/model``.
        environment: variables of the container.
        about: what the page shows of the bundle.
        log: gets each line that the container prints.
        ready: is called once it answers.
    """

    base: Path
    environment: Mapping[str, str]
    about: Mapping[str, Any]
    log: Callable[[str], None]
    ready: Callable[[], None]


def describe(
    base: Path, spec: BundleSpec, settings: Settings | None, *, log: Callable[[str], None], ready: Callable[[], None]
) -> Serving:
    """What to serve: the bundle ``spec`` in ``<base>/model``, with the limits that the endpoint of ``settings`` has."""
    environment: dict[str, str] = {}
    if settings is not None:
        from cv_factory.operations.base.release import release_settings
        from deployment import specs

        environment = specs.environment(release_settings(settings))
    about = {
        "endpoint": settings.names.endpoint if settings is not None else "my-endpoint",
        "bundle_hash": spec.bundle_hash,
        "classes": list(spec.classes),
        "recipe": spec.recipe,
        "licence": spec.licence,
    }
    return Serving(base, environment, about, log, ready)


def serve(listener: socket.socket, what: Serving) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; then nothing that was started is left.

    Raises:
        FactoryError: the container's server ended by itself, or did not get ready.
    """
    with Guard() as guard:
        asyncio.run(_serve(listener, what, guard))


async def _serve(listener: socket.socket, what: Serving, guard: Guard) -> None:
    import uvicorn

    port = free_port()
    front = Front(port, what.about)
    server = uvicorn.Server(
        uvicorn.Config(
            front,
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE,
        )
    )

    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn handles the first two while it serves, and raises them again when it is done: then, and before, they end
    # here.
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        container = await Container.start(what.base, port, what.environment, guard, what.log)
        try:
            answering = asyncio.create_task(server.serve(sockets=[listener]))
            watching = asyncio.create_task(_watch(container, front, what.ready))
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
            was_stopped = server.should_exit
            server.should_exit = True
            await answering
        finally:
            await container.stop()
            front.close()
        failure = await watching
        if not was_stopped:
            raise failure
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _watch(container: Container, front: Front, ready: Callable[[], None]) -> FactoryError:
    """Say when the container is ready; return the error that it ended with, or that it never got ready."""
    ended = asyncio.create_task(container.ended())
    try:
        async with asyncio.timeout(_LOADED_WITHIN):
            while not (ended.done() or await front.ready()):
                await asyncio.wait({ended}, timeout=_PAUSE)
    except TimeoutError:
        return FactoryError(f"the model was not loaded within {_LOADED_WITHIN:g} s")
    if not ended.done():
        ready()
    return await ended
