"""A base on a local SageMaker whose deployer is called by the tests, and its calls."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

from contracts.settings import load
from cv_factory import session as sessions
from cv_factory.operations import local_base
from deployment.aws import read_settings
from local_sagemaker import control
from tests.deployment.checks.factory import SERVER, Calls, Factory


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    folder = tmp_path_factory.mktemp("checks")
    (folder / "factory.yaml").write_text(
        'name: widgets\naws: {region: eu-west-1, account_id: "123456789012"}\n'
        "data: {source: ./photos}\nrelease: {strategy: all-at-once, bake_minutes: 0}\n"
    )
    settings = load(folder / "factory.yaml", "local")
    server = control.start(folder / "state", settings.aws.account_id, settings.aws.region)
    try:
        session = sessions.local_session(server.endpoint_url, server.region)
        session._session.set_default_client_config(Config(retries={"total_max_attempts": 1}))
        recorded = Calls(session)  # before any client: a client keeps the handlers that its session had
        cached: dict[str, Any] = {}
        make = session.client
        session.client = lambda name: cached[name] if name in cached else cached.setdefault(name, make(name))  # type: ignore
        local_base.ensure(settings, session, f"{server.endpoint_url}/_local")
        for rule in (settings.names.registry_rule, settings.names.endpoint_rule, settings.names.sweep_rule):
            session.client("events").disable_rule(Name=rule)  # the checks are called here, not by the deployer
        (folder / "server.py").write_text(SERVER)
        made = Factory(
            settings, session, read_settings(session, settings.names.artifacts("release/settings.json")), folder,
            server.port, recorded,
        )  # fmt: skip
        pattern = f"{settings.names.registry}/{settings.names.inference_repository}@*"
        made.admin(
            "PUT",
            "images",
            {
                "pattern": pattern, "entrypoint": [sys.executable, str(folder / "server.py")], "environment": {},
                "working_dir": str(folder),
            },
        )  # fmt: skip
        yield made
    finally:
        control.stop(folder / "state")


@pytest.fixture
def calls(factory: Factory) -> Iterator[Calls]:
    factory.calls.begin()
    yield factory.calls
    factory.calls.begin()
