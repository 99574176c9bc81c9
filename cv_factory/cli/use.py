"""``predict`` and ``serve``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import FactoryError, UsageError
from cv_factory.cli.common import Cli, Screen, verb

if TYPE_CHECKING:
    from cv_factory.client import Outcome
    from cv_factory.operations.predicting import Table

_STANDARD_OUTPUT = "-"


def register(root: typer.Typer) -> None:
    verb(root, "predict", example="cv-factory predict photo.jpg; cv-factory predict ./photos --csv rows.csv")(predict)
    verb(root, "serve", example="cv-factory serve model.tar.gz")(serve)


def predict(
    cli: Cli,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE|FOLDER|URL…", help="JPEG, PNG or WebP files, folders of them, https URLs."),
    ],
    table: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write a row for each image; - is standard output.")
    ] = None,
) -> None:
    """Ask the environment's endpoint for the label of each image. Exit code 1 if one could not be answered.

    A URL is fetched by the endpoint itself, where serving.image_url_hosts allows it.
    """
    from cv_factory.client import MAX_PAYLOAD_BYTES, Predictor
    from cv_factory.operations import predicting

    if table == _STANDARD_OUTPUT and cli.json:
        raise UsageError("--json and --csv - both write to standard output", "Name a file: --csv answers.csv")
    if table is not None:
        _check_table(table)
    wanted = predicting.find(images)
    screen = Screen(json=True, verbose=cli.screen.verbose) if table == _STANDARD_OUTPUT else cli.screen
    if wanted.left_out:
        screen.say(f"Left out, by their names no {predicting.KINDS}: {wanted.left_out}")
    target = cli.target
    limit = min(cli.settings.serving.max_body_mb * 2**20, MAX_PAYLOAD_BYTES)
    outcomes: list[Outcome] = []  # all with --json, else those that failed
    rows: Table | None = None
    lines = table is None and not cli.json
    with ExitStack() as stack:
        predictor = stack.enter_context(Predictor(cli.settings.names.endpoint, target.session, max_payload_bytes=limit))
        # Where each image has its line, the lines tell how far it is.
        done = stack.enter_context(screen.phase("predict", len(wanted.images))) if not lines else None
        for outcome in predictor.predict_many(wanted.images):
            if table is not None and rows is None:  # an earlier file is not touched before there is an answer
                rows = stack.enter_context(_table(table))
            if lines and outcome.error is not None and len(wanted.images) == 1:
                raise outcome.error
            if rows is not None:
                rows.add(outcome)
            if lines:
                screen.say(predicting.line(outcome))
            if cli.json or outcome.error is not None:
                outcomes.append(outcome)
            if done is not None:
                done(1)
    if cli.json:
        screen.document([predicting.document(outcome) for outcome in outcomes])
    _report_failures([outcome for outcome in outcomes if outcome.error is not None], len(wanted.images))


def _report_failures(failed: list[Outcome], count: int) -> None:
    """List the images that got no answer, and end with exit code 1 if there are any."""
    from cv_factory.operations import predicting

    if not failed:
        return
    lines = "".join(f"  {predicting.line(outcome)}\n" for outcome in failed)
    sys.stderr.write(f"Error: {len(failed)} of {count} images got no answer\n{lines}")
    # Not an error of its own: with --json standard output has its one document already.
    raise typer.Exit(FactoryError.exit_code)


def _check_table(name: str) -> None:
    from contracts.dataset import IMAGE_SUFFIXES

    if Path(name).suffix.lower() in IMAGE_SUFFIXES or "://" in name:
        raise UsageError(f"--csv would write to {name}", "Name the table's file after it: --csv answers.csv")
    if Path(name).is_dir() or not Path(name).parent.is_dir():
        raise UsageError(f"--csv cannot write to {name}", "Name a file in a folder that is there: --csv answers.csv")


@contextmanager
def _table(name: str) -> Iterator[Table]:
    """The CSV table that ``--csv`` names."""
    from cv_factory.operations.predicting import Table

    if name == _STANDARD_OUTPUT:
        with Table(sys.stdout) as rows:
            yield rows
    else:
        with Path(name).open("w", encoding="utf-8", newline="") as file, Table(file) as rows:
            yield rows


def serve(
    cli: Cli,
    bundle: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE", help="A bundle's folder, its model.tar.gz or s3:// URI; or a package's version or ARN."
        ),
    ],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8080,
) -> None:
    """Serve a model on this machine with the container's own server, and with a page to try it. Ctrl-C ends it.

    The limits are those of the settings file's serving, where there is one.
    """
    import tempfile

    from cv_factory.operations import serving
    from cv_factory.operations.serving import bundles

    with serving.listen(port) as listener, tempfile.TemporaryDirectory(prefix="cv-factory-serve-") as folder:
        url = "http://{}:{}".format(*listener.getsockname())
        base = Path(folder)
        spec = bundles.bring(bundle, base / "model", lambda: cli.target)

        def ready() -> None:
            if cli.json:
                cli.screen.document({"url": url, "bundle_hash": spec.bundle_hash, "classes": spec.classes})
            else:
                cli.screen.say(f"Bundle {spec.bundle_hash[:12]} is served. Try it: {url}")
                cli.screen.say("Ctrl-C ends it.")

        settings = cli.settings if cli.file.exists() else None
        serving.serve(listener, serving.describe(base, spec, settings, log=cli.screen.detail, ready=ready))
