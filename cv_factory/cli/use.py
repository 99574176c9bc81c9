"""``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.errors import FactoryError, UsageError
from cv_factory.cli.common import Cli, verb


def register(root: typer.Typer) -> None:
    verb(root, "predict", example="cv-factory predict photo.jpg other.png")(predict)


def predict(
    cli: Cli,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE…", help="JPEG, PNG or WebP files.")],
) -> None:
    """Ask the environment's endpoint for the label of each image. Exit code 1 if one could not be answered."""
    from cv_factory.client import Predictor

    for path in images:
        if not path.is_file():
            raise UsageError(f"there is no file {path}", "Name image files: cv-factory predict photo.jpg")
    target = cli.target
    predictor = Predictor(cli.settings.names.endpoint, target.session)
    answers: list[dict[str, Any]] = []
    failed = 0
    for path in images:
        try:
            answer = {"image": str(path), **predictor.predict(path)}
        except FactoryError as error:
            if len(images) == 1:
                raise
            failed += 1
            answer = {"image": str(path), "error": error.headline}
        answers.append(answer)
        if not cli.json:
            cli.screen.say(_line(answer))
    if cli.json:
        cli.screen.document(answers)
    if failed:
        raise FactoryError(f"{failed} of {len(images)} images got no answer")


def _line(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return f"{answer['image']}: {answer['error']}"
    return f"{answer['image']}: {answer['predicted_label']} ({answer['confidence']:.1%})"
