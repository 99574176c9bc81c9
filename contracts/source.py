"""Source identity: an image is named after what it was built from, so the same sources give the same URI."""

from __future__ import annotations

from pathlib import Path

from contracts import hashing
from contracts.errors import ContractError

#: Image -> what goes into it, relative to the repository's root. Folders count with every ``.py`` below them.
IMAGES: dict[str, tuple[str, ...]] = {
    "training": (
        "contracts", "inference", "training", "training/Dockerfile", "requirements/training.txt",
    ),
    "inference": (
        "contracts", "inference", "inference/Dockerfile", "requirements/inference.txt",
    ),
}  # fmt: skip
#: Read on a laptop only, never in a container: a change of theirs is no new image.
_NOT_IN_IMAGES = "contracts/settings/"


def root() -> Path:
    """The repository's root (the install is editable)."""
    return Path(__file__).resolve().parent.parent


def files(image: str, repository: Path | None = None) -> dict[str, Path]:
    """What goes into ``image`` (``training`` or ``inference``): path relative to the repository's root -> file.

    Raises:
        ContractError: a file that the image needs is missing.
    """
    base = repository or root()
    named: dict[str, Path] = {}
    for entry in IMAGES[image]:
        path = base / entry
        if path.is_dir():
            found = [file for file in path.rglob("*.py") if "__pycache__" not in file.parts]
        elif path.is_file():
            found = [path]
        else:
            raise ContractError(f"{entry} is missing, so the {image} image has no identity")
        for file in found:
            name = file.relative_to(base).as_posix()
            if not name.startswith(_NOT_IN_IMAGES):
                named[name] = file
    return named


def source_hash(image: str, repository: Path | None = None) -> str:
    """SHA-256 over the sorted (path, SHA-256) of what goes into ``image`` (``training`` or ``inference``).

    Raises:
        ContractError: a file that the image needs is missing.
    """
    return hashing.of_value(sorted((name, hashing.of_file(file)) for name, file in files(image, repository).items()))


def tag(source_hash: str) -> str:
    """The tag of the image that was built from the sources with this hash, ``src-<first 20 characters>``."""
    return f"src-{source_hash[: hashing.SHORT]}"


def source_tag(image: str, repository: Path | None = None) -> str:
    """The tag of ``image`` as its sources are now."""
    return tag(source_hash(image, repository))
