"""Somebody who follows the pages, block by block, in a folder with photos."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from contracts import settings
from contracts.names import SETTINGS_KEY
from cv_factory import session
from cv_factory.operations import local_base
from cv_factory.operations.base import dockerfile
from deployment import packages, specs
from deployment.aws import read_settings
from local_sagemaker import control
from tests.docs import pages
from tests.docs.pages import ROOT, Block
from tests.docs.web import Web
from tests.e2e.conftest import environment
from training import recipes

#: Seconds until an endpoint must serve what was decided. Far more than it needs.
PATIENCE = 120
#: Commands after which the endpoint changes; the reader goes on when it serves again.
_DECISIONS = ("approve", "reject", "deploy")


class Reader:
    """Follows pages in ``folder``.

    Args:
        recipe: trained instead of the shipped ``quick``; None: what the page says.
        web: where ``images.example.com`` is.
    """

    def __init__(self, folder: Path, web: Web, recipe: str | None) -> None:
        self.folder = folder
        self.file = folder / settings.DEFAULT_FILE
        self.web = web
        self.recipe = recipe
        self.shell = folder / ".shell"
        self.followed: dict[str, BaseException | None] = {}
        self.serving: list[subprocess.Popen[str]] = []

    def follow(self, page: str) -> None:
        """Every block of a page, in order; a page that was followed before is not followed again.

        Raises:
            AssertionError: a block failed, or printed something else than the page says.
        """
        if page in self.followed:
            failure = self.followed[page]
            if failure is not None:
                raise AssertionError(f"{page} failed before") from failure
            return
        self.followed[page] = None
        self.shell.unlink(missing_ok=True)
        printed = ""
        try:
            for block in pages.blocks(page):
                try:
                    printed = self._do(block, printed)
                except BaseException as error:
                    self.followed[page] = error
                    raise AssertionError(f"{page}:{block.line}: {error}") from error
        finally:
            codes = [self._end(process) for process in self.serving]
            self.serving.clear()
        assert not any(codes), f"{page}: cv-factory serve ended with {codes}"

    def run(self, command: str) -> str:
        """One command, as if a page said so; what it printed."""
        return self._command(command)

    def _do(self, block: Block, before: str) -> str:
        """What the block printed; of a ``text`` block what the one before it printed."""
        match block.language:
            case "bash":
                return "".join(self._command(command) for command in pages.commands(block))
            case "python" if block.about:
                self._module(block)
            case "python":
                return self._shell(f"{shlex.quote(sys.executable)} - <<'PROGRAM'\n{block.text}PROGRAM\n")
            case "yaml":
                self._edit(yaml.safe_load(block.text))
            case "csv":
                (self.folder / block.about).write_text(block.text, encoding="utf-8")
            case "text":
                line = pages.missing(block.text, before)
                assert line is None, f"this line was not printed: {line}\nPrinted:\n{before}"
                return before
        return ""

    def _command(self, command: str) -> str:
        if pages.is_make(command):
            pages.check_make(command)
            return ""
        if pages.is_for_aws(command):
            pages.check_verb(command)
            return ""
        words = shlex.split(command, comments=True)
        if words[:2] == ["cv-factory", "serve"]:
            return self._serve(command)
        printed = self._shell(command)
        if words[:3] == ["cv-factory", "local", "up"]:
            self._bind_web()
        if words[0] == "cv-factory" and words[1] == "init" and self.recipe:
            self._edit({"training": {"recipe": self.recipe}})
        if words[0] == "cv-factory" and words[1] in _DECISIONS:
            self._settle()
        return printed

    def _shell(self, text: str) -> str:
        """Run ``text``; the variables that it sets are there for the next."""
        script = f"[ ! -e {self.shell} ] || . {self.shell}\nset -aeo pipefail\n{text}\nexport -p > {self.shell}\n"
        done = subprocess.run(
            ["bash", "-c", script], input="y\n" * 3,  # what a person types when a command asks
            cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=900,
            env=self._variables(),
        )  # fmt: skip
        assert done.returncode == 0, f"`{text.strip()}` ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def _serve(self, command: str) -> str:
        """Start a server in another terminal, where it runs until the end of the page; what it prints first."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self._variables(),
        )  # fmt: skip
        self.serving.append(process)
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if "Ctrl-C" in line:
                return printed
        raise AssertionError(f"`{command}` ended with {process.wait()}:\n{printed}")

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> int:
        """Ctrl-C; the exit code."""
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        return process.returncode

    @staticmethod
    def _variables() -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**environment(), "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}

    def _edit(self, change: dict[str, Any]) -> None:
        """Put the keys of ``change`` into factory.yaml, as a person does."""
        value = yaml.safe_load(self.file.read_text(encoding="utf-8"))
        for section, content in change.items():
            if isinstance(content, dict) and isinstance(value.get(section), dict):
                value[section] = {**value[section], **content}
            else:
                value[section] = content
        if self.recipe and value["training"]["recipe"] == "quick":
            value["training"]["recipe"] = self.recipe
        self.file.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
        for env in settings.environments(self.file):
            settings.load(self.file, env)

    @staticmethod
    def _module(block: Block) -> None:
        """A recipe's module, as it would stand in the checkout: what it defines must be a recipe."""
        name = block.about.removesuffix(".py").replace("/", ".")
        module = types.ModuleType(name)
        exec(compile(block.text, block.about, "exec"), module.__dict__)  # noqa: S102 (a page of ours)
        sys.modules[name] = module
        try:
            made = [key for key, value in vars(module).items() if isinstance(value, recipes.Recipe)]
            assert made, f"{block.about} defines no recipe"
            for key in made:
                recipes.resolve(f"{name}:{key}")
        finally:
            del sys.modules[name]

    # --- the local SageMaker ------------------------------------------------------------------------------------------

    @property
    def target(self) -> session.Target:
        return session.open(settings.load(self.file), self.file)

    def _bind_web(self) -> None:
        """From here on serving containers find ``images.example.com``."""
        loaded = settings.load(self.file)
        body = dockerfile.binding("inference", local_base.image_pattern(loaded, "inference"))
        body["entrypoint"] = [sys.executable, str(ROOT / "tests" / "docs" / "web.py")]
        body["environment"] |= self.web.environment
        server = control.status(self.target.state)
        assert server is not None
        address = urlsplit(server.endpoint_url).netloc
        with contextlib.closing(http.client.HTTPConnection(address)) as connection:
            connection.request("PUT", "/_local/images", json.dumps(body), {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200

    def _settle(self) -> None:
        """Wait until the endpoint serves what is decided; nothing is done for it."""
        target = self.target
        names = target.settings.names
        sagemaker = target.client("sagemaker")
        end = time.monotonic() + PATIENCE
        while True:
            wanted = packages.desired(sagemaker, target.client("s3"), names).package
            if wanted is None:
                return
            release = read_settings(target.session, names.artifacts(SETTINGS_KEY))
            config = specs.endpoint_config(specs.model(wanted, release)["ModelName"], release)["EndpointConfigName"]
            found = sagemaker.list_endpoints(NameContains=names.endpoint)["Endpoints"]
            about = sagemaker.describe_endpoint(EndpointName=names.endpoint) if found else {}
            if (about.get("EndpointStatus"), about.get("EndpointConfigName")) == ("InService", config):
                return
            assert about.get("EndpointStatus") != "Failed", about.get("FailureReason")
            assert time.monotonic() < end, f"the endpoint does not serve {wanted.label}: {about}"
            time.sleep(0.2)
