"""``data import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cv_factory.cli.common import Cli, Screen, verb

if TYPE_CHECKING:
    from cv_factory.operations.data.importing import Imported

app = typer.Typer(help="Images into the environment's data bucket.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="data")


@verb(app, "import", example="cv-factory data import ./photos")
def import_(
    cli: Cli,
    source: Annotated[str, typer.Argument(metavar="elpv|FOLDER|s3://…", help="The sample, a folder, or an S3 prefix.")],
) -> None:
    """Check every image, freeze the split, upload what is missing.

    A folder holds one sub-folder for each class, and optionally attributes.csv (path, group, target, and any slices).
    Images in S3 are indexed where they are.
    """
    from cv_factory.operations.data.importing import import_data

    target = cli.target
    cli.announce_change()
    here = source == "elpv" or source.startswith("s3://")
    result = import_data(
        source if here else str(Path(source).expanduser().absolute()),
        settings=cli.settings,
        base=target.base,
        state=target.state,
        client=target.client,
        reporter=cli.screen,
    )
    if cli.json:
        cli.screen.document(result.to_json())
    else:
        show(cli.screen, result)


def show(screen: Screen, result: Imported) -> None:
    """Classes and counts by split, sizes, what was left out, and where it is."""
    from rich.table import Table

    from contracts.dataset import SPLITS

    data = result.dataset
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for split in SPLITS:
        table.add_column(split, justify="right")
    table.add_column("all", justify="right")
    counts = result.counts()
    for label in data.classes:
        name = f"{label} (positive)" if label == data.positive_class else label
        row = [counts[label][split] for split in SPLITS]
        table.add_row(name, *(f"{count:,}" for count in row), f"{sum(row):,}")
    screen.out.print(table)
    sides = [(image.width, image.height) for image in data.images]
    smallest, largest = min(sides), max(sides)
    size = "x".join(map(str, smallest)) + ("" if smallest == largest else f" to {'x'.join(map(str, largest))}")
    total = sum(image.size for image in data.images) / 1e6
    screen.say(f"{len(data.images):,} images of {size} pixels, {total:,.1f} MB; {len(data.dropped)} left out")
    if data.slice_columns:
        screen.say(f"Slices: {', '.join(data.slice_columns)}")
    sent = "it was there already"
    if result.created:
        sent = f"indexed in {data.image_root}" if data.source == data.image_root else f"{result.sent[0]:,} uploaded"
    screen.say(f"Dataset {result.uri} ({sent})")
