"""How ``cleanup`` shows its plan, asks, and says what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts.errors import FactoryError
from cv_factory.cli.common import Cli, Screen
from cv_factory.cli.pipeline import again

if TYPE_CHECKING:
    from cv_factory.operations.cleanup import Plan
    from cv_factory.operations.cleanup.things import Decided


def clean(cli: Cli, *, everything: bool) -> None:
    """Plan, ask, remove. JSON without ``--yes`` is the plan alone.

    Raises:
        FactoryError: something could not be removed, or nobody agreed.
    """
    from cv_factory.operations import cleanup

    target = cli.target
    cli.announce_change()
    plan = cleanup.plan(target, everything=everything)
    document: dict[str, Any] = {"plan": plan.to_json(), "removed": [], "failed": [], "spared": []}
    if not cli.json:
        _show(cli.screen, plan)
    if plan.removals and (cli.yes or not cli.json):
        count = len(plan.removals)
        if not cli.ask(f"Remove {'this' if count == 1 else f'these {count} things'}?"):
            raise FactoryError("nothing was removed: you said no", "Nothing was changed.")
        done = cleanup.clean(target, plan, cli.screen.say, everything=everything)
        document |= done.to_json()
    if cli.json:
        cli.screen.document(document)
    elif everything:
        cli.screen.say(f"Look that nothing billable is left: {again(cli, 'cleanup --verify')}")
    if document["failed"]:
        raise FactoryError(
            f"{len(document['failed'])} things could not be removed; the first: {document['failed'][0]['error']}",
            f"What was removed is gone. Go on with the rest: {again(cli, 'cleanup')}{' --all' if everything else ''}",
        )


def verify(cli: Cli) -> None:
    """Say what every service answered; exit code 1 when something billable is left.

    Raises:
        FactoryError: something is.
    """
    from cv_factory.operations import cleanup

    found = cleanup.verify(cli.target)
    if cli.json:
        cli.screen.document(found.to_json())
    else:
        for each in found.asked:
            price = f", {each.usd_month:.2f} USD a month" if each.usd_month else ""
            names = f": {', '.join(each.found[:5])}{' …' if len(each.found) > 5 else ''}" if each.found else ""
            note = f" ({each.note})" if each.note else ""
            state = "LEFT" if each.billed and each.found else "ok"
            cli.screen.say(f"{state:<5} {each.service:<25} {each.what:<26} {len(each.found)}{names}{price}{note}")
    if found.left:
        what = ", ".join(f"{len(each.found)} {each.what}" for each in found.left)
        raise FactoryError(f"something billable is left: {what}", f"Take it down: {again(cli, 'cleanup --all')}")
    if not cli.json:
        cli.screen.say("Nothing billable is left that cv-factory made")


def _show(screen: Screen, plan: Plan) -> None:
    if not plan.removals:
        screen.say("Nothing to remove")
    for each in plan.removals:
        screen.say(_line(each))
    if plan.removals:
        unknown = " and what has no price here" if any(each.thing.usd_month is None for each in plan.removals) else ""
        screen.say(
            f"{len(plan.removals)} to remove: {size(plan.size)}, {plan.usd_month:.2f} USD a month{unknown}"
            f" (us-east-1, on demand); {len(plan.stays)} stay"
        )
    for each in plan.stays:
        screen.detail(f"stays   {each.thing.kind} {each.thing.name}: {each.why}")


def _line(each: Decided) -> str:
    thing = each.thing
    about = [size(thing.size)] if thing.size else []
    if thing.usd_month is None:
        about.append("price not known")
    elif thing.usd_month >= 0.01:
        about.append(f"{thing.usd_month:.2f} USD a month")
    more = f" ({', '.join(about)})" if about else ""
    return f"remove  {thing.kind} {thing.name}{more}: {each.why}"


def size(count: int) -> str:
    """Bytes for a person: ``12.3 MB``."""
    value, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
