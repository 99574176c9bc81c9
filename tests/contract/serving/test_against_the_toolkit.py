"""Our server's answers beside those that the stock toolkit gave (``toolkit.json``, by ``make serving-fixtures``).

Equal is equal: status, content type, custom attributes, every byte of the body. Where a case names a difference, ours
must be what the case says, and the toolkit's must really be another one.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from inference.user.differences import DIFFERENCES  # noqa: E402
from tests.contract.serving.cases import CASES, MODULES, Case  # noqa: E402
from tests.contract.serving.record import FIXTURES, ask  # noqa: E402
from tests.inference.conftest import ServerProcess  # noqa: E402

TOOLKIT: dict[str, Any] = json.loads(FIXTURES.read_text(encoding="utf-8"))["answers"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServerProcess]]:
    """A server for each module that can be served."""
    running: dict[str, ServerProcess] = {}
    try:
        for module, text in MODULES.items():
            if module != "broken":
                base = tmp_path_factory.mktemp(module)
                (base / "model" / "code").mkdir(parents=True)
                (base / "model" / "code" / "inference.py").write_text(text, encoding="utf-8")
                running[module] = ServerProcess(base)
        for server in running.values():
            server.wait_until_ready()
        yield running
    finally:
        for server in running.values():
            server.stop()


def test_every_case_was_recorded() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert set(TOOLKIT) == {*names, *(f"{module}: ping" for module in MODULES)}


@pytest.mark.parametrize("case", [case for case in CASES if not case.difference], ids=lambda case: case.name)
def test_the_answer_is_the_toolkits(servers: dict[str, ServerProcess], case: Case) -> None:
    expected = TOOLKIT[case.name]
    answer = ask(servers[case.module].port, case)
    if case.path == "/ping":  # of the toolkit's body, {"status": "Healthy!"}, SageMaker reads nothing
        assert answer["status"] == expected["status"] == 200
        return
    assert answer == expected


@pytest.mark.parametrize("case", [case for case in CASES if case.difference], ids=lambda case: case.name)
def test_a_difference_is_what_the_table_says(servers: dict[str, ServerProcess], case: Case) -> None:
    assert case.difference in DIFFERENCES
    status, wanted = case.ours
    answer = ask(servers[case.module].port, case)
    assert answer["status"] == status
    if status >= 400:
        error = json.loads(answer["text"])["error"]
        assert error["code"] == wanted and not answer["traceback"]
        assert "secret" not in answer["text"]
    else:
        body = answer["text"].encode() if "text" in answer else base64.b64decode(answer["base64"])
        assert body == wanted
    recorded = TOOLKIT[case.name]
    assert recorded != answer
    if case.difference == "errors":
        assert recorded["status"] in (500, 503)


def test_the_toolkit_is_healthy_without_a_model_and_we_do_not_start(tmp_path: Path) -> None:
    assert TOOLKIT["broken: ping"]["status"] == 200
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text(MODULES["broken"], encoding="utf-8")
    server = ServerProcess(tmp_path)
    try:
        assert server.wait() == 1
    finally:
        server.stop()
