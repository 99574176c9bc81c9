"""``predict``: which images are meant, and a row for each answer."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from contracts.dataset import IMAGE_SUFFIXES
from contracts.errors import UsageError
from cv_factory.client import Image, Outcome

KINDS = "JPEG, PNG or WebP"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The images of a command line.

    Attributes:
        images: files as they were named, those of a folder below it in the order of their names, and URLs.
        left_out: files of the folders that have no image's suffix.
        folders: whether a folder was named: then there are many.
    """

    images: tuple[Image, ...]
    left_out: int
    folders: bool


def find(named: Sequence[str]) -> Wanted:
    """The images that files, folders and ``https://`` URLs name. Hidden files of folders are left out.

    Raises:
        UsageError: something that is none of these, or a folder without images. Nothing is asked before all is well.
    """
    images: list[Image] = []
    left_out = 0
    folders = False
    for name in named:
        path = Path(name)
        if "://" in name:
            images.append(_url(name))
        elif path.is_dir():
            files = list(_files(path))
            found = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
            if not found:
                raise UsageError(
                    f"there is no image in the folder {path} ({len(files)} other files)",
                    f"Images are files named {', '.join(sorted(IMAGE_SUFFIXES))}.",
                )
            images += found
            left_out += len(files) - len(found)
            folders = True
        elif path.is_file():
            images.append(path)
        else:
            raise UsageError(
                f"there is no file or folder {path}",
                "Name image files, folders or https URLs: cv-factory predict photo.jpg",
            )
    return Wanted(tuple(images), left_out, folders)


def _url(name: str) -> str:
    if name.startswith("https://"):
        return name
    hint = "Only https URLs are fetched by the endpoint; serving.image_url_hosts lists the hosts."
    if name.startswith("s3://"):
        hint = f"Fetch it first: aws s3 cp {name} ."
    raise UsageError(f"{name} cannot be asked for", hint)


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, sorted; links to folders are not followed, hidden names are left out."""
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(root, name).is_file():
                yield Path(root, name)


def _raise(error: OSError) -> None:
    raise error


def name(outcome: Outcome) -> str:
    """The image as it was named; what is no UTF-8 in a file's name is shown by its bytes (``\\xff``)."""
    return os.fsencode(str(outcome.image)).decode("utf-8", "backslashreplace")


def document(outcome: Outcome) -> dict[str, Any]:
    """An outcome for machines: the image, and the answer or the error with its code."""
    if outcome.prediction is not None:
        return {"image": name(outcome), **outcome.prediction.to_json()}
    return {"image": name(outcome), "error": _reason(outcome), "code": getattr(outcome.error, "code", "")}


def line(outcome: Outcome) -> str:
    """An outcome for a person."""
    answer = outcome.prediction
    said = f"{answer.predicted_label} ({answer.confidence:.1%})" if answer is not None else _reason(outcome)
    return f"{name(outcome)}: {said}"


def _reason(outcome: Outcome) -> str:
    return outcome.error.headline if outcome.error is not None else ""


class Table:
    """Outcomes as CSV (RFC 4180): each row is written at once, so what was answered is there whatever comes after.

    Columns: ``image``, ``predicted_label``, ``confidence``, ``probability NAME`` for each class, ``code``, ``error``.
    The first answer tells the classes; rows of images that failed before it wait for it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._writer = csv.writer(stream, lineterminator="\n")
        self._classes: list[str] | None = None
        self._waiting: list[Outcome] = []

    def __enter__(self) -> Table:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._classes is None:
            self._begin([])
        self._stream.flush()

    def add(self, outcome: Outcome) -> None:
        if self._classes is None:
            if outcome.prediction is None:
                self._waiting.append(outcome)
                return
            self._begin(list(outcome.prediction.probabilities))
        self._write(outcome)
        self._stream.flush()

    def _begin(self, classes: list[str]) -> None:
        self._classes = classes
        self._writer.writerow(
            ["image", "predicted_label", "confidence", *(f"probability {name}" for name in classes), "code", "error"]
        )
        for outcome in self._waiting:
            self._write(outcome)

    def _write(self, outcome: Outcome) -> None:
        value = document(outcome)
        shares = value.get("probabilities", {})
        self._writer.writerow(
            [
                value["image"], value.get("predicted_label", ""), value.get("confidence", ""),
                *(shares.get(name, "") for name in self._classes or ()), value.get("code", ""), value.get("error", ""),
            ]
        )  # fmt: skip
