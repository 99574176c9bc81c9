"""``cv-factory infra``: Terraform with the environment, the backend and the account filled in.

Terraform runs in ``terraform/data`` (buckets and keys, which outlive everything), then in ``terraform/factory``. Its
own folder of an environment is ``build/terraform/<env>/<root>``, so environments do not mix; the state lies in the
state bucket, which ``bootstrap`` makes. ``TF_PLUGIN_MIRROR`` names a folder with the providers, for machines that
cannot reach the registry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts import hashing, jsonio, source
from contracts.errors import FactoryError, UsageError
from contracts.settings import Settings, reader
from cv_factory import session as sessions
from cv_factory.operations.base import templates
from deployment import package

if TYPE_CHECKING:
    from cv_factory.session import Target

ROOTS = ("data", "factory")
MIRROR_VARIABLE = "TF_PLUGIN_MIRROR"
#: Commands that ask before they change something; ``--yes`` answers.
_ASKING = ("apply", "destroy")
#: Exit code of ``plan -detailed-exitcode`` when there is something to change.
_CHANGES = 2


def run(settings: Settings, file: Path, args: Sequence[str], *, yes: bool, say: Callable[[str], None]) -> int:
    """Run ``args`` as Terraform's command line for the environment; returns the exit code.

    ``bootstrap`` makes the state bucket. ``destroy`` takes down the factory alone, with ``--with-data`` the data too.
    Every other command runs in each root in turn and ends at the first that fails.

    Raises:
        UsageError: no command.
        FactoryError: Terraform is not there, or cannot use its backend.
        RefusedError: the credentials are of another account.
    """
    if not args:
        raise UsageError(
            "infra needs a command", "bootstrap, plan, apply, output, destroy, or any other of Terraform's."
        )
    command, *rest = args
    target = sessions.open(settings, file)
    say(str(target))
    if command == "bootstrap":
        made = bootstrap(target)
        say(f"State bucket {settings.names.state_bucket}: {'made' if made else 'there already'}")
        return 0
    roots = _roots(command, rest)
    rest = [word for word in rest if word != "--with-data"]
    if yes and command in _ASKING and "-auto-approve" not in rest:
        rest.insert(0, "-auto-approve")
    package.main([str(_zip())])
    worst = 0
    for root in roots:
        say(f"terraform/{root}: {command}")
        code = terraform(target, root, [command, *rest])
        worst = max(worst, code)
        if code not in (0, _CHANGES):
            break
    return worst


def bootstrap(target: Target) -> bool:
    """Make the bucket of Terraform's state: versioned, encrypted, private. False when it was there."""
    names = target.settings.names
    s3: Any = target.client("s3")
    bucket = names.state_bucket
    made = True
    try:
        where = {} if names.region == "us-east-1" else {"LocationConstraint": names.region}
        s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": where} if where else {}))
    except s3.exceptions.BucketAlreadyOwnedByYou:
        made = False
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [tls_only]}))
    s3.put_bucket_tagging(
        Bucket=bucket, Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in names.tags.items()]}
    )
    return made


def terraform(target: Target, root: str, args: Sequence[str], *, quiet: bool = False) -> int:
    """Initialise ``terraform/<root>`` for the environment, then run Terraform there; returns its exit code.

    ``quiet`` keeps Terraform's output, which is shown only if initialising fails.

    Raises:
        FactoryError: Terraform is not on PATH, or its backend or providers cannot be used.
    """
    binary = shutil.which("terraform")
    if binary is None:
        raise FactoryError(
            "terraform is not on PATH",
            "Install 1.11 or later: developer.hashicorp.com/terraform/install. Env local needs none (local up).",
        )
    environment = _environment(target, root)
    here = [binary, f"-chdir={templates.folder() / root}"]
    _initialise(target, root, here, environment, again=args[0] == "init")
    if args[0] == "init":
        return 0
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run([*here, *args], env=environment, stdout=output, check=False).returncode


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


def _roots(command: str, rest: Sequence[str]) -> tuple[str, ...]:
    if command != "destroy":
        if "--with-data" in rest:
            raise UsageError("--with-data belongs to destroy", "Every other command runs in both roots anyway.")
        return ROOTS
    return tuple(reversed(ROOTS)) if "--with-data" in rest else ("factory",)


def _init_arguments(target: Target, root: str) -> list[str]:
    names = target.settings.names
    backend = {
        "bucket": names.state_bucket,
        "key": f"{root}.tfstate",
        "region": names.region,
        "use_lockfile": "true",
        "encrypt": "true",
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
