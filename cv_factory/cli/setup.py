"""``init``, ``doctor`` and ``infra``: what comes before the first run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cv_factory.cli.common import Cli, root_cli, verb


def register(root: typer.Typer) -> None:
    verb(root, "init", example="cv-factory init ./photos")(init)
    verb(root, "cleanup", example="cv-factory --env dev cleanup")(cleanup)
    verb(root, "doctor", example="cv-factory --env dev doctor")(doctor)
    root.command(
        "infra",
        epilog="Example: cv-factory --env dev infra apply",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=True,
    )(infra)


def init(
    cli: Cli,
    source: Annotated[str, typer.Argument(metavar="FOLDER|elpv|s3://…", help="Where the images are.")] = "elpv",
) -> None:
    """Write a commented factory.yaml for a folder of images into the current folder."""
    from cv_factory.operations import init as operation

    file = operation.write_settings(source, Path.cwd())
    if cli.json:
        cli.screen.document({"file": str(file)})
    else:
        cli.screen.say(f"Wrote {file}. Next: cv-factory local up, then cv-factory run")


def doctor(cli: Cli) -> None:
    """Look for what stands between the settings and a running factory, and say how to repair it."""
    from cv_factory.operations import doctor as operation

    found = operation.examine(cli.file, cli.env)
    problems = sum(one.status == operation.PROBLEM for one in found)
    if cli.json:
        cli.screen.document({"problems": problems, "findings": [one.to_json() for one in found]})
    else:
        for one in found:
            cli.screen.say(f"{one.status:<12} {one.check:<14} {one.message}".rstrip())
            if one.repair and one.status != operation.OK:
                cli.screen.say("\n".join(f"{'':<12} {line}" for line in one.repair.splitlines()))
        warnings = sum(one.status == operation.WARNING for one in found)
        cli.screen.say(f"{problems} problems, {warnings} warnings")
    if problems:
        raise typer.Exit(1)


def cleanup(
    cli: Cli,
    everything: Annotated[
        bool, typer.Option("--all", help="Whatever is billed: the endpoint and what belongs to it.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Only look whether something billable is left.")] = False,
) -> None:
    """Plan what nothing uses any more, ask, and remove it: models, configurations, artefacts, runs, images.

    Never what an approved package, one that waits, or one of the last release.keep good releases needs. With --all the
    endpoint goes too; what Terraform made stays (infra destroy).
    """
    from cv_factory.cli import cleaning

    if verify:
        cleaning.verify(cli)
    else:
        cleaning.clean(cli, everything=everything)


def infra(ctx: typer.Context) -> None:
    """Terraform for the environment's base: bootstrap, plan, apply, destroy, output, force-unlock, …

    Options of cv-factory itself stand before the word infra; everything after it is Terraform's, but for two of
    destroy: --with-data takes the buckets and the keys down too, --confirm NAME says that it is meant.
    """
    from cv_factory.operations import infra as operation

    cli = root_cli(ctx)
    ask = typer.prompt if sys.stdin.isatty() and not cli.json else None
    raise typer.Exit(operation.run(cli.settings, cli.file, ctx.args, yes=cli.yes, say=cli.screen.say, ask=ask))
