"""The command line, ``cv-factory``: one module a group of verbs.

Modules here import typer and nothing heavy; what a verb needs, it imports when it runs.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

import typer

from contracts.errors import FactoryError
from cv_factory.cli import common, data, local, pipeline, plan, release, run, see, setup, use

app = typer.Typer(
    name="cv-factory",
    help="A folder of labelled images becomes a governed, monitored SageMaker endpoint.",
    epilog="Example: cv-factory local up, then cv-factory run --demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def root(
    ctx: typer.Context,
    env: common.Env = None,
    file: common.File = None,
    json: common.Json = False,
    yes: common.Yes = False,
    verbose: common.Verbose = False,
) -> None:
    ctx.obj = {"env": env, "file": file, "json": json, "yes": yes, "verbose": verbose}


setup.register(app)
local.register(app)
data.register(app)
run.register(app)
pipeline.register(app)
plan.register(app)
see.register(app)
release.register(app)
use.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong use, 3 refused by a gate or guard, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(call(arguments))


def call(arguments: list[str]) -> int:
    """Run the command line; its exit code."""
    try:
        app(args=arguments, prog_name="cv-factory", standalone_mode=True)
    except SystemExit as end:
        return _code(end.code)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted\n")
        return 130
    except Exception as error:
        return _failed(error, arguments)
    return 0


def _failed(error: Exception, arguments: list[str]) -> int:
    verbose = any(argument in ("-v", "--verbose") for argument in arguments)
    if verbose:
        traceback.print_exc()
    shown = common.explain(error)
    if shown is None:
        shown = FactoryError(
            f"unexpected: {type(error).__name__}: {error}",
            "" if verbose else "This is a fault of cv-factory. Run it again with -v and report the traceback.",
        )
    common.show_error(shown, json_output="--json" in arguments)
    return shown.exit_code


def _code(code: Any) -> int:
    return code if isinstance(code, int) else 0 if code is None else 1
