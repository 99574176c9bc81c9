"""``python -m cv_factory.operations.images build|check --env ENV``: the two container images.

``build`` (make images) builds both for env ``local``. For another environment it builds, pushes and signs what its
registry does not have yet, so a second call does nothing and needs no Docker. ``check`` (make images-check) says
whether both are there: what CI asks before it starts the pipeline.

Exit code: 0 done, 1 an image is missing or something failed, 2 wrong use, 3 refused.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts import jsonio, settings, source
from contracts.errors import FactoryError, RefusedError, UsageError
from contracts.settings import Settings
from cv_factory import session
from cv_factory.operations.building import publish, recipe, sbom
from cv_factory.operations.building.engine import Engine
from cv_factory.operations.pipeline import image_digest

#: Where what is known of an image is left: <image>.json and <image>.cdx.json.
FOLDER = Path("build", "images")
#: The environment that takes nothing whose base is not named by its digest.
_PINNED = "prod"

Say = Callable[[str], None]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        loaded = settings.load(options.file, options.env)
        if options.command == "check":
            check(loaded, options.file, _say)
        else:
            build(loaded, options.file, options.image or list(source.IMAGES), _recipe(options), _say)
    except FactoryError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    return 0


def check(loaded: Settings, file: Path, say: Say) -> None:
    """Say each image's tag and digest.

    Raises:
        FactoryError: one is not in the registry.
    """
    target = session.open(loaded, file)
    for image in source.IMAGES:
        say(f"{image} {source.source_tag(image)} {image_digest(target, image)}")


def build(loaded: Settings, file: Path, images: list[str], options: recipe.Options, say: Say) -> None:
    """Build ``images``; for another environment than local build, push and sign those that its registry does not have.

    Raises:
        RefusedError: an image for this environment must not be built like that, or one is there without a signature.
        FactoryError: no Docker, no repository, or a build or push that failed.
    """
    if loaded.env == settings.DEFAULT_ENV:
        engine = Engine.open()
        for image in images:
            _build(engine, loaded, image, options, say)
        return
    for image in images:
        base = options.base or recipe.default_base(image)
        if options.replaced:
            raise RefusedError("an image that is pushed is built from this repository's files", "Leave --replace out.")
        if loaded.env == _PINNED and not recipe.is_pinned(base):
            raise RefusedError(
                f"{image}: the base {base} is a tag, which means another image every week",
                f"Write the digest behind it into both Dockerfiles, ARG BASE={base.partition('@')[0]}@sha256:…, where"
                f" it becomes part of the images' names.\nToday's: docker buildx imagetools inspect {base}",
            )
    target = session.open(loaded, file)
    say(str(target))
    found = {image: publish.find(target, image) for image in images}
    for image, digest in found.items():
        if digest is not None:
            say(f"{image} {source.source_tag(image)} is in the registry: {digest}")
    missing = [image for image, digest in found.items() if digest is None]
    if missing:
        engine = Engine.open()
        for image in missing:
            built, bill = _build(engine, loaded, image, options, say)
            say(f"{image} {built.tag} pushed and signed: {publish.push(target, engine, built, bill)}")


def _build(
    engine: Engine, loaded: Settings, image: str, options: recipe.Options, say: Say
) -> tuple[recipe.Built, dict[str, Any]]:
    """Build one and leave its facts and its bill of materials in the build folder."""
    built = recipe.build(engine, loaded.names, image, options)
    bill = sbom.of_image(engine, built.reference)
    about = engine.inspect(built.reference)
    folder = source.root() / FOLDER
    jsonio.write(folder / f"{image}.cdx.json", bill)
    facts = {
        "reference": built.reference, "id": about["Id"], "bytes": about["Size"], "layers": about["RootFS"]["Layers"],
        "labels": about["Config"]["Labels"],
    }  # fmt: skip
    jsonio.write(folder / f"{image}.json", facts)
    say(
        f"{image} {built.reference}: {about['Size'] / 1e6:.0f} MB, {len(bill.get('components', []))} components"
        f" ({FOLDER / f'{image}.cdx.json'})"
    )
    return built, bill


def _recipe(options: argparse.Namespace) -> recipe.Options:
    replaced = {}
    for pair in options.replace:
        name, separator, file = pair.partition("=")
        if not separator:
            raise UsageError(f"--replace {pair} is not PATH=FILE", "As in: --replace requirements/training.txt=cpu.txt")
        replaced[name] = Path(file)
    return recipe.Options(options.base, options.wheels, options.pip_conf, options.network, replaced)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cv_factory.operations.images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (("build", "build, and push where it is not local"), ("check", "are both in the registry?")):
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--env", default=settings.DEFAULT_ENV)
        command.add_argument("--file", default=settings.DEFAULT_FILE, type=Path)
    command = commands.choices["build"]
    command.add_argument("--image", action="append", choices=list(source.IMAGES), help="only this one")
    command.add_argument("--base", default="", help="the base image; default: the Dockerfile's")
    command.add_argument("--wheels", type=Path, help="a folder with every locked wheel: the build has no network")
    command.add_argument("--pip-conf", type=Path, help="pip's configuration while it installs; not in the image")
    command.add_argument("--network", default="", help="the build's network, as docker build --network")
    command.add_argument(
        "--replace", action="append", default=[], metavar="PATH=FILE", help="take FILE for PATH; env local only"
    )
    return parser


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
