"""An endpoint that was taken down stays down until another package is desired or a person deploys."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts import release
from contracts.names import DOWN_KEY, SETTINGS_KEY
from deployment import deploy, down, handler, rollback
from deployment.aws import read_json, write_json


@pytest.fixture
def sweep(session: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    uri = settings.names.artifacts(SETTINGS_KEY)
    write_json(session.client("s3"), uri, settings.to_json())
    monkeypatch.setenv(release.SETTINGS_VARIABLE, str(uri))
    monkeypatch.setattr(handler, "_session", lambda: session)
    return lambda: handler.handler({"action": "sweep"}, None)


def marked(session: Any, settings: Any) -> bool:
    return read_json(session.client("s3"), settings.names.artifacts(DOWN_KEY)) is not None


def test_no_sweep_brings_it_back_and_deploy_does(session: Any, settings: Any, plane: Any, sweep: Any) -> None:
    arn = plane.register(approval="Approved")
    down.take(session, settings.names, "cleanup --all")
    answer = sweep()
    assert answer["action"] == "none" and "cleanup --all" in answer["message"] and answer["package_arn"] == arn
    assert "cv-factory deploy brings it back" in answer["message"] and plane.endpoints == {}
    assert json.loads(json.dumps(answer)) == answer
    assert deploy(session, settings).action == "created" and not marked(session, settings)


def test_another_approval_brings_it_back(session: Any, settings: Any, plane: Any, sweep: Any) -> None:
    plane.register("a" * 64, approval="Approved")
    down.take(session, settings.names, "expired")
    assert sweep()["action"] == "none" and marked(session, settings)
    plane.register("b" * 64, approval="Approved")
    assert sweep()["action"] == "created" and not marked(session, settings)


def test_a_rollback_brings_it_back(session: Any, settings: Any, plane: Any) -> None:
    plane.register("a" * 64, approval="Approved")
    plane.register("b" * 64, approval="Approved")
    down.take(session, settings.names, "expired")
    assert rollback(session, settings, why="worse").outcome.action == "created" and not marked(session, settings)
