"""``cv-factory infra``: Terraform with the environment, the backend and the account filled in.

Terraform runs in ``terraform/data`` (buckets and keys, which outlive everything), then in ``terraform/factory``. Its
own folder of an environment is ``build/terraform/<env>/<root>``, so environments do not mix; the state lies in the
state bucket, which ``bootstrap`` makes. ``TF_PLUGIN_MIRROR`` names a folder with the providers, for machines that
cannot reach the registry.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from contracts import hashing, jsonio, source
from contracts.errors import FactoryError, UsageError
from contracts.settings import Settings, reader
from cv_factory import session as sessions
from cv_factory.operations.base import adoption, destruction, state_bucket, state_lock, templates
from deployment import package

if TYPE_CHECKING:
    from cv_factory.session import Target

ROOTS = ("data", "factory")
MIRROR_VARIABLE = "TF_PLUGIN_MIRROR"
#: Commands that ask before they change something; ``--yes`` answers.
_ASKING = ("apply", "destroy")
#: Commands that lock the state.
_LOCKING = ("plan", "apply", "destroy", "refresh", "import")
#: Commands whose plan takes over what an apply that was killed left.
_ADOPTING = ("plan", "apply")
#: Exit code of ``plan -detailed-exitcode`` when there is something to change.
_CHANGES = 2


def run(
    settings: Settings,
    file: Path,
    args: Sequence[str],
    *,
    yes: bool,
    say: Callable[[str], None],
    ask: Callable[[str], str] | None = None,
) -> int:
    """Run ``args`` as Terraform's command line for the environment; returns the exit code.

    ``bootstrap`` makes the state bucket. ``destroy`` takes down the factory alone; with ``--with-data`` the data too,
    once the environment's name was typed (``ask``) or given (``--confirm NAME``). ``force-unlock`` runs in the root
    that is locked. Every other command runs in each root in turn and ends at the first that fails. ``plan`` and
    ``apply`` take over what an apply that was killed left (:mod:`cv_factory.operations.base.adoption`).

    Raises:
        UsageError: no command, or options that do not belong to it.
        FactoryError: Terraform is not there, or cannot use its backend; the state is locked; a bucket is not empty.
        RefusedError: the credentials are of another account; the data's end was not confirmed.
    """
    if not args:
        raise UsageError(
            "infra needs a command", "bootstrap, plan, apply, output, destroy, or any other of Terraform's."
        )
    command, *rest = args
    with_data, confirmed = _take_flag(rest, "--with-data"), _take_value(rest, "--confirm")
    if command != "destroy" and (with_data or confirmed is not None):
        raise UsageError(
            "--with-data and --confirm belong to destroy", "Every other command runs in both roots anyway."
        )
    target = sessions.open(settings, file)
    say(str(target))
    if command in _LOCKING:
        state_bucket.check(target)
    if command == "bootstrap":
        made = state_bucket.ensure(target)
        say(f"State bucket {settings.names.state_bucket}: {'made' if made else 'there already'}")
        return 0
    if with_data:
        destruction.check(target, confirmed, ask, say)
    if command == "destroy":
        destruction.check_registry(target)
    roots = _roots(target, command, rest, with_data=with_data)
    if yes:
        _answer(command, rest)
    package.main([str(_zip())])
    worst = 0
    for root in roots:
        if command in _LOCKING and not any(word.startswith("-lock") for word in rest):
            state_lock.refuse(target, root)
        say(f"terraform/{root}: {command}")
        with _adopting(target, root, [command, *rest], say):
            code = terraform(target, root, [command, *rest])
        worst = max(worst, code)
        if code not in (0, _CHANGES):
            break
    return worst


def _take_flag(words: list[str], name: str) -> bool:
    """Take an option of our own out of what Terraform gets."""
    there = name in words
    words[:] = [word for word in words if word != name]
    return there


def _take_value(words: list[str], name: str) -> str | None:
    """The same, for ``NAME VALUE`` and ``NAME=VALUE``; None where it is not there, empty without a value."""
    for index, word in enumerate(words):
        if word == name:
            value = words[index + 1] if index + 1 < len(words) else ""
            del words[index : index + 2]
            return value
        if word.startswith(f"{name}="):
            del words[index]
            return word.partition("=")[2]
    return None


def _answer(command: str, rest: list[str]) -> None:
    """What ``--yes`` adds: Terraform's own word for it."""
    word = "-auto-approve" if command in _ASKING else "-force" if command == "force-unlock" else ""
    if word and word not in rest:
        rest.insert(0, word)


def _adopting(
    target: Target, root: str, args: Sequence[str], say: Callable[[str], None]
) -> AbstractContextManager[None]:
    if args[0] not in _ADOPTING:
        return nullcontext()
    here, environment = _prepare(target, root)

    def captured(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*here, *words], env=environment, capture_output=True, text=True, check=False)

    return adoption.adopting(target, root, args, captured, Path(environment["TF_DATA_DIR"]) / "looked-at.tfplan", say)


def terraform(target: Target, root: str, args: Sequence[str], *, quiet: bool = False) -> int:
    """Initialise ``terraform/<root>`` for the environment, then run Terraform there; returns its exit code.

    ``quiet`` keeps Terraform's output, which is shown only if initialising fails.

    Raises:
        FactoryError: Terraform is not on PATH, or its backend or providers cannot be used.
    """
    here, environment = _prepare(target, root, again=args[0] == "init")
    if args[0] == "init":
        return 0
    return _to_its_end([*here, *args], environment, subprocess.DEVNULL if quiet else None)


def _to_its_end(words: Sequence[str], environment: dict[str, str], output: int | None) -> int:
    """Run a command; returns its exit code.

    Ctrl-C goes to every process of the terminal: Terraform then finishes what it is doing and writes its state, which
    takes longer than the quarter of a second after which ``subprocess.run`` kills what it waits for.
    """
    before = signal.signal(signal.SIGINT, lambda *_: None)  # not SIG_IGN, which Terraform would inherit
    try:
        return subprocess.run(words, env=environment, stdout=output, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _prepare(target: Target, root: str, *, again: bool = False) -> tuple[list[str], dict[str, str]]:
    """Initialise the root; returns how every command line in it begins, and its environment."""
    binary = shutil.which("terraform")
    if binary is None:
        raise FactoryError(
            "terraform is not on PATH",
            "Install 1.11 or later: developer.hashicorp.com/terraform/install. Env local needs none (local up).",
        )
    environment = _environment(target, root)
    here = [binary, f"-chdir={templates.folder() / root}"]
    _initialise(target, root, here, environment, again=again)
    return here, environment


def _initialise(target: Target, root: str, here: list[str], environment: dict[str, str], *, again: bool) -> None:
    """Run ``terraform init``, unless it was run for this backend and these files before."""
    arguments = _init_arguments(target, root)
    files = {path.as_posix(): hashing.of_file(path) for path in templates.folder().rglob("*.tf")}
    done = Path(environment["TF_DATA_DIR"]) / "initialised-for"
    wanted = hashing.of_value([arguments, sorted(files.items())])
    if not again and done.is_file() and done.read_text() == wanted:
        return
    first = subprocess.run(
        [*here, "init", *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if first.returncode != 0:
        raise FactoryError(
            f"terraform/{root} cannot be initialised",
            f"{first.stdout.strip()}\n"
            f"The state bucket is made by: cv-factory --env {target.settings.env} infra bootstrap",
        )
    jsonio.write_bytes(done, wanted.encode())


def build_folder() -> Path:
    """``build/`` of this checkout: nothing in it is kept under version control."""
    return source.root() / "build"


def _roots(target: Target, command: str, rest: Sequence[str], *, with_data: bool) -> tuple[str, ...]:
    """Where the command runs, in order."""
    if command == "destroy":
        return tuple(reversed(ROOTS)) if with_data else ("factory",)
    if command == "force-unlock":
        ids = [word for word in rest if not word.startswith("-")]
        if not ids:
            raise UsageError("force-unlock needs the lock's ID", "The message about the lock has it.")
        return (state_lock.root_of(target, ids[-1], ROOTS),)
    return ROOTS


def _init_arguments(target: Target, root: str) -> list[str]:
    names = target.settings.names
    backend = {
        "bucket": names.state_bucket,
        "key": f"{root}.tfstate",
        "region": names.region,
        # Not "encrypt": that asks for S3's own key, and the bucket encrypts with its key anyway.
        "use_lockfile": "true",
    }
    mirror = os.environ.get(MIRROR_VARIABLE)
    return [
        "-input=false",
        "-reconfigure",
        *(f"-backend-config={key}={value}" for key, value in backend.items()),
        *([f"-plugin-dir={mirror}"] if mirror else []),
    ]


def _environment(target: Target, root: str) -> dict[str, str]:
    """Terraform's variables: whose account, which settings, and nothing that asks the network for news."""
    settings = target.settings
    values = {
        **os.environ,
        "AWS_REGION": settings.aws.region,
        "AWS_DEFAULT_REGION": settings.aws.region,
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_DATA_DIR": str(build_folder() / "terraform" / settings.env / root),
        "TF_VAR_environment": settings.env,
        "TF_VAR_settings_file": str(target.file.resolve()),
        "TF_VAR_defaults_file": str(reader.DEFAULTS),
        # Terraform keeps this path in its state: relative, so that another checkout's plan finds nothing to change.
        "TF_VAR_deployer_zip": os.path.relpath(_zip(), templates.folder() / root),
    }
    if target.is_local:
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE"):
            values.pop(name, None)
        values |= {
            "AWS_ENDPOINT_URL": target.endpoint,
            "AWS_ACCESS_KEY_ID": sessions.LOCAL_KEY,
            "AWS_SECRET_ACCESS_KEY": sessions.LOCAL_SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    return values


def _zip() -> Path:
    return build_folder() / "deployer.zip"
