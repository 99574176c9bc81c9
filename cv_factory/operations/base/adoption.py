"""What an apply that was killed made and its state has forgotten: found, and taken into the next plan.

Terraform writes its state at most every 20 seconds, so a ``kill -9`` loses what was made since. Such things are there
under the names, or with the tags, that the next plan wants to create. They are adopted by ``import`` blocks, in a file
that is beside the root's own while Terraform runs; Terraform shows them in its plan and imports them as it applies it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts import jsonio
from contracts.errors import FactoryError
from cv_factory.operations.base import leftover_networks, leftovers, templates

if TYPE_CHECKING:
    from cv_factory.session import Target

#: Runs Terraform in the root and keeps what it prints.
Terraform = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
#: Options of plan and apply that decide what is planned; what is looked for must be planned with them too.
_OPTIONS = ("-target=", "-var=", "-var-file=", "-replace=", "-refresh=")
#: With these nothing new is planned.
_OTHER_PLANS = {"-destroy", "-refresh-only"}
#: Exit code of ``plan -detailed-exitcode`` when there is something to change.
_CHANGES = 2
_REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}


@contextlib.contextmanager
def adopting(
    target: Target, root: str, args: Sequence[str], terraform: Terraform, scratch: Path, say: Callable[[str], None]
) -> Iterator[None]:
    """While it is open, a plan or an apply in the root takes over what an apply that was killed left.

    Args:
        args: the command and its options. Given a saved plan there is nothing to look for.
        scratch: a file for the plan that is looked at.

    Raises:
        FactoryError: something of a planned name is there and is not this environment's.
    """
    file = templates.folder() / root / f"adopted-{target.settings.env}.tf.json"
    file.unlink(missing_ok=True)  # left by a command that was killed
    command, *options = args
    saved = any(not option.startswith("-") for option in options)
    try:
        if not saved and not _OTHER_PLANS.intersection(options):
            found = _find(target, root, options, terraform, scratch, file, say)
            if command == "apply":
                _finish(target, found, say)
        yield
    finally:
        file.unlink(missing_ok=True)
        scratch.unlink(missing_ok=True)


def _find(
    target: Target,
    root: str,
    options: Sequence[str],
    terraform: Terraform,
    scratch: Path,
    file: Path,
    say: Callable[[str], None],
) -> dict[str, tuple[str, str]]:
    """Write the blocks; returns address -> type and id.

    In rounds: once a parent is adopted, the plan knows its id, and its children can be looked for.
    """
    found: dict[str, tuple[str, str]] = {}
    refused: set[str] = set()
    while True:
        more = {}
        for item in _creations(options, terraform, scratch):
            address, kind = item["address"], item["type"]
            if address in found:  # Terraform would import it and cannot: it says why when it runs
                return found
            identity = _look(target, address, kind, item["change"]["after"], refused)
            if identity is not None:
                more[address] = (kind, identity)
        if not more:
            break
        found |= more
        blocks = [_block(target, address, identity) for address, (_, identity) in found.items()]
        jsonio.write(file, {"import": blocks})
    for line in sorted(refused):
        say(line)
    if found:
        say(f"terraform/{root}: adopting {len(found)} resources that an interrupted apply left, and its state forgot:")
        for address, (_, identity) in sorted(found.items()):
            say(f"  {address} = {identity}")
    return found


def _creations(options: Sequence[str], terraform: Terraform, scratch: Path) -> list[dict[str, Any]]:
    """What a plan would create; nothing, if it fails: the command itself will say why."""
    kept = [option for option in options if option.startswith(_OPTIONS)]
    # Nothing is written: no lock, so that who may only read can look too.
    plan = ["plan", "-input=false", "-lock=false", "-detailed-exitcode", f"-out={scratch}", *kept]
    if terraform(plan).returncode != _CHANGES:
        return []
    document = json.loads(terraform(["show", "-json", str(scratch)]).stdout)
    return [
        item
        for item in document.get("resource_changes", [])
        if item["mode"] == "managed" and item["change"]["actions"] == ["create"]
    ]


def _look(target: Target, address: str, kind: str, values: dict[str, Any], refused: set[str]) -> str | None:
    names = target.settings.names
    try:
        found = leftovers.find(target, kind, values)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in _REFUSED:
            raise
        refused.add(
            f"{address}: these credentials may not look whether it is there ({error.operation_name}: {code}). If the"
            " apply says that it exists, apply once with credentials that may."
        )
        return None
    if found is None:
        return None
    if found.tags is not None and not leftovers.is_ours(names, found.tags):
        wanted = ", ".join(f"{key}={value}" for key, value in names.tags.items())
        has = ", ".join(f"{key}={value}" for key, value in sorted(found.tags.items())) or "none"
        raise FactoryError(
            f"{address} would be {found.id}, which is there already and is not this environment's (tags: {has})",
            f"Nothing was changed. Things of this environment have the tags {wanted}. If it is somebody else's, change"
            " name in the settings file, or for a role name it in aws.existing. If you want it taken over, import it:"
            " terraform/README.md, An account that has parts already.",
        )
    return found.id


def _block(target: Target, address: str, identity: str) -> dict[str, str]:
    """For this environment only: another one's Terraform may run in the same folder."""
    here = f'var.environment == "{target.settings.env}"'
    ids = json.dumps([identity.replace("${", "$${")])
    return {"for_each": f"${{{here} ? toset({ids}) : toset([])}}", "to": address, "id": "${each.value}"}


def _finish(target: Target, found: dict[str, tuple[str, str]], say: Callable[[str], None]) -> None:
    """What the provider does by a second call after a creation, and what no plan would show."""
    for address, (kind, identity) in sorted(found.items()):
        if kind == "aws_security_group" and leftover_networks.close(target, identity):
            say(f"  {address}: took away the rule that lets everything out")
