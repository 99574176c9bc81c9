"""``approve``, ``reject``, ``deploy``, ``rollback``: what a release owner decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import FactoryError
from cv_factory.cli.common import Cli, verb
from cv_factory.cli.pipeline import again

if TYPE_CHECKING:
    from deployment import Decision

APPROVED = "Approved"
Package = Annotated[
    str | None, typer.Argument(metavar="[PACKAGE]", help="Version or ARN. Default: the newest that waits.")
]


def register(root: typer.Typer) -> None:
    verb(root, "approve", example='cv-factory approve 3 --why "better on poly cells"')(approve)
    verb(root, "reject", example='cv-factory reject 3 --why "misses cracked cells"')(reject)
    verb(root, "deploy", example="cv-factory deploy")(deploy)
    verb(root, "rollback", example='cv-factory rollback --why "misses cracked cells"')(rollback)


def approve(
    cli: Cli,
    package: Package = None,
    why: Annotated[str, typer.Option(help="Kept with the package.")] = "",
    from_profile: Annotated[
        str | None,
        typer.Option("--from-profile", metavar="PROFILE", help="AWS profile that reads another environment's package."),
    ] = None,
) -> None:
    """Show what a model package is worth and what it replaces, and approve it. Its deployment starts by itself."""
    from cv_factory.cli import deciding
    from cv_factory.operations import approving, promotion

    target = cli.target
    cli.announce_change()
    if package is not None and promotion.is_elsewhere(target, package):
        _promote(cli, package, why, from_profile)
        return
    review = approving.find(target, package)
    if not cli.json:
        deciding.show(cli.screen, review)
    approving.check(review)
    waits = review.package.approval != APPROVED
    if waits and not cli.ask(f"Approve {review.package.label}?"):
        raise FactoryError(f"{review.package.label} is not approved: you said no", "Nothing was changed.")
    decision = approving.approve(target, review, why)
    if cli.json:
        cli.screen.document({**_document(decision), "review": review.to_json()})
        return
    cli.screen.say(decision.message)
    if decision.changed:
        cli.screen.say(f"The deployment follows. See it: {again(cli, 'status')}")


def _promote(cli: Cli, package: str, why: str, profile: str | None) -> None:
    """Bring a package of another environment here and approve it."""
    from cv_factory.cli import deciding
    from cv_factory.operations import approving, promotion

    target = cli.target
    found = promotion.find(target, package, profile)
    if not cli.json:
        deciding.show(cli.screen, found.review)
    approving.check(found.review, promoted=True)
    if not cli.ask(f"Promote {found.review.package.label} of {found.source.settings.env} to {cli.env}?"):
        raise FactoryError(f"{found.review.package.label} is not promoted: you said no", "Nothing was changed.")
    line = again(cli, f"approve {package}" + (f" --from-profile {profile}" if profile else ""))
    decision = promotion.promote(target, found, why, line)
    if cli.json:
        cli.screen.document({**_document(decision), "review": found.to_json()})
        return
    cli.screen.say(f"{decision.message}; promoted from {package}")
    if decision.changed:
        cli.screen.say(f"The deployment follows. See it: {again(cli, 'status')}")


def reject(
    cli: Cli,
    package: Package = None,
    why: Annotated[str, typer.Option(help="The reason; it is kept with the package.")] = "",
) -> None:
    """Reject a model package. If it is served, the highest approved version takes its place."""
    import deployment
    from cv_factory.operations import release

    target = cli.target
    cli.announce_change()
    _tell(cli, deployment.reject(target.session, release.settings_of(target), package, why))


def deploy(
    cli: Cli,
    package: Annotated[str | None, typer.Option("--package", help="Pin this approved version or ARN.")] = None,
    why: Annotated[str, typer.Option(help="Kept with the pin.")] = "",
) -> None:
    """Bring the endpoint to what is approved, and try again what failed. Without --package a pin is removed."""
    import deployment
    from cv_factory.operations import release

    target = cli.target
    cli.announce_change()
    settings, act = release.settings_of(target), release.by_the_deployer(target)
    outcome = deployment.deploy(target.session, settings, package, why, act=act)
    if cli.json:
        cli.screen.document(outcome.to_json())
    else:
        cli.screen.say(outcome.message)
    if not outcome.ok:
        raise FactoryError(outcome.message, f"See: {again(cli, 'status')}")


def rollback(
    cli: Cli,
    to: Annotated[str | None, typer.Option("--to", help="Version or ARN. Default: the approved one before.")] = None,
    why: Annotated[str, typer.Option(help="The reason; it is kept with each package that is rejected.")] = "",
    now: Annotated[bool, typer.Option("--now", help="At once, without the release's guards and bake time.")] = False,
) -> None:
    """Go back to an earlier approved package. Every newer approved one is rejected, so that none comes back."""
    import deployment
    from cv_factory.operations import release

    target = cli.target
    cli.announce_change()
    settings, act = release.settings_of(target), release.by_the_deployer(target)
    found = deployment.rollback(target.session, settings, to, why, now=now, act=act)
    if cli.json:
        cli.screen.document(found.to_json())
    else:
        gone = ", ".join(map(str, found.rejected))
        cli.screen.say(f"Back to {found.package.label}" + (f"; rejected: {gone}" if gone else ""))
        cli.screen.say(found.outcome.message)
    if not found.outcome.ok:
        raise FactoryError(found.outcome.message, f"See: {again(cli, 'status')}")


def _tell(cli: Cli, decision: Decision) -> None:
    if cli.json:
        cli.screen.document(_document(decision))
    else:
        cli.screen.say(decision.message)


def _document(decision: Decision) -> dict[str, Any]:
    return {
        "model_package_arn": decision.package_arn, "version": decision.version,
        "before": decision.before, "after": decision.after, "message": decision.message,
    }  # fmt: skip
