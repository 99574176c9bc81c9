"""``pipeline build``, ``upsert``, ``start``, ``stop``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import UsageError
from cv_factory.cli.common import Cli, verb

app = typer.Typer(help="The SageMaker pipeline: its definition and its executions.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="pipeline")


@verb(app, "build", example="cv-factory pipeline build --env prod > definition.json")
def build(
    cli: Cli,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file.")] = None,
) -> None:
    """Print the definition's JSON. No network, no credentials: equal settings and sources give equal bytes."""
    from contracts import jsonio
    from cv_factory.operations import pipeline

    text = pipeline.definition(cli.settings, cli.state)
    if output is None:
        sys.stdout.write(text + "\n")
    else:
        jsonio.write_bytes(output, text.encode())
        cli.screen.say(f"Wrote {output} ({len(text):,} characters)")


@verb(app, "upsert", example="cv-factory pipeline upsert --env dev")
def upsert(cli: Cli) -> None:
    """Create the pipeline, or update it if its definition or role differs."""
    from cv_factory.operations import pipeline

    target = cli.target
    cli.announce_change()
    done = pipeline.upsert(target)
    if cli.json:
        cli.screen.document(
            {"pipeline_arn": done.arn, "action": done.action, "definition_sha256": done.definition_hash}
        )
    else:
        cli.screen.say(f"Pipeline {done.arn} {done.action} (definition {done.definition_hash[:12]})")


@verb(app, "start", example="cv-factory pipeline start --env dev")
def start(
    cli: Cli,
    retry: Annotated[
        str | None, typer.Option("--retry", metavar="EXECUTION", help="Run the failed steps of this execution again.")
    ] = None,
    approval: Annotated[
        str | None, typer.Option(metavar="manual|automatic", help="Who approves. Default: release.approval.")
    ] = None,
) -> None:
    """Start an execution on the dataset that data.source was imported as last. It does not wait."""
    from cv_factory.operations import pipeline
    from cv_factory.operations.data.importing import latest

    target = cli.target
    if retry is not None:
        if approval is not None:
            raise UsageError("--retry takes the parameters of its execution; --approval cannot change them")
        arn = pipeline.find_execution(target, retry)
        cli.announce_change()
        pipeline.retry(target, arn)
    else:
        uri, dataset_hash = latest(cli.settings, target.base, target.client)
        values = pipeline.parameters(target, uri, dataset_hash, approval)
        cli.announce_change()
        arn = pipeline.start(target, values)
    if cli.json:
        cli.screen.document({"execution_arn": arn})
    else:
        cli.screen.say(f"{'Retrying' if retry else 'Started'} {arn}")
        cli.screen.say(f"Follow it: {again(cli, 'status --follow')}")


@verb(app, "stop", example="cv-factory pipeline stop")
def stop(
    cli: Cli,
    execution: Annotated[str | None, typer.Argument(help="ARN or id. Default: the newest.")] = None,
) -> None:
    """Stop an execution and its running jobs."""
    from cv_factory.operations import executions, pipeline

    target = cli.target
    arn = pipeline.find_execution(target, execution)
    about = target.client("sagemaker").describe_pipeline_execution(PipelineExecutionArn=arn)
    running = about["PipelineExecutionStatus"] in executions.RUNNING
    if running:
        cli.announce_change()
        pipeline.stop(target, arn)
    if cli.json:
        cli.screen.document({"execution_arn": arn, "stopping": running})
    else:
        ended = f"It has ended already: {about['PipelineExecutionStatus']}"
        cli.screen.say(f"Stopping {arn}" if running else f"{ended} ({arn})")


def again(cli: Cli, verb_text: str) -> str:
    """A command line for the same environment and file."""
    parts = ["cv-factory"]
    if cli.env != "local":
        parts += ["--env", cli.env]
    if str(cli.file) != "factory.yaml":
        parts += ["--file", str(cli.file)]
    return " ".join([*parts, verb_text])
