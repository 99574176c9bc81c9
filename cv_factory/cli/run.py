"""``run``: the whole factory with one command."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import RefusedError
from cv_factory.cli import data, view
from cv_factory.cli.common import Cli, verb
from cv_factory.cli.pipeline import again

if TYPE_CHECKING:
    from cv_factory.operations.runs import Run
    from cv_factory.session import Target


def register(root: typer.Typer) -> None:
    verb(root, "run", example="cv-factory run --demo")(run)


def run(
    cli: Cli,
    demo: Annotated[
        bool, typer.Option("--demo", help="Also approve, deploy, and ask for one held-out image. Only for env local.")
    ] = False,
) -> None:
    """Import data.source if it changed, upsert the pipeline, start it and follow it.

    Without --demo it ends where a person approves. Ctrl-C leaves the execution running.
    """
    from cv_factory.operations import runs, state

    if demo and cli.env != "local":
        raise RefusedError(
            f"--demo approves and deploys by itself, so it is for env local only, not {cli.env}",
            "Leave --demo out: the run then waits for a person's approval.",
        )
    begin = time.monotonic()
    target = cli.target
    with state.lock(target.state, "cv-factory run"):
        cli.announce_change()
        this = runs.Run()
        imported = runs.bring(target, this, cli.screen)
        data.show(cli.screen, imported)
        arn = runs.begin(target, this, imported, cli.screen)
        _follow(cli, target, this, arn)
        if demo:
            runs.demo(target, this, cli.screen)
    this.seconds["total"] = time.monotonic() - begin
    if cli.json:
        cli.screen.document(this.to_json())
    else:
        _show(cli, this, demo=demo)


def _follow(cli: Cli, target: Target, this: Run, arn: str) -> None:
    from cv_factory.operations import executions, runs

    def last_line(step: executions.Step) -> str:
        return next(iter(executions.last_lines(target, step, 1)), "")

    try:
        with view.watching(cli.screen, last_line) as show:
            runs.follow(target, this, arn, show, cli.screen)
    except KeyboardInterrupt:
        cli.screen.say(f"The execution goes on. Follow it: {again(cli, 'status --follow')}")
        cli.screen.say(f"Stop it: {again(cli, 'pipeline stop')}")
        raise


def _show(cli: Cli, this: Run, *, demo: bool) -> None:
    """The end of a run: steps, metrics, what came of it, where things are, what to do next."""
    screen = cli.screen
    if this.execution is not None:
        screen.say()
        screen.out.print(view.table(this.execution, waiting=False))
    _show_metrics(cli, this)
    screen.say()
    screen.say(_outcome(this))
    if this.endpoint_name:
        screen.say(f"Endpoint {this.endpoint_name} is in service")
    if this.prediction:
        answer = this.prediction
        verdict = "right" if answer["predicted_label"] == answer["true_label"] else "wrong"
        screen.say(
            f"Held-out image {answer['image']}: answer {answer['predicted_label']} ({answer['confidence']:.1%}),"
            f" truth {answer['true_label']}: {verdict}"
        )
    if this.report:
        screen.say(f"Report: {this.report}")
    if this.imported:
        screen.say(f"Sheet of images: {this.imported.sheet}")
    parts = ", ".join(f"{name} {value:.1f} s" for name, value in this.seconds.items())
    screen.say(f"Time: {parts}")
    screen.say()
    if demo:
        screen.say("Next, your own folder (one sub-folder for each class): set data.source in factory.yaml, then")
        screen.say(f"  {again(cli, 'run')}")
        screen.say("When you are done:")
        screen.say(f"  {again(cli, 'local down')}")
    elif this.package_status == "PendingManualApproval":
        version = this.package_arn.rsplit("/", 1)[-1]
        screen.say(f"It waits for approval. Read the report, then:\n  {again(cli, f'approve {version}')}")
        screen.say(f"or\n  {again(cli, f'reject {version} --why …')}")


def _outcome(this: Run) -> str:
    package = this.package_arn or "no package"
    status = f" ({this.package_status})" if this.package_status else ""
    if this.outcome == "registered":
        return f"Registered {package}{status}"
    if this.outcome == "known":
        return f"Nothing new: {package}{status} has exactly this model already, so nothing was registered"
    return f"Nothing new: {package}{status} serves exactly this model, so nothing was registered"


def _show_metrics(cli: Cli, this: Run) -> None:
    if not this.evaluation:
        return
    from rich.table import Table

    evaluation = this.evaluation
    count = evaluation.get("counts", {}).get("test")
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.title = f"Test split, protocol {evaluation.get('protocol')}" + (f", {count:,} images" if count else "")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, metric in this.metrics.items():
        low, high = metric.get("low"), metric.get("high")
        interval = f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
        table.add_row(name, f"{metric['value']:.3f}", interval)
    cli.screen.say()
    cli.screen.out.print(table)
