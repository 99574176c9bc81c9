"""What every verb shares: the global options, the screen, the errors, the exit codes.

The global options may stand before or after the verb. With ``--json`` standard output carries one JSON document and
nothing else; whatever a person reads meanwhile goes to standard error.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import FactoryError
from cv_factory.operations.reporter import Reporter

if TYPE_CHECKING:
    from rich.console import Console

    from contracts.settings import Settings
    from cv_factory.session import Target

PANEL = "Everywhere"
Env = Annotated[
    str | None,
    typer.Option("--env", metavar="NAME", help="Environment of the settings. Default: local.", rich_help_panel=PANEL),
]
File = Annotated[
    Path | None,
    typer.Option("--file", metavar="PATH", help="Settings file. Default: factory.yaml.", rich_help_panel=PANEL),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=PANEL)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.", rich_help_panel=PANEL)]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Tracebacks, and more words.", rich_help_panel=PANEL)]
GLOBALS: dict[str, tuple[Any, Any]] = {
    "env": (Env, None), "file": (File, None), "json": (Json, False), "yes": (Yes, False), "verbose": (Verbose, False),
}  # fmt: skip


class Screen(Reporter):
    """Standard output and error, for a person or for a machine."""

    def __init__(self, *, json: bool, verbose: bool) -> None:
        self.json = json
        self.verbose = verbose

    @cached_property
    def out(self) -> Console:
        """Where a person reads: standard output, or standard error when the output is JSON."""
        from rich.console import Console

        return Console(stderr=self.json, highlight=False, soft_wrap=True)

    @cached_property
    def err(self) -> Console:
        from rich.console import Console

        return Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str = "") -> None:
        self.out.print(text, markup=False)

    def detail(self, text: str) -> None:
        """A line for ``-v`` only."""
        if self.verbose:
            self.err.print(text, markup=False, style="dim")

    def document(self, value: Any) -> None:
        """The one JSON document of ``--json``."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")
        sys.stdout.flush()

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar on a terminal; one line when done elsewhere."""
        start = time.monotonic()
        if not self.err.is_terminal:
            yield lambda done: None
        else:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            with Progress(*columns, console=self.err, transient=True) as progress:
                task = progress.add_task(name, total=total)
                yield lambda done: progress.advance(task, done)
        self.say(f"{name}: {total:,} in {time.monotonic() - start:.1f} s")


class Cli:
    """One command's call: its global options, and what they lead to."""

    def __init__(self, *, env: str, file: Path, json: bool, yes: bool, verbose: bool) -> None:
        self.env = env
        self.file = file
        self.json = json
        self.yes = yes
        self.screen = Screen(json=json, verbose=verbose)

    @cached_property
    def settings(self) -> Settings:
        from contracts import settings

        return settings.load(self.file, self.env)

    @cached_property
    def target(self) -> Target:
        """The account to act on; opened, and checked, once."""
        from cv_factory import session

        return session.open(self.settings, self.file)

    @property
    def state(self) -> Path:
        from cv_factory.operations import state

        return state.folder(self.file, self.settings.env)

    def ask(self, question: str) -> bool:
        """Whether a person says yes; ``--yes`` says it beforehand.

        Raises:
            UsageError: nobody can be asked: the output is JSON, or the input has ended.
        """
        from contracts.errors import UsageError

        if self.yes:
            return True
        if not self.json:
            try:
                said = typer.confirm(question, default=False)
            except typer.Abort:
                self.screen.say()
            else:
                if not sys.stdin.isatty():
                    self.screen.say()  # a terminal shows the person's own line break
                return said
        raise UsageError(f"nobody can be asked: {question}", "Add --yes to say yes beforehand.")

    def announce_change(self) -> None:
        """Every command that changes something says first where."""
        self.screen.say(f"On {self.target}")


def verb(
    app: typer.Typer, name: str, *, example: str, **options: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register ``function(cli, …)`` as a command: global options added, ``example`` shown in its help."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        hints = typing.get_type_hints(function, include_extras=True)
        own = list(inspect.signature(function).parameters.values())[1:]

        @wraps(function)
        def command(ctx: typer.Context, **values: Any) -> None:
            given = {key: values.pop(key) for key in GLOBALS}
            function(_merge(ctx, given), **values)

        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for key, (kind, default) in GLOBALS.items()
        ]
        context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
            for parameter in own
        ]
        command.__signature__ = inspect.Signature([context, *parameters, *shared])  # type: ignore[attr-defined]
        command.__annotations__ = {
            "ctx": typer.Context,
            **{parameter.name: parameter.annotation for parameter in (*parameters, *shared)},
        }
        del command.__wrapped__
        app.command(name, epilog=f"Example: {example}", **options)(command)
        return function

    return register


def _merge(ctx: typer.Context, given: dict[str, Any]) -> Cli:
    """Options after the verb win over those before it."""
    before: dict[str, Any] = ctx.find_root().obj or {}
    merged = {key: given.get(key) or before.get(key) for key in GLOBALS}
    from contracts.settings import DEFAULT_ENV, DEFAULT_FILE

    cli = Cli(
        env=merged["env"] or DEFAULT_ENV,
        file=merged["file"] or Path(DEFAULT_FILE),
        json=bool(merged["json"]),
        yes=bool(merged["yes"]),
        verbose=bool(merged["verbose"]),
    )
    ctx.find_root().obj = {**before, **merged}
    return cli


def root_cli(ctx: typer.Context) -> Cli:
    """The :class:`Cli` of a verb that passes its own options on, so that global options stand before it only."""
    return _merge(ctx, {})


def show_error(error: FactoryError, *, json_output: bool) -> None:
    """One line, and the hint; a document for machines."""
    if json_output:
        sys.stdout.write(
            json.dumps({"error": {"message": error.headline, "hint": error.hint}}, ensure_ascii=False) + "\n"
        )
    sys.stderr.write(f"Error: {error.headline}\n" + (f"{error.hint}\n" if error.hint else ""))


def explain(error: BaseException) -> FactoryError | None:
    """The error a person gets to see for an exception from below; None: a fault of the program."""
    import errno

    if isinstance(error, FactoryError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FactoryError(
            f"the disk is full ({error.filename or 'while writing'})",
            "Free some space (df -h) and run the same command again; it goes on where it stopped.",
        )
    if type(error).__name__ == "OperationalError" and "full" in str(error):  # SQLite's word for it
        return FactoryError("the disk is full", "Free some space (df -h) and run the same command again.")
    if (
        isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError | FileNotFoundError)
        and error.filename
    ):
        return FactoryError(f"{error.filename}: {error.strerror}", "Check the path and its permissions.")
    if type(error).__module__.split(".")[0] in ("botocore", "boto3", "s3transfer"):
        return _explain_aws(error)
    if type(error).__name__ in ("CannotStart", "CannotStop"):
        headline, _, rest = str(error).partition("\n")
        return FactoryError(headline.rstrip("."), rest)
    return None


#: What SageMaker and Lambda say of a role that does not trust them, or not yet: IAM is eventually consistent.
_NOT_ASSUMED = re.compile(r"could not assume role|cannot be assumed", re.IGNORECASE)


def _explain_aws(error: BaseException) -> FactoryError | None:
    from botocore import exceptions as aws

    if isinstance(error, aws.EndpointConnectionError | aws.ConnectTimeoutError | aws.ConnectionClosedError):
        return FactoryError(
            f"no answer: {error}",
            "For env local: cv-factory local status, cv-factory local up. Else check the network and AWS_ENDPOINT_URL.",
        )
    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError):
        return FactoryError("there are no AWS credentials", "Sign in (aws sso login), or set AWS_PROFILE.")
    if isinstance(error, aws.ClientError):
        detail = error.response.get("Error", {})
        code, message = str(detail.get("Code", "")), str(detail.get("Message", ""))
        hint = ""
        if code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"):
            hint = "These credentials lack a permission. Ask the owner of the account, or switch AWS_PROFILE."
        elif code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"):
            hint = "The credentials have expired. Sign in again."
        elif code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
            hint = "What it names is in another region than aws.region of this environment. Correct one of the two."
        elif _NOT_ASSUMED.search(message):
            hint = (
                "A role that was just made cannot be taken for some seconds: run it again. If it stays:"
                " cv-factory doctor, with this --env."
            )
        elif code in ("501", "NotImplemented", "InternalFailure", "InternalError", "500"):
            hint = "The endpoint cannot do this. If it is an emulator, it may lack the operation."
        return FactoryError(f"{error.operation_name} failed: {code}: {message}".rstrip(": "), hint)
    return FactoryError(str(error)) if isinstance(error, aws.BotoCoreError) else None


__all__ = ["Cli", "Screen", "explain", "root_cli", "show_error", "verb"]
