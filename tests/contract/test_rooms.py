"""Who may import whom, and how little a command brings along."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from contracts import source

ROOT = source.root()
#: All third-party weight that no command of the data plane may bring along.
HEAVY = {
    "torch",
    "torchvision",
    "sagemaker",
    "mlflow",
    "onnx",
    "onnxruntime",
    "sklearn",
    "pandas",
    "matplotlib",
    "moto",
}


def test_the_import_rules_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_every_room_is_under_the_rules() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    rooms = set(project["importlinter"]["root_packages"])
    assert rooms == set(project["mypy"]["packages"])
    assert rooms == {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}


@pytest.mark.parametrize("path", sorted((ROOT / "contracts").glob("*.py")), ids=lambda path: path.name)
def test_contracts_need_nothing_but_the_standard_library(path: Path) -> None:
    """All but ``contracts.settings``: containers and the Lambda import the rest."""
    allowed = sys.stdlib_module_names | {"contracts"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] in allowed, f"{path.name}: {name}"
            assert not name.startswith("contracts.settings"), f"{path.name}: {name}"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("cv_factory.cli", HEAVY | {"boto3", "numpy", "PIL"}),
        ("pipeline_definition", HEAVY | {"boto3", "pydantic"}),
        ("deployment.handler", HEAVY | {"pydantic", "yaml", "numpy", "PIL", "rich", "typer"}),
        ("inference.predictor", HEAVY - {"onnxruntime"} | {"boto3", "pydantic", "yaml"}),
        ("training.recipes", HEAVY | {"boto3", "pydantic", "yaml", "numpy", "PIL"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_importing_a_room_brings_little_along(module: str, forbidden: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert forbidden & set(done.stdout.split()) == set()


def test_help_is_fast_and_imports_neither_torch_nor_the_sdk() -> None:
    code = (
        "import resource, sys\n"
        "from cv_factory.cli import main\n"
        "sys.argv = ['cv-factory', '--help']\n"
        "try:\n    main()\nexcept SystemExit as exit:\n    assert not exit.code, exit.code\n"
        "usage = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(usage.ru_utime + usage.ru_stime, *{name.split('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "Usage" in done.stdout
        taken, *modules = done.stderr.splitlines()[-1].split()
        assert HEAVY & set(modules) == set()
        seconds.append(float(taken))
    assert min(seconds) <= 0.5, f"CPU seconds: {seconds}"
