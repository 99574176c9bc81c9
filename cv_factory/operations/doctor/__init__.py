"""``cv-factory doctor``: what stands between these settings and a running factory, and the command that repairs it.

A check is a function that yields findings, none when all is well. What a check cannot see, because the caller may not
look or something before it is missing, is a finding of its own: nothing is silently left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from contracts import settings as reader
from contracts.errors import FactoryError
from cv_factory import session
from cv_factory.operations.doctor import base, images, limits, logs, machine, network, roles
from cv_factory.operations.doctor.finding import OK, PROBLEM, UNSEEN, WARNING, Finding
from cv_factory.session import Target

__all__ = ["OK", "PROBLEM", "UNSEEN", "WARNING", "Finding", "examine"]

#: Name of a check -> the function. In the order in which they are told; the first ones need no account.
_MACHINE: dict[str, Callable[[reader.Settings, Path], Iterator[Finding]]] = {
    "python": machine.python,
    "packages": machine.packages,
    "tools": machine.tools,
    "disk": machine.disk,
}
_ACCOUNT: dict[str, Callable[[Target], Iterator[Finding]]] = {
    "state": base.state,
    "buckets": base.buckets,
    "keys": base.keys,
    "roles": roles.roles,
    "github": base.github,
    "registry": base.registry,
    "repositories": images.repositories,
    "images": images.images,
    "deployer": base.deployer,
    "events": base.events,
    "network": network.network,
    "logs": logs.logs,
    "service roles": limits.service_roles,
    "quotas": limits.quotas,
}


def examine(file: Path, env: str) -> list[Finding]:
    """Every finding, at least one a check: a check without trouble gives one that is OK."""
    try:
        loaded = reader.load(file, env)
    except FactoryError as error:
        repair = error.hint or f"Correct {file.name}: docs/settings.md lists every key and what it takes."
        return [Finding("settings", PROBLEM, error.headline, repair)]
    found = [Finding("settings", OK, f"{file.name}, environment {env}")]
    for name, check in _MACHINE.items():
        found += list(check(loaded, file)) or [Finding(name, OK, "")]
    try:
        target = session.open(loaded, file)
    except FactoryError as error:
        found.append(Finding("account", PROBLEM, error.headline, error.hint or "aws sts get-caller-identity"))
        again = f"When account is repaired: cv-factory --env {env} doctor"
        return [*found, *(Finding(name, UNSEEN, "the account cannot be asked", again) for name in _ACCOUNT)]
    found.append(Finding("account", OK, str(target)))
    for name, account_check in _ACCOUNT.items():
        found += _ask(name, account_check, target)
    return found


def _ask(name: str, check: Callable[[Target], Iterator[Finding]], target: Target) -> list[Finding]:
    found: list[Finding] = []
    try:
        found += check(target)
    except ClientError as error:
        about = error.response["Error"]
        what = f"{error.operation_name}: {about.get('Code', '')} {about.get('Message', '')}".strip()
        again = f"cv-factory --env {target.settings.env} doctor"
        refused = "Denied" in about.get("Code", "")
        repair = f"Ask as somebody who may call it: AWS_PROFILE=NAME {again}" if refused else f"Ask again: {again}"
        found.append(Finding(name, UNSEEN, what, repair))
    except BotoCoreError as error:
        again = f"cv-factory --env {target.settings.env} doctor"
        found.append(Finding(name, UNSEEN, str(error), f"Look at network, proxy and credentials, then: {again}"))
    return found or [Finding(name, OK, "")]
