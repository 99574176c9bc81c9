"""Servers for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local_sagemaker.endpoints.harness import Local

HOSTING = {
    "STARTUP_SECONDS": "5",
    "PING_INTERVAL_SECONDS": "0.2",
    "STOP_SECONDS": "3",
    "RESTART_SECONDS": "1",
    "INVOCATION_SECONDS": "3",
}


@pytest.fixture(scope="session")
def hosting() -> Iterator[None]:
    """Short limits, for every server that a test of this folder starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in HOSTING.items():
            patch.setenv(f"LOCAL_SAGEMAKER_HOSTING_{name}", value)
        yield


@pytest.fixture(scope="session")
def local(hosting: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    server = Local(tmp_path_factory.mktemp("state"))
    server.start()
    server.prepare()
    yield server
    server.stop()
