"""What goes and what stays: a pure function of what was found.

Never touched: what an Approved package or one that waits names, what the last ``release.keep`` good releases name, the
champion's, and everything that something that stays uses. What is young stays too: somebody may be at work on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from contracts.names import Names
from cv_factory.operations.cleanup.things import (
    ALARM,
    CONFIG,
    ENDPOINT,
    EXECUTION,
    IMAGE,
    KEPT,
    KINDS,
    MODEL,
    RUN,
    SCALING,
    Decided,
    Inventory,
    Plan,
    Release,
    Thing,
)
from deployment.packages import APPROVED, PENDING, version_of

#: A roll-out that has made its model and configuration uses them well within this, hours.
_ROLL_OUT = 2.0
#: A run that has pushed an image or kept a bundle registers it well within this, hours.
_AT_WORK = 24.0
#: The endpoint is changing: what it will use is not known. Source: API reference, DescribeEndpoint, EndpointStatus.
_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide.

    Attributes:
        keep: ``release.keep``.
        cache_days: ``training.cache_days``: a cached step names objects of its run.
        everything: ``--all``: whatever of the environment is billed by the hour goes.
    """

    names: Names
    keep: int
    cache_days: int
    everything: bool = False


def plan(found: Inventory, rules: Rules, now: datetime) -> Plan:
    """Every thing of ``found``, gone or staying, each with its reason."""
    decided = list(_decide(found, rules, now))
    order = {kind: number for number, kind in enumerate(KINDS)}
    goes = sorted((item for goes, item in decided if goes), key=lambda item: (order[item.thing.kind], item.thing.name))
    stays = sorted(
        (item for goes, item in decided if not goes), key=lambda item: (order[item.thing.kind], item.thing.name)
    )
    return Plan(tuple(goes), tuple(stays))


def _decide(found: Inventory, rules: Rules, now: datetime) -> Iterator[tuple[bool, Decided]]:
    endpoints = {thing.name: _endpoint(thing, rules, now) for thing in found.of(ENDPOINT)}
    staying = [thing for thing in found.of(ENDPOINT) if endpoints[thing.name][0] is False]
    for thing in found.of(ENDPOINT):
        goes, why = endpoints[thing.name]
        yield goes, Decided(thing, why)
    for kind in (SCALING, ALARM):
        for thing in found.of(kind):
            yield _of_endpoint(thing, rules, bool(staying))
    for thing in found.of(EXECUTION):
        yield rules.everything, Decided(thing, "--all: it is stopped" if rules.everything else "it runs")
    yield from _configs_and_models(found, rules, now, staying)
    kept = _kept_releases(found, rules, _served(found, staying))
    for thing in found.of(KEPT):
        yield _kept(thing, found, kept, now)
    for thing in found.of(RUN):
        yield _run(thing, found, rules, now)
    yield from _images(found, rules, now, kept)


def _endpoint(thing: Thing, rules: Rules, now: datetime) -> tuple[bool, str]:
    if rules.everything:
        return True, "--all"
    if thing.name != rules.names.endpoint:
        if thing.age_hours(now) > _ROLL_OUT:
            return True, f"a check left it behind {thing.age_hours(now):.0f} hours ago"
        return False, "a check of a release may use it"
    if thing.expire_hours and thing.age_hours(now) > thing.expire_hours and thing.status not in _CHANGING:
        return (
            True,
            f"it expired: {thing.age_hours(now):.0f} hours since its last release, {thing.expire_hours:g} allowed",
        )
    return False, "it serves" if thing.status == "InService" else f"it is {thing.status}"


def _of_endpoint(thing: Thing, rules: Rules, served: bool) -> tuple[bool, Decided]:
    if rules.everything:
        return True, Decided(thing, "--all")
    return (False, Decided(thing, "of the endpoint")) if served else (True, Decided(thing, "its endpoint is gone"))


def _configs_and_models(
    found: Inventory, rules: Rules, now: datetime, staying: list[Thing]
) -> Iterator[tuple[bool, Decided]]:
    changing = next((thing for thing in staying if thing.status in _CHANGING), None)
    used = {name for thing in staying for name in thing.uses}
    models_used: set[str] = set()
    for thing in found.of(CONFIG):
        goes, why = _unused(thing, used, rules, now, changing)
        if not goes:
            models_used.update(thing.uses)
        yield goes, Decided(thing, why)
    unknown = None if rules.everything else _unknown(found, staying)
    for thing in found.of(MODEL):
        goes, why = _unused(thing, models_used, rules, now, changing)
        if goes and unknown:
            goes, why = False, f"an endpoint uses {unknown}, which is not one of ours or is gone: it may use this model"
        yield goes, Decided(thing, why)


def _unknown(found: Inventory, staying: list[Thing]) -> str | None:
    """A configuration that an endpoint uses and of which nobody here knows the model: changed or deleted by hand."""
    known = {thing.name for thing in found.of(CONFIG)}
    return next((name for thing in staying for name in thing.uses if name not in known), None)


def _unused(thing: Thing, used: set[str], rules: Rules, now: datetime, changing: Thing | None) -> tuple[bool, str]:
    if thing.name in used:
        return False, "in use"
    if rules.everything:
        return True, "--all"
    if changing is not None:
        return False, f"{changing.name} is {changing.status}: nobody knows yet what it will use"
    if thing.age_hours(now) < _ROLL_OUT:
        return False, "it is new: a release may be about to use it"
    return True, "nothing uses it"


def _served(found: Inventory, staying: list[Thing]) -> set[int]:
    """Versions that an endpoint needs: a new instance of it reads their archive and their image again.

    Source: SageMaker Developer Guide, "Deploy models for real-time inference": model artifacts must stay in S3.
    """
    configs = {name for thing in staying for name in thing.uses}
    models = {name for thing in found.of(CONFIG) if thing.name in configs for name in thing.uses}
    if _unknown(found, staying):
        models = {thing.name for thing in found.of(MODEL)}
    return {version_of(arn) for thing in found.of(MODEL) if thing.name in models for arn in thing.uses}


def _kept_releases(found: Inventory, rules: Rules, served: set[int]) -> dict[int, str]:
    """Version -> why what it names stays."""
    kept = {version: f"version {version} is served" for version in served}
    good = sorted((each for each in found.releases if each.good), key=lambda each: -each.version)
    for each in good[: rules.keep]:
        kept[each.version] = f"version {each.version} is one of the last {rules.keep} good releases"
    for each in found.releases:
        if each.approval == APPROVED:
            kept[each.version] = f"version {each.version} is Approved"
        elif each.approval == PENDING:
            kept[each.version] = f"version {each.version} waits for approval"
        if each.version == found.desired:
            kept[each.version] = f"version {each.version} is the champion"
    return kept


def _kept(thing: Thing, found: Inventory, kept: dict[int, str], now: datetime) -> tuple[bool, Decided]:
    naming = [each for each in found.releases if each.kept == thing.name]
    why = next((kept[each.version] for each in naming if each.version in kept), None)
    if why is not None:
        return False, Decided(thing, why)
    if thing.age_hours(now) < _AT_WORK:
        return False, Decided(thing, "it is new: a run may be about to register it")
    if not naming:
        return True, Decided(thing, "no package names it")
    versions = ", ".join(str(each.version) for each in naming)
    return True, Decided(thing, f"only rejected: version {versions}; it cannot be approved again afterwards")


def _run(thing: Thing, found: Inventory, rules: Rules, now: datetime) -> tuple[bool, Decided]:
    execution = thing.name.rstrip("/").rpartition("/")[2]
    if execution in found.running:
        return False, Decided(thing, "its execution runs")
    days = rules.cache_days + 1
    if thing.age_hours(now) < days * 24:
        return False, Decided(thing, f"the step cache may name it: training.cache_days is {rules.cache_days}")
    return True, Decided(thing, f"nothing names it: no package does, and the step cache ended after {days - 1} days")


def _images(found: Inventory, rules: Rules, now: datetime, kept: dict[int, str]) -> Iterator[tuple[bool, Decided]]:
    named: dict[str, Release] = {}
    for each in sorted(found.releases, key=lambda each: each.version):
        if each.version in kept:
            named.update(dict.fromkeys(each.digests, each))
    newest: dict[str, int] = {}
    for thing in sorted(found.of(IMAGE), key=lambda thing: thing.age_hours(now)):
        repository, _, digest = thing.name.partition("@")
        rank = newest[repository] = newest.get(repository, 0) + 1
        if digest in named:
            yield False, Decided(thing, kept[named[digest].version])
        elif found.needed & {digest, *thing.labels}:
            yield False, Decided(thing, "the pipeline or this checkout names it")
        elif rank <= rules.keep:
            yield False, Decided(thing, f"one of the {rules.keep} newest of its repository")
        elif thing.age_hours(now) < _AT_WORK:
            yield False, Decided(thing, "it is new: a run may be about to register it")
        else:
            yield True, Decided(thing, "no package that stays, no pipeline and no checkout names it")
