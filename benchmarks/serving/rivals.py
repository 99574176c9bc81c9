"""The servers of the benchmark: how each is installed, started, and asked."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HANDLERS = Path(__file__).parent / "handlers"
OURS, STOCK, BARE = "cv-factory", "toolkit", "bare ASGI"

#: Installed beside this environment, whose packages (torch, onnxruntime, uvicorn, Flask …) every server uses.
PACKAGES = ("granian==2.8.7", "litserve==0.2.19")
STOCK_PACKAGES = ("sagemaker-inference==1.10.1", "multi-model-server==1.1.11")
_START_STOCK = "from sagemaker_inference import model_server; model_server.start_model_server()"
_PATIENCE = 120.0


@dataclass(frozen=True)
class Rival:
    """A server: its name in the tables, and its command and environment for a port."""

    name: str
    about: str
    command: Callable[[Path, int], list[str]]
    json_body: bool = False
    workers: int | None = None

    def encode(self, body: bytes) -> bytes:
        return json.dumps({"data": base64.b64encode(body).decode()}).encode() if self.json_body else body

    @property
    def content_type(self) -> str:
        return "application/json" if self.json_body else "image/jpeg"


def _uvicorn(app: str) -> Callable[[Path, int], list[str]]:
    def command(python: Path, port: int) -> list[str]:
        return [
            str(python), "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop",
            "--http", "httptools", "--no-access-log", "--log-level", "warning",
        ]  # fmt: skip

    return command


def _ours(python: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "inference.server", "serve"]


def _stock(python: Path, port: int) -> list[str]:
    return [str(python), "-c", _START_STOCK]


def _gunicorn(python: Path, port: int) -> list[str]:
    return [
        str(python), "-m", "gunicorn", "benchmarks.serving.apps.flask_app:app", "--bind", f"127.0.0.1:{port}",
        "--worker-class", "gthread", "--workers", "1", "--threads", "2", "--log-level", "warning",
    ]  # fmt: skip


def _granian(python: Path, port: int) -> list[str]:
    return [
        str(python), "-m", "granian", "--interface", "rsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--no-access-log", "--log-level", "warning", "benchmarks.serving.apps.rsgi:app",
    ]  # fmt: skip


def _litserve(python: Path, port: int) -> list[str]:
    return [str(python), "-m", "benchmarks.serving.apps.litserve_app", str(port)]


RIVALS = (
    Rival(OURS, "this project's server, its defaults: one process", _ours),
    Rival(f"{OURS}, 2 workers", "the same, one worker a core as the toolkit has", _ours, workers=2),
    Rival(STOCK, "sagemaker-inference with multi-model-server (Java), its defaults: one worker a core", _stock),
    Rival("gunicorn, Flask", "one process, two threads", _gunicorn),
    Rival("uvicorn, FastAPI", "one process, its pool of threads", _uvicorn("benchmarks.serving.apps.fastapi_app:app")),
    Rival("LitServe", "two workers; JSON with base64", _litserve, json_body=True),
    Rival("granian, RSGI", "one process, the model in a pool of threads", _granian),
    Rival(
        BARE, "uvicorn, httptools, uvloop, and one thread for the handler", _uvicorn("benchmarks.serving.apps.bare:app")
    ),
)


def install(folder: Path) -> Path:
    """The interpreter that runs the rivals: an environment of its own in ``folder`` on top of this one. Made once.

    Raises:
        SystemExit: there is no Java for the stock server.
    """
    if shutil.which("java") is None:
        raise SystemExit("The stock toolkit's model server needs Java. On Debian: apt install default-jre-headless")
    folder = folder.absolute()
    python, done = folder / "bin/python", folder / ".installed"
    wanted = " ".join((*PACKAGES, *STOCK_PACKAGES))
    if done.exists() and done.read_text() == wanted:
        return python
    print(f"Installing {wanted} into {folder} …", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    own = Path(sysconfig.get_path("purelib"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "lib" / version / "site-packages/own.pth").write_text(f"{own}\n")
    # The model server imports pkg_resources, which newer setuptools lack.
    subprocess.run([*pip, "--ignore-installed", "setuptools<80", "wheel"], check=True)
    subprocess.run([*pip, "--no-build-isolation", *STOCK_PACKAGES], check=True)
    subprocess.run([*pip, *PACKAGES], check=True)
    done.write_text(wanted)
    return python


class Running:
    """A started server; ``ready_seconds`` is from its start to its first right answer.

    Args:
        folder: a base folder (``/opt/ml``) whose ``model`` holds the model; for a handler, ``model/code/inference.py``
            is written there.
        handler: a file of :data:`HANDLERS`; None: the bundle's own image model, ours only.
    """

    def __init__(
        self, rival: Rival, python: Path, folder: Path, handler: str | None, body: bytes,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.rival = rival
        self.port = _free_port()
        model = folder / "model"
        extra = {
            "SAGEMAKER_BASE_DIR": str(folder),
            "SAGEMAKER_BIND_TO_PORT": str(self.port),
            "SAGEMAKER_BIND_TO_HOST": "127.0.0.1",
            "PATH": f"{python.parent.absolute()}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            **(environment or {}),
        }
        if handler:
            extra |= {"BENCHMARK_HANDLER": str(HANDLERS / handler), "BENCHMARK_MODEL": str(model)}
            code = model / "code"
            code.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(HANDLERS / handler, code / "inference.py")
        if rival.workers:
            extra["SAGEMAKER_MODEL_SERVER_WORKERS"] = str(rival.workers)
        self.log = folder / f"{rival.name.replace(', ', '-').replace(' ', '-')}.log"
        started = time.perf_counter()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                rival.command(python, self.port), cwd=folder, env={**os.environ, **extra}, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            self._wait(rival.encode(body))
        except BaseException:
            self.stop()
            raise
        self.ready_seconds = time.perf_counter() - started

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End it and whatever it started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait(self, body: bytes) -> None:
        until = time.monotonic() + _PATIENCE
        url = f"http://127.0.0.1:{self.port}/invocations"
        request = urllib.request.Request(url, body, {"Content-Type": self.rival.content_type})
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.02)
        tail = self.log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{self.rival.name} does not answer; the end of its log:\n{tail}")


def _free_port() -> int:
    """A free port that the stock server takes: it refuses those above 32767."""
    for port in range(18080, 32767):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise SystemExit("no port between 18080 and 32767 is free")
