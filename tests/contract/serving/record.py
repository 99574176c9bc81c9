"""Records what the stock toolkit answers: ``make serving-fixtures``. Needs Java, and root (the toolkit writes to /etc).

The toolkit and its model server are installed into an environment of their own, given as the argument. Of an error's
body only the first line is kept: the rest is a traceback with this machine's paths.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.contract.serving.cases import CASES, MODULES, Case  # noqa: E402

FIXTURES = HERE / "toolkit.json"
PACKAGES = ("sagemaker-inference==1.10.1", "multi-model-server==1.1.11", "setuptools<80", "wheel")
_START = "from sagemaker_inference import model_server; model_server.start_model_server()"
_PATIENCE = 90
#: Modules of which the toolkit answers every request with a 500 or a 503.
_FAIL = ("broken", "coroutine")


def main(environment: Path) -> None:
    if shutil.which("java") is None:
        sys.exit("The toolkit's model server needs Java. On Debian: apt install default-jre-headless")
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES[2:]], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-build-isolation", *PACKAGES[:2]], check=True)
    answers: dict[str, Any] = {}
    for module, text in MODULES.items():
        answers.update(record(environment, module, text))
        print(f"{module}: recorded", flush=True)
    document = {"packages": sorted(PACKAGES[:2]), "answers": answers}
    FIXTURES.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def record(environment: Path, module: str, text: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "model" / "code"
        code.mkdir(parents=True)
        (code / "inference.py").write_text(text, encoding="utf-8")
        port = free_port()
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(
                [environment / "bin" / "python", "-c", _START],
                cwd=folder,
                env={
                    **os.environ,
                    "PATH": f"{(environment / 'bin').resolve()}:{os.environ['PATH']}",
                    "SAGEMAKER_BASE_DIR": folder,
                    "SAGEMAKER_BIND_TO_PORT": str(port),
                    "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait(port, fails=module in _FAIL)
            found = {f"{module}: ping": ask(port, Case("ping", module, method="GET", path="/ping"))}
            found.update({case.name: ask(port, case) for case in CASES if case.module == module})
            return found
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A free port that the model server takes: it refuses those above 32767."""
    for port in range(18080, 32767):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    sys.exit("no port between 18080 and 32767 is free")


def wait(port: int, *, fails: bool) -> None:
    """Until the worker answers: ping is 200 long before, and a 503 says that no worker is there yet."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            status = ask(port, Case("", "", b"[1]", {"Content-Type": "application/json"}))["status"]
        except OSError:
            time.sleep(0.5)
            continue
        if status != 503 or (fails and time.monotonic() > until - _PATIENCE + 15):
            return
        time.sleep(0.5)
    sys.exit(f"the toolkit did not answer within {_PATIENCE} s")


def ask(port: int, case: Case) -> dict[str, Any]:
    """Status, content type, custom attributes and body (base64 unless it is ASCII) of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.putrequest(case.method, case.path, skip_accept_encoding=True)
        for name, value in case.headers.items():
            connection.putheader(name, value)
        if case.method == "POST":
            connection.putheader("Content-Length", str(len(case.body)))
        connection.endheaders(case.body or None)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    answer: dict[str, Any] = {"status": response.status, "content_type": response.getheader("content-type") or ""}
    attributes = response.getheader("X-Amzn-SageMaker-Custom-Attributes")
    if attributes:
        answer["custom_attributes"] = attributes
    if response.status >= 400:
        answer["traceback"] = b"Traceback" in body
        answer["text"] = body.decode("utf-8", "replace").splitlines()[0][:200] if body else ""
    elif body.isascii():
        answer["text"] = body.decode()
    else:
        answer["base64"] = base64.b64encode(body).decode()
    return answer


if __name__ == "__main__":
    main(Path(sys.argv[1]))
