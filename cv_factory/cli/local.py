"""``local up``, ``local status``, ``local down``: the embedded SageMaker of this folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import FactoryError, UsageError
from cv_factory.cli.common import Cli, verb

if TYPE_CHECKING:
    from contracts.settings import Settings
    from local_sagemaker.control import ServerInfo

app = typer.Typer(
    help="The local SageMaker: pipelines, jobs and endpoints on this machine, no AWS account.", no_args_is_help=True
)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="local")


@verb(app, "up", example='cv-factory local up; eval "$(cv-factory local up --export)"')
def up(
    cli: Cli,
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1. Default: a free one.", min=1, max=65535)] = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="Where jobs and endpoints run: process (default), or docker: the images of make images."),
    ] = None,
    enforce_iam: Annotated[
        bool | None,
        typer.Option(
            "--enforce-iam/--no-enforce-iam",
            help="Whether jobs, endpoints, functions and roles may only what their policies allow. Default: as before.",
        ),
    ] = None,
    export: Annotated[bool, typer.Option("--export", help="Print shell exports for aws, boto3 and terraform.")] = False,
) -> None:
    """Start it, or find it running; buckets, roles, images and rules are made where they are missing.

    State is kept in .cv-factory/local beside the settings file: what was there is there again.
    """
    _require_local(cli)
    from cv_factory import session
    from cv_factory.operations import local_base
    from local_sagemaker import control

    settings, state = cli.settings, cli.state
    running = control.status(state)
    if running is not None:
        session.check_local_account(settings, running.account_id, running.region)
        if port is not None and port != running.port:
            raise UsageError(
                f"the local SageMaker is running on port {running.port} already",
                f"Leave --port out, or restart it: cv-factory local down, then cv-factory local up --port {port}",
            )
        if runtime is not None and runtime != running.runtime:
            raise UsageError(
                f"the local SageMaker is running with --runtime {running.runtime} already",
                f"Restart it: cv-factory local down, then cv-factory local up --runtime {runtime}",
            )
    info = running or _start(settings, state, port, runtime)
    local_base.ensure(settings, cli.target.session, f"{info.endpoint_url}/_local")
    if enforce_iam is not None:
        local_base.enforce_iam(f"{info.endpoint_url}/_local", enforce_iam)
    if cli.json:
        cli.screen.document(_document(info, state))
    elif export:
        for name, value in exports(info).items():
            typer.echo(f"export {name}={shlex.quote(value)}")
    else:
        cli.screen.say(f"The local SageMaker {'runs' if running else 'is up'} at {info.endpoint_url}")
        cli.screen.say(f"Account {info.account_id}, region {info.region}, process {info.pid}, state {state}")
        if info.runtime != "process":
            cli.screen.say(f"Jobs and endpoints: {_WHERE[info.runtime]}")
        if enforce_iam is not None:
            cli.screen.say(f"IAM policies are {'enforced' if enforce_iam else 'not enforced'}")
        cli.screen.say("Next: cv-factory run --demo")


@verb(app, "status", example="cv-factory local status --json")
def status(cli: Cli) -> None:
    """Is it running, and where? Exit code 1 when it is not."""
    from local_sagemaker import control

    _require_local(cli)
    info = control.status(cli.state)
    if info is None:
        raise FactoryError(f"the local SageMaker of {cli.state} is not running", "Start it: cv-factory local up")
    if cli.json:
        cli.screen.document({**_document(info, cli.state), "runtime": info.runtime})
    else:
        cli.screen.say(f"The local SageMaker runs at {info.endpoint_url} (process {info.pid})")
        cli.screen.say(f"Account {info.account_id}, region {info.region}, state {cli.state}")
        cli.screen.say(f"Jobs and endpoints: {_WHERE[info.runtime]}")


@verb(app, "down", example="cv-factory local down")
def down(cli: Cli) -> None:
    """Stop it and everything it started. Its state stays; up brings it back."""
    from local_sagemaker import control

    _require_local(cli)
    stopped = control.stop(cli.state)
    if cli.json:
        cli.screen.document({"stopped": stopped, "state_dir": str(cli.state)})
    else:
        cli.screen.say("The local SageMaker is down" if stopped else "The local SageMaker was not running")


def exports(info: ServerInfo) -> dict[str, str]:
    """The variables with which any AWS tool talks to the local SageMaker."""
    from cv_factory.session import LOCAL_KEY, LOCAL_SECRET

    return {
        "AWS_ENDPOINT_URL": info.endpoint_url,
        "AWS_REGION": info.region,
        "AWS_DEFAULT_REGION": info.region,
        "AWS_ACCESS_KEY_ID": LOCAL_KEY,
        "AWS_SECRET_ACCESS_KEY": LOCAL_SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


#: Runtime -> what it is, for a person.
_WHERE = {"process": "processes of this machine", "docker": "containers, from the images of make images"}


def _start(settings: Settings, state: Path, port: int | None, runtime: str | None) -> ServerInfo:
    """
    Raises:
        UsageError: no such runtime.
        FactoryError: the Docker engine lacks an image of this checkout.
    """
    from contracts import source
    from local_sagemaker import control, runtimes
    from local_sagemaker.runtimes.engine import Engine, NoEngine

    runtime = runtime or runtimes.PROCESS
    if runtime not in runtimes.NAMES:
        raise UsageError(f"there is no runtime {runtime}", f"Runtimes: {', '.join(runtimes.NAMES)}")
    if runtime == runtimes.DOCKER:
        try:
            engine = Engine.open()
        except NoEngine as error:
            headline, _, hint = str(error).partition("\n")
            raise FactoryError(headline, hint) from None
        for image in source.IMAGES:
            name = f"{settings.names.repository(image)}:{source.source_tag(image)}"
            if not engine.has_image(name):
                raise FactoryError(f"the Docker engine has no image {name}", _BUILD)
    return control.start(
        state, settings.aws.account_id, settings.aws.region, port, runtime=runtime, missing_image=_BUILD
    )


#: The sources name the image, so a changed source is another image.
_BUILD = "Build the images of this checkout: make images"


def _document(info: ServerInfo, state: Path) -> dict[str, Any]:
    return {
        "endpoint_url": info.endpoint_url,
        "region": info.region,
        "account_id": info.account_id,
        "state_dir": str(state),
        "pid": info.pid,
    }


def _require_local(cli: Cli) -> None:
    if cli.env != "local":
        raise UsageError(f"local commands are for --env local, not {cli.env}", "Leave --env out.")
