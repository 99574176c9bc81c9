"""Servers for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local_sagemaker.endpoints.harness import Local


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    server = Local(tmp_path_factory.mktemp("state"))
    try:
        server.start()
        server.prepare()
        yield server
    finally:
        server.stop()
