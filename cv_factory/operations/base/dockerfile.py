"""What the local SageMaker runs for an image: its Dockerfile's ENTRYPOINT and ENV, on this machine's interpreter."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts import container, source
from contracts.errors import ContractError

#: What a container has when its Dockerfile sets no PATH.
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Image:
    """ENTRYPOINT in its exec form, and ENV, of a Dockerfile's last stage."""

    entrypoint: tuple[str, ...]
    environment: dict[str, str]


def parse(text: str, name: str = "Dockerfile") -> Image:
    """Read a Dockerfile.

    Raises:
        ContractError: the last stage has no ENTRYPOINT in exec form, or an ENV that is not ``NAME=value``.
    """
    entrypoint: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    for instruction, rest in _instructions(text):
        match instruction:
            case "FROM":
                entrypoint, environment = (), {}
            case "ENV":
                for part in shlex.split(rest):
                    key, separator, value = part.partition("=")
                    if not separator:
                        raise ContractError(f"{name}: ENV {rest!r} is not NAME=value", "Write ENV NAME=value.")
                    environment[key] = _expand(value, environment)
            case "ENTRYPOINT":
                entrypoint = _exec_form(rest, name)
    if not entrypoint:
        raise ContractError(f"{name} has no ENTRYPOINT", 'Write ENTRYPOINT ["python", "-m", "…"] in its last stage.')
    return Image(entrypoint, environment)


def binding(image: str, pattern: str, repository: Path | None = None) -> dict[str, Any]:
    """The body of ``PUT /_local/images`` that runs ``image`` (training or inference) from this checkout.

    The Dockerfile's own PATH and PYTHONPATH say where things lie in the image; here they lie in this interpreter's
    environment and in the repository.
    """
    root = repository or source.root()
    file = root / image / "Dockerfile"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ContractError(f"{file} is missing, so nobody knows what the {image} image runs") from None
    parsed = parse(text, f"{image}/Dockerfile")
    environment = {
        **parsed.environment,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), parsed.environment.get("PATH", _DEFAULT_PATH)]),
        "PYTHONPATH": str(root),
        # In a container every address is the container's own; on a laptop it would be the whole network's.
        container.HOST_VARIABLE: "127.0.0.1",
    }
    return {
        "pattern": pattern,
        "entrypoint": list(parsed.entrypoint),
        "environment": environment,
        "working_dir": str(root),
    }


def _instructions(text: str) -> list[tuple[str, str]]:
    """(INSTRUCTION, rest) of each logical line; comments and continued lines are resolved."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    logical = re.sub(r"\\[ \t]*\n", " ", "\n".join(lines))
    pairs = (line.strip().partition(" ") for line in logical.splitlines() if line.strip())
    return [(word.upper(), rest.strip()) for word, _, rest in pairs]


def _expand(value: str, environment: dict[str, str]) -> str:
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: environment.get(found[1] or found[2], ""), value)


def _exec_form(rest: str, name: str) -> tuple[str, ...]:
    try:
        value = json.loads(rest)
    except ValueError:
        value = None
    if not isinstance(value, list) or not value or not all(isinstance(part, str) for part in value):
        raise ContractError(f"{name}: ENTRYPOINT {rest} is not in exec form", 'Write ENTRYPOINT ["python", "-m", "…"].')
    return tuple(value)
