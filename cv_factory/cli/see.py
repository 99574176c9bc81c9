"""``status`` and ``report``: what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import FactoryError
from cv_factory.cli import view
from cv_factory.cli.common import Cli, verb
from cv_factory.cli.pipeline import again

if TYPE_CHECKING:
    from cv_factory.operations.executions import Execution, LogReader
    from cv_factory.session import Target

Execution_ = Annotated[str | None, typer.Argument(metavar="[EXECUTION]", help="ARN or id. Default: the newest.")]


def register(root: typer.Typer) -> None:
    verb(root, "status", example="cv-factory status --follow --logs")(status)
    verb(root, "report", example="cv-factory report")(report)


def status(
    cli: Cli,
    execution: Execution_ = None,
    follow: Annotated[bool, typer.Option("--follow", help="Until it has ended.")] = False,
    logs: Annotated[bool, typer.Option("--logs", help="With what its jobs print.")] = False,
    releases: Annotated[
        bool, typer.Option("--releases", help="The packages of the group, and what was released.")
    ] = False,
) -> None:
    """An execution's steps, and what the endpoint serves. Following ends with exit code 1 if the execution failed."""
    from cv_factory.operations import executions, pipeline

    target = cli.target
    if releases:
        _releases(cli, target)
        return
    arn = pipeline.find_execution(target, execution)
    reader = executions.LogReader(target) if logs else None
    if follow:
        found = _follow(cli, target, arn, reader)
    else:
        found = executions.describe(target, arn)
        if reader is not None:
            _print_logs(cli, reader, found)
    _show(cli, target, found)
    if follow and found.status != executions.SUCCEEDED:
        from cv_factory.operations import runs

        raise runs.failure(target, found)


def _follow(cli: Cli, target: Target, arn: str, reader: LogReader | None) -> Execution:
    from cv_factory.operations import executions

    try:
        if reader is None:
            with view.watching(cli.screen, lambda step: _last_line(target, step)) as show:
                return executions.follow(target, arn, show)
        return executions.follow(target, arn, lambda found: _print_logs(cli, reader, found))
    except KeyboardInterrupt:
        cli.screen.say(f"It goes on. Follow it again: {again(cli, 'status --follow')}")
        raise


def _last_line(target: Target, step: Any) -> str:
    from cv_factory.operations import executions

    return next(iter(executions.last_lines(target, step, 1)), "")


def _print_logs(cli: Cli, reader: LogReader, found: Execution) -> None:
    for name, line in reader.new_lines(found):
        cli.screen.say(f"{name} | {line}")


def _show(cli: Cli, target: Target, found: Execution) -> None:
    from cv_factory.operations import release

    now = release.serving(target)
    if cli.json:
        endpoint = {"name": now.endpoint, "status": now.status, "model_package_arn": now.package_arn}
        cli.screen.document({**found.to_json(), "endpoint": endpoint})
        return
    cli.screen.say(f"Execution {found.id}: {found.status}, {found.seconds:.0f} s")
    cli.screen.out.print(view.table(found, waiting=True))
    if found.failure and not found.failed_steps():
        cli.screen.say(found.failure)
    serves = f", serves {now.package_arn}" if now.package_arn else ""
    cli.screen.say(f"Endpoint {now.endpoint}: {now.status or 'none yet'}{serves}")


def _releases(cli: Cli, target: Target) -> None:
    from cv_factory.operations import release

    found, told = release.all_packages(target), release.releases(target)
    now = release.serving(target)
    if cli.json:
        packages = [
            {
                "version": each.version, "arn": each.arn, "status": each.status, "approval": each.approval,
                "reason": each.reason, "bundle_hash": each.bundle_hash, "served": each.arn == now.package_arn,
            }
            for each in found
        ]  # fmt: skip
        cli.screen.document({"packages": packages, "releases": [each.to_json() for each in told]})
        return
    for each in found:
        served = "  <- served" if each.arn == now.package_arn else ""
        why = f"  ({each.reason})" if each.reason else ""
        cli.screen.say(f"{each.version:>4}  {each.approval:<22} bundle {each.bundle_hash[:12]}{why}{served}")
    if not found:
        cli.screen.say(f"No package in {cli.settings.names.package_group} yet")
    if told:
        cli.screen.say("\nReleases, newest first:")
    for one in told:
        cli.screen.say(view.release(one))


def report(cli: Cli, execution: Execution_ = None) -> None:
    """Fetch an execution's report (one HTML file) and print its path."""
    from cv_factory.operations import executions, pipeline

    target = cli.target
    found = executions.describe(target, pipeline.find_execution(target, execution))
    prefix = executions.evaluation_uri(target, found)
    if prefix is None:
        raise FactoryError(
            f"execution {found.id} ({found.status}) has no report: step Evaluate has not succeeded",
            f"See why: {again(cli, f'status {found.id}')}",
        )
    path = executions.save_report(target, found, prefix)
    if cli.json:
        cli.screen.document({"report": str(path), "execution_arn": found.arn, "evaluation_uri": str(prefix)})
    else:
        typer.echo(path)
