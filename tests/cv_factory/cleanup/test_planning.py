"""The table of what stays and what goes: one line a rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.names import Names
from cv_factory.operations.cleanup import planning
from cv_factory.operations.cleanup.planning import Rules
from cv_factory.operations.cleanup.things import (
    ALARM,
    CONFIG,
    ENDPOINT,
    EXECUTION,
    IMAGE,
    KEPT,
    MODEL,
    RUN,
    SCALING,
    Inventory,
    Release,
    Thing,
)

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
NAMES = Names("widgets", "dev", "111122223333", "eu-west-1")
OLD = 24 * 90


def thing(kind: str, name: str, hours: float = OLD, **more: Any) -> Thing:
    return Thing(kind, name, NOW - timedelta(hours=hours), **more)


def version(number: int, approval: str = "Rejected", *, good: bool = False) -> Release:
    return Release(number, approval, f"packages/{number}/", frozenset({f"sha256:{number}"}), good)


SERVING = thing(ENDPOINT, "widgets-dev", status="InService", uses=("used",))
SERVED = [
    SERVING,
    thing(CONFIG, "used", uses=("model",)),
    thing(MODEL, "model", uses=("arn:aws:sagemaker:eu-west-1:111122223333:model-package/widgets-dev/1",)),
]
CHANGING = thing(ENDPOINT, "widgets-dev", status="Updating", uses=("used", "next"))
EXPIRED = thing(ENDPOINT, "widgets-dev", 9, status="InService", uses=("used",), expire_hours=8)

#: Name -> what was found beside the thing, the thing, whether it goes, a part of the reason.
TABLE: dict[str, tuple[dict[str, Any], Thing, bool, str]] = {
    "endpoint that serves": ({}, SERVING, False, "it serves"),
    "endpoint that expired": ({}, EXPIRED, True, "it expired: 9 hours"),
    "endpoint that expires later": (
        {}, thing(ENDPOINT, "widgets-dev", 7, status="InService", expire_hours=8), False, "it serves",
    ),
    "endpoint that expired and changes": (
        {}, thing(ENDPOINT, "widgets-dev", 9, status="Updating", expire_hours=8), False, "it is Updating",
    ),
    "staging endpoint of now": ({}, thing(ENDPOINT, "widgets-dev-staging", 0.5, status="InService"), False, "a check"),
    "staging endpoint left behind": (
        {}, thing(ENDPOINT, "widgets-dev-staging", 5, status="InService"), True, "left it",
    ),
    "autoscaling of an endpoint": ({"things": [SERVING]}, thing(SCALING, "endpoint/x"), False, "of the endpoint"),
    "autoscaling of none": ({}, thing(SCALING, "endpoint/x"), True, "its endpoint is gone"),
    "alarm of an endpoint": ({"things": [SERVING]}, thing(ALARM, "widgets-dev-5xx"), False, "of the endpoint"),
    "alarm of an expired one": ({"things": [EXPIRED]}, thing(ALARM, "widgets-dev-5xx"), True, "its endpoint is gone"),
    "execution that runs": ({}, thing(EXECUTION, "arn/execution/x", status="Executing"), False, "it runs"),
    "config in use": ({"things": [SERVING]}, thing(CONFIG, "used"), False, "in use"),
    "config of a change under way": ({"things": [CHANGING]}, thing(CONFIG, "next"), False, "in use"),
    "config beside a change under way": ({"things": [CHANGING]}, thing(CONFIG, "other"), False, "nobody knows yet"),
    "config that is new": ({"things": [SERVING]}, thing(CONFIG, "other", 1), False, "it is new"),
    "config that nothing uses": ({"things": [SERVING]}, thing(CONFIG, "other"), True, "nothing uses it"),
    "config of an expired endpoint": ({"things": [EXPIRED]}, thing(CONFIG, "used"), True, "nothing uses it"),
    "model in use": (
        {"things": [SERVING, thing(CONFIG, "used", uses=("m",))]}, thing(MODEL, "m"), False, "in use",
    ),
    "model of a config that stays": (
        {"things": [SERVING, thing(CONFIG, "other", 1, uses=("m",))]}, thing(MODEL, "m"), False, "in use",
    ),
    "model of a config that goes": (
        {"things": [SERVING, thing(CONFIG, "used"), thing(CONFIG, "other", uses=("m",))]},
        thing(MODEL, "m"), True, "nothing uses it",
    ),
    "model that is new": ({}, thing(MODEL, "m", 1), False, "it is new"),
    "artefacts of an approved package": (
        {"releases": [version(1, "Approved", good=True)]}, thing(KEPT, "packages/1/"), False, "is Approved",
    ),
    "artefacts of one that waits": (
        {"releases": [version(1, "PendingManualApproval")]}, thing(KEPT, "packages/1/"), False, "waits for approval",
    ),
    "artefacts of the champion": (
        {"releases": [version(1)], "desired": 1}, thing(KEPT, "packages/1/"), False, "is the champion",
    ),
    "artefacts of the last good release": (
        {"releases": [version(1, good=True)]}, thing(KEPT, "packages/1/"), False, "one of the last 2 good",
    ),
    "artefacts of an older good release": (
        {"releases": [version(number, good=True) for number in (1, 2, 3)]}, thing(KEPT, "packages/1/"), True, "only",
    ),
    "artefacts of a release that was never good": (
        {"releases": [version(1), version(2, good=True)]}, thing(KEPT, "packages/1/"), True, "only rejected: version 1",
    ),
    "artefacts that a rejected and an approved package name": (
        {"releases": [version(1), Release(2, "Approved", "packages/1/", frozenset(), True)]},
        thing(KEPT, "packages/1/"), False, "version 2 is Approved",
    ),
    "artefacts of a rejected package that is served": (
        {"releases": [version(1)], "things": SERVED}, thing(KEPT, "packages/1/"), False, "version 1 is served",
    ),
    "artefacts of a rejected package whose model no endpoint uses": (
        {"releases": [version(1)], "things": SERVED[1:]}, thing(KEPT, "packages/1/"), True, "only rejected: version 1",
    ),
    "image of a rejected package that is served": (
        {"releases": [version(1)], "things": [*SERVED, *(thing(IMAGE, f"r@{n}", n) for n in range(5))]},
        thing(IMAGE, "r@sha256:1"), False, "version 1 is served",
    ),
    "artefacts that no package names": ({}, thing(KEPT, "packages/1/"), True, "no package names it"),
    "artefacts of a run of today": ({}, thing(KEPT, "packages/1/", 5), False, "about to register"),
    "run of now": ({"running": {"x"}}, thing(RUN, "runs/x/"), False, "its execution runs"),
    "run in the step cache": ({}, thing(RUN, "runs/x/", 24 * 20), False, "step cache"),
    "run whose cache ended this hour": ({}, thing(RUN, "runs/x/", 24 * 30 + 1), False, "step cache"),
    "run after its cache": ({}, thing(RUN, "runs/x/", 24 * 32), True, "nothing names it"),
    "image of an approved package": (
        {"releases": [version(1, "Approved")], "things": [thing(IMAGE, f"r@{n}", n) for n in range(5)]},
        thing(IMAGE, "r@sha256:1"), False, "version 1 is Approved",
    ),
    "image of a rejected package": (
        {"releases": [version(1)], "things": [thing(IMAGE, f"r@{n}", n) for n in range(5)]},
        thing(IMAGE, "r@sha256:1"), True, "no package that stays",
    ),
    "image of the pipeline": (
        {"needed": {"src-1"}, "things": [thing(IMAGE, f"r@{n}", n) for n in range(5)]},
        thing(IMAGE, "r@sha256:1", labels=("src-1",)), False, "the pipeline",
    ),
    "one of the newest images": ({"things": [thing(IMAGE, "r@2")]}, thing(IMAGE, "r@1"), False, "newest"),
    "image that nothing names": (
        {"things": [thing(IMAGE, f"r@{n}", n) for n in range(5)]}, thing(IMAGE, "r@sha256:1"), True, "no package",
    ),
    "image of today": (
        {"things": [thing(IMAGE, f"r@{n}", n) for n in range(5)]}, thing(IMAGE, "r@sha256:1", 6), False, "it is new",
    ),
    "model beside an endpoint whose configuration is gone": (
        {"things": [thing(ENDPOINT, NAMES.endpoint, status="InService", uses=("gone",))]},
        thing(MODEL, "m"), False, "uses gone",
    ),
    "archive of a rejected package beside an endpoint whose configuration is gone": (
        {
            "things": [
                thing(ENDPOINT, NAMES.endpoint, status="InService", uses=("gone",)),
                thing(MODEL, "m", uses=("arn:aws:sagemaker:r:1:model-package/g/1",)),
            ],
            "releases": [version(1)],
        },
        thing(KEPT, "packages/1/"), False, "version 1 is served",
    ),
    "thing of which nobody says how old it is": ({}, Thing(MODEL, "m"), False, "it is new"),
}  # fmt: skip


def plan(about: dict[str, Any], one: Thing, *, everything: bool = False) -> planning.Plan:
    found = Inventory(
        (*about.get("things", []), one), tuple(about.get("releases", [])), frozenset(about.get("running", ())),
        frozenset(about.get("needed", ())), about.get("desired", 0),
    )  # fmt: skip
    return planning.plan(found, Rules(NAMES, keep=2, cache_days=30, everything=everything), NOW)


@pytest.mark.parametrize("name", TABLE)
def test_what_goes_and_what_stays(name: str) -> None:
    about, one, goes, reason = TABLE[name]
    made = plan(about, one)
    where, elsewhere = (made.removals, made.stays) if goes else (made.stays, made.removals)
    (decided,) = [each for each in where if each.thing == one]
    assert reason in decided.why
    assert one not in [each.thing for each in elsewhere]
    assert len(made.removals) + len(made.stays) == len(about.get("things", [])) + 1


def test_all_takes_what_is_billed_and_leaves_what_the_registry_names() -> None:
    things = [
        CHANGING, thing(ENDPOINT, "widgets-dev-staging", 0.1, status="InService"), thing(SCALING, "endpoint/x"),
        thing(ALARM, "widgets-dev-5xx"), thing(CONFIG, "next", 0.1), thing(MODEL, "m", 0.1),
        thing(EXECUTION, "arn/execution/x", status="Executing"), thing(IMAGE, "r@sha256:1"),
    ]  # fmt: skip
    about = {"things": things, "releases": [version(1, "Approved")]}
    made = plan(about, thing(KEPT, "packages/1/"), everything=True)
    assert [each.thing.kind for each in made.removals] == [
        EXECUTION, SCALING, ALARM, ENDPOINT, ENDPOINT, CONFIG, MODEL,
    ]  # fmt: skip
    assert {each.thing.name for each in made.stays} == {"packages/1/", "r@sha256:1"}
