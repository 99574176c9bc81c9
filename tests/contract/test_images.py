"""The Dockerfiles: they copy what names the image, install the lock's versions, and run as SageMaker runs them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from contracts import container, source

ROOT = source.root()
IMAGES = sorted(source.IMAGES)
ENTRYPOINTS = {"training": container.TRAIN, "inference": container.SERVE}


def instructions(image: str) -> list[tuple[str, str]]:
    """(instruction, its words) of a Dockerfile, continued lines joined, comments left out."""
    text = (ROOT / image / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def last_stage(image: str) -> list[tuple[str, str]]:
    found = instructions(image)
    starts = [number for number, (word, _) in enumerate(found) if word == "FROM"]
    return found[starts[-1] :]


def pinned(name: str) -> dict[str, set[str]]:
    """Package -> the versions that a requirements file names for Linux and Python 3.11."""
    environment = {
        **{key: str(value) for key, value in default_environment().items()},
        "python_version": "3.11", "python_full_version": "3.11.9", "sys_platform": "linux",
        "platform_system": "Linux", "platform_machine": "x86_64", "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }  # fmt: skip
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines():
        if re.match(r"[a-z0-9]", line):
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate(environment):
                found.setdefault(requirement.name, set()).add(str(requirement.specifier))
    return found


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_copied_is_what_names_the_image(image: str) -> None:
    copied = {
        rest.split()[0]
        for word, rest in instructions(image)
        if word in ("COPY", "ADD") and not rest.startswith("--from=")
    }
    assert copied | {f"{image}/Dockerfile"} == set(source.IMAGES[image])


@pytest.mark.parametrize("image", IMAGES)
def test_every_copied_file_counts_for_the_name(image: str) -> None:
    """The build sees ``.py`` files only (.dockerignore), and those are what the source hash counts."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert "*" in ignored and "contracts/settings" in ignored
    for entry in source.IMAGES[image]:
        assert f"!{entry}/**/*.py" in ignored or f"!{entry}" in ignored or entry.endswith("Dockerfile")
        if (ROOT / entry).is_dir():
            others = {
                path.name
                for path in (ROOT / entry).rglob("*")
                if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
            }
            assert others <= {"Dockerfile", "defaults.yaml", "forbidden_pairs.yaml"}, f"not in the image: {others}"


@pytest.mark.parametrize("image", IMAGES)
def test_the_entrypoint_is_the_contracts_and_in_exec_form(image: str) -> None:
    (entrypoint,) = [rest for word, rest in last_stage(image) if word == "ENTRYPOINT"]
    assert tuple(json.loads(entrypoint)) == ENTRYPOINTS[image]
    assert not [rest for word, rest in last_stage(image) if word == "CMD"]


@pytest.mark.parametrize("image", IMAGES)
def test_the_last_stage_installs_nothing_and_names_a_numeric_user(image: str) -> None:
    stage = last_stage(image)
    assert not [rest for word, rest in stage if word == "RUN"], "no compiler, no package manager's traces"
    arguments = dict(rest.split("=", 1) for word, rest in stage if word == "ARG")
    users = [rest for word, rest in stage if word == "USER"]
    assert users == ["${RUN_AS}"] and re.fullmatch(r"\d+(:\d+)?", arguments["RUN_AS"])


@pytest.mark.parametrize("image", IMAGES)
def test_the_environment_is_one_plain_name_and_value_a_line(image: str) -> None:
    variables = dict(rest.split("=", 1) for word, rest in last_stage(image) if word == "ENV")
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in variables)
    assert not [value for value in variables.values() if set(value) & set("\"'$ \\")]
    assert {
        "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "OMP_WAIT_POLICY",
        "ORT_DISABLE_TELEMETRY", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH",
    } <= set(variables)  # fmt: skip


@pytest.mark.parametrize("image", IMAGES)
def test_the_base_is_an_argument_and_nothing_is_fetched_without_a_hash(image: str) -> None:
    found = instructions(image)
    word, base = found[0]
    assert word == "ARG" and re.fullmatch(r"BASE=python:3\.11-slim-bookworm(@sha256:[0-9a-f]{64})?", base)
    assert {rest.split()[0] for word, rest in found if word == "FROM"} == {"${BASE}", "${WHEELS}"}
    (install,) = [rest for word, rest in found if word == "RUN" and " install " in rest]
    assert "--require-hashes" in install and "--no-deps" in install and "--only-binary :all:" in install


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_carries_the_locks_versions(image: str) -> None:
    lock, carried = pinned("lock.txt"), pinned(f"{image}.txt")
    assert carried and {name: lock.get(name) for name in carried} == carried, "python requirements/images.py"
    text = (ROOT / "requirements" / f"{image}.txt").read_text(encoding="utf-8")
    assert len(re.findall(r"^[a-z0-9].*==", text, re.M)) == len(carried)
    assert all(re.search(rf"^{re.escape(name)}==[^\n]*\\\n +--hash=sha256:", text, re.M) for name in carried)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_carries_what_its_extra_asks_for(image: str) -> None:
    code = f"import images; print(*images.wanted({image!r}), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "requirements", capture_output=True, text=True, check=True
    )
    carried = pinned(f"{image}.txt")
    for line in done.stdout.splitlines():
        wanted = Requirement(line)
        name = wanted.name.lower()
        assert name in carried, "python requirements/images.py"
        (version,) = carried[name]
        assert wanted.specifier.contains(version.removeprefix("==")), f"{line}: {version}"


def test_the_serving_image_carries_no_torch_and_no_command_line() -> None:
    assert not {"torch", "torchvision", "timm", "onnx", "mlflow", "scikit-learn", "pydantic", "typer", "rich"} & set(
        pinned("inference.txt")
    )


@pytest.mark.parametrize("image", IMAGES)
def test_hadolint_has_nothing_to_say(image: str) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hadolint")), str(ROOT / image / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
