"""``code/requirements.txt``, with real pip and a wheel made here; no network."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.inference.conftest import ServerProcess

Start = Callable[..., ServerProcess]
TEXT = """
import cvf_test_wheel
def model_fn(model_dir): return cvf_test_wheel.VALUE
def transform_fn(model, data, content_type, accept): return {"value": model}
"""


def write(base: Path, requirements: str) -> Path:
    """A model whose module needs a wheel, and a folder with that wheel."""
    code, wheels = base / "model" / "code", base / "wheels"
    code.mkdir(parents=True)
    wheels.mkdir()
    (code / "inference.py").write_text(TEXT)
    (code / "requirements.txt").write_text(requirements)
    info = "cvf_test_wheel-1.0.dist-info"
    with zipfile.ZipFile(wheels / "cvf_test_wheel-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("cvf_test_wheel.py", "VALUE = 41 + 1\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: cvf-test-wheel\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "cvf_test_wheel.py,,\n")
    return wheels


@pytest.mark.parametrize("workers", ["1", "2"])
def test_requirements_are_installed_before_the_module_is_loaded(
    tmp_path: Path, start_server: Start, workers: str
) -> None:
    wheels = write(tmp_path, "cvf-test-wheel==1.0\n")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "TMPDIR": str(temporary)}
    server = start_server(tmp_path, SAGEMAKER_MODEL_SERVER_WORKERS=workers, **environment)
    server.wait_for_line("listening on")  # pip has ended
    server.wait_until_ready()
    status, _, body = server.request("POST", "/invocations", b"x", Content_Type="a/b")
    assert (status, json.loads(body)) == (200, {"value": 42})
    assert list(temporary.glob("requirements-*/cvf_test_wheel.py"))


def test_what_is_there_already_needs_no_index(tmp_path: Path, start_server: Start) -> None:
    write(tmp_path, "numpy\n")
    plain = TEXT.replace("import cvf_test_wheel", "").replace("cvf_test_wheel.VALUE", "1")
    (tmp_path / "model" / "code" / "inference.py").write_text(plain)
    server = start_server(tmp_path, PIP_NO_INDEX="1")
    server.wait_until_ready()


@pytest.mark.parametrize(
    ("requirements", "environment", "says"),
    [
        ("cvf-there-is-no-such-package\n", {"PIP_NO_INDEX": "1"}, "cannot be installed"),
        ("numpy\n", {"CA_REPOSITORY_ARN": "arn:aws:codeartifact:x"}, "CA_REPOSITORY_ARN is not supported"),
    ],
)
def test_a_failure_ends_the_start(
    tmp_path: Path, start_server: Start, requirements: str, environment: dict[str, str], says: str
) -> None:
    write(tmp_path, requirements)
    server = start_server(tmp_path, **environment)
    assert server.wait() == 1
    assert says in server.errors[-1] and server.errors[-1].startswith("inference.server: ")
