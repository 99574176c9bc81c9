"""``plan``: what is due, and why, before anything is done."""

from __future__ import annotations

import typer

from cv_factory.cli.common import Cli, verb
from cv_factory.cli.pipeline import again


def register(root: typer.Typer) -> None:
    verb(root, "plan", example="cv-factory plan --json")(plan)


def plan(cli: Cli) -> None:
    """What the deployer would do now: each action of the release with its reason. Changes nothing."""
    from cv_factory.operations import due

    found = due.plan(cli.target)
    if cli.json:
        cli.screen.document({"release": found.to_json()})
        return
    cli.screen.say(f"Release on {cli.target}")
    wanted = found.goal.package
    pinned = ", pinned" if found.goal.pinned else ""
    cli.screen.say(f"  desired: {f'{wanted.label} ({wanted.approval}{pinned})' if wanted else 'nothing is approved'}")
    now = found.seen.endpoint
    cli.screen.say(f"  endpoint {cli.settings.names.endpoint}: {f'{now.status}, {now.config}' if now else 'none yet'}")
    noted = found.seen.attempt
    if noted is not None:
        cli.screen.say(f"  release {noted.release_id}: {noted.state}")
    for number, action in enumerate(found.plan.actions, start=1):
        cli.screen.say(f"  {number}. {action.kind} {action.name}: {action.reason}".rstrip())
    for part in found.not_readable:
        cli.screen.say(
            f"  {part.title}: not readable with this role, and what is due there is not known to it: needs"
            f" {', '.join(part.needs)}"
        )
    idle = "nothing else to do" if found.not_readable else "nothing to do"
    cli.screen.say(f"  {'then' if found.plan.actions else idle}: {found.plan.message}")
    if found.plan.actions:
        cli.screen.say(f"The deployer does this by itself at its next event. Now: {again(cli, 'deploy')}")
