"""An image is named after what goes into it: neither more nor less."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from contracts import source
from contracts.errors import ContractError


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small copy of what the images are made of."""
    for folder in ("contracts", "inference", "training", "requirements", "docs"):
        (tmp_path / folder).mkdir()
    for name in (
        "README.md", "contracts/names.py", "contracts/defaults.yaml", "contracts/settings/model.py",
        "inference/server.py", "inference/Dockerfile", "training/train.py", "training/Dockerfile",
        "training/deep/er/part.py", "requirements/training.txt", "requirements/inference.txt", "docs/page.md",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n")
    return tmp_path


def hashes(checkout: Path) -> tuple[str, str]:
    return source.source_hash("training", checkout), source.source_hash("inference", checkout)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("training/train.py", (True, False)),
        ("training/deep/er/part.py", (True, False)),
        ("training/new.py", (True, False)),
        ("training/Dockerfile", (True, False)),
        ("requirements/training.txt", (True, False)),
        ("inference/server.py", (True, True)),
        ("inference/Dockerfile", (False, True)),
        ("requirements/inference.txt", (False, True)),
        ("contracts/names.py", (True, True)),
        ("contracts/settings/model.py", (False, False)),
        ("contracts/defaults.yaml", (False, False)),
        ("README.md", (False, False)),
        ("docs/page.md", (False, False)),
        ("training/__pycache__/train.cpython-311.pyc", (False, False)),
        ("training/__pycache__/odd.py", (False, False)),
    ],
)
def test_what_a_change_renames(checkout: Path, name: str, changes: tuple[bool, bool]) -> None:
    before = hashes(checkout)
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed\n")
    assert tuple(a != b for a, b in zip(before, hashes(checkout), strict=True)) == changes


def test_moving_a_file_changes_the_name_and_copying_the_checkout_does_not(checkout: Path, tmp_path: Path) -> None:
    before = hashes(checkout)
    shutil.copytree(checkout, tmp_path / "elsewhere" / "copy")
    assert hashes(tmp_path / "elsewhere" / "copy") == before
    (checkout / "training" / "train.py").rename(checkout / "training" / "fit.py")
    assert hashes(checkout)[0] != before[0]


def test_a_missing_part_is_named(checkout: Path) -> None:
    (checkout / "requirements" / "training.txt").unlink()
    with pytest.raises(ContractError, match=r"requirements/training\.txt is missing, so the training image"):
        source.source_tag("training", checkout)


def test_the_tag_is_one_that_a_registry_takes(checkout: Path) -> None:
    from local_sagemaker import validation

    tag = source.source_tag("training", checkout)
    assert tag == source.tag(source.source_hash("training", checkout)) and len(tag) == len("src-") + 20
    assert not validation.problems(validation.service_model("ecr").shape_for("ImageTag"), tag)
