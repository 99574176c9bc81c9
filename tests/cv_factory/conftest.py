"""A moto server on loopback, an environment's settings, and folders of small pictures."""

from __future__ import annotations

import contextlib
import functools
import http.client
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

from tests.cv_factory.helpers import Cloud, Heard, encoded


@pytest.fixture(scope="session")
def _moto() -> Iterator[Cloud]:
    """One server for all tests, and one client for each service: making a client reads megabytes of JSON."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Response, "key_response", _one_at_a_time(S3Response.key_response))
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        it = Cloud(f"http://{host}:{port}")
        yield it
        it.close()
        server.stop()


def _one_at_a_time(method: Callable[..., Any]) -> Callable[..., Any]:
    """moto looks for an object and then writes it: of two conditional writes at once both would win, on S3 one does."""
    lock = threading.Lock()

    @functools.wraps(method)
    def locked(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return method(*args, **kwargs)

    return locked


@pytest.fixture
def cloud(_moto: Cloud) -> Cloud:
    """moto, emptied before the test."""
    with contextlib.closing(http.client.HTTPConnection(_moto.url.removeprefix("http://"))) as connection:
        connection.request("POST", "/moto-api/reset")
        assert connection.getresponse().status == 200
    return _moto


MakePhotos = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path) -> MakePhotos:
    """Makes ``<tmp>/photos/<class>/<n>.png`` for a map of class -> count, every picture another one."""

    def make(counts: Mapping[str, int] | None = None, name: str = "photos") -> Path:
        root = tmp_path / name
        seed = 0
        for label, count in (counts or {"cat": 12, "dog": 12}).items():
            (root / label).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (root / label / f"{number:03d}.png").write_bytes(encoded(seed))
                seed += 1
        return root

    return make


@pytest.fixture
def heard() -> Heard:
    return Heard()
