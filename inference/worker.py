"""A serving process: uvicorn, the application, and the model in its threads."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from contracts import container
from contracts.errors import FactoryError
from inference import machine, protocol, scrape, supervisor
from inference.app import Application
from inference.exchange import Service
from inference.handler import Handler, Options
from inference.limits import ServerOptions
from inference.metrics import Metrics
from inference.observe import Observer
from inference.user import module

#: Seconds for the requests in flight after SIGTERM; SageMaker sends SIGKILL after 30.
GRACE_SECONDS = 24.0


def run(listener: socket.socket, options: ServerOptions, image_options: Options, number: int | None = None) -> int:
    """Serve on ``listener`` and end the process.

    Args:
        number: of this worker below a supervisor; None without one.

    Raises:
        FactoryError: the bundle names a user module that is not there.
    """
    model_dir = container.base() / "model"
    path = module.find(model_dir)
    # The toolkit never calls a user module twice at a time in one process: its code need not stand that.
    threads = options.threads or (1 if path else max(1, machine.cpus() // options.workers))

    async def serve() -> int:
        return await _Worker(listener, options, image_options, number, model_dir, path, threads).serve()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


class _Server(uvicorn.Server):
    """uvicorn without its signals: this process stops serving only when it has drained."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Worker:
    def __init__(
        self,
        listener: socket.socket,
        options: ServerOptions,
        image_options: Options,
        number: int | None,
        model_dir: Path,
        path: Path | None,
        threads: int,
    ) -> None:
        self._listener, self._options, self._image_options = listener, options, image_options
        self._number, self._model_dir, self._path, self._threads = number, model_dir, path, threads
        self._stop = asyncio.Event()
        counts = number is not None or options.metrics_port is not None
        self._metrics = Metrics() if counts else None
        self._observer = Observer(log_share=options.log_share, metrics=self._metrics)
        self._application = Application(
            threads, options, max_body_bytes=image_options.max_body_bytes, observer=self._observer
        )
        self._server = _Server(
            uvicorn.Config(
                self._application,
                http=protocol.limited(options.max_header_bytes, options.read_seconds, self._application.begin),
                loop="none",  # the one that runs this
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=True,
                proxy_headers=False,
                timeout_graceful_shutdown=1,
            )
        )

    async def serve(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        scrape.start(self._metrics, self._options, self._number)
        loading = asyncio.wrap_future(self._load())
        code: int | None = None
        serving: asyncio.Task[None] | None = None
        stopping = asyncio.create_task(self._stop.wait())
        if supervisor.listens_early():
            serving = asyncio.create_task(self._server.serve([self._listener]))
        first: set[asyncio.Future[Any]] = {loading, stopping}
        done, _ = await asyncio.wait(first, timeout=self._options.startup_seconds, return_when=asyncio.FIRST_COMPLETED)
        if loading in done:
            code = self._loaded(loading)
        elif not done:
            _say(f"the model was not loaded within {self._options.startup_seconds:g} s")
            code = 1
        if code is None and not self._stop.is_set():
            if serving is None:
                serving = asyncio.create_task(self._server.serve([self._listener]))
            supervisor.tell_ready(self._number)
            await stopping
            until = loop.time() + GRACE_SECONDS
            # Ping says 503 from now on, no further request is taken, and those in flight are answered.
            try:
                async with asyncio.timeout_at(until):
                    await self._application.drain()
            except TimeoutError:
                _say(f"requests were not answered within {GRACE_SECONDS:g} s after the signal")
            self._server.config.timeout_graceful_shutdown = max(1, int(until - loop.time()))
        self._server.should_exit = True
        if serving is not None:
            await serving
        scrape.store(self._metrics)
        self._observer.flush()
        # Threads that still load or predict now have had their time; a plain return would wait for them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)

    def _load(self) -> Future[Service]:
        """The service, loaded in a thread: in the one that will answer, for a user module that has one."""
        if self._threads == 1:
            return self._application.pool.call(self._make)
        found: Future[Service] = Future()

        def make() -> None:
            try:
                found.set_result(self._make())
            except BaseException as error:
                found.set_exception(error)

        threading.Thread(target=make, daemon=True, name="load").start()
        return found

    def _make(self) -> Service:
        handler = Handler(self._image_options)
        if self._path is None:
            from inference.image_service import ImageService

            service = ImageService(handler, self._model_dir)
            if self._options.threads is None:  # a batch comes together only from as many threads
                self._application.pool.widen(service.micro_batch)
            return service
        from inference.user.service import UserService

        return UserService(self._path, self._model_dir, handler, os.environ)

    def _loaded(self, loading: asyncio.Future[Service]) -> int | None:
        """Take the service; an exit code when it could not be made."""
        error = loading.exception()
        if error is None:
            service = loading.result()
            self._application.ready(service)
            print(f"inference.server: ready with {service.describe()}, {self._application.threads} threads", flush=True)
            return None
        if not isinstance(error, FactoryError):
            traceback.print_exception(error)
        elif error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        what = str(error) if isinstance(error, FactoryError) else f"{type(error).__name__}: {error}"
        _say(f"the model cannot be loaded: {what}")
        return 1


def _say(message: str) -> None:
    print("inference.server: " + " ".join(message.split("\n")), file=sys.stderr, flush=True)
