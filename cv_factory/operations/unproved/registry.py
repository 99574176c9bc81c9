"""Checks of the model registry and of its events."""

from __future__ import annotations

import json
from typing import Any

from contracts.release import REGISTRY_EVENT
from cv_factory.operations.unproved import endpoint, events, serving
from cv_factory.operations.unproved.bench import Bench
from cv_factory.operations.unproved.check import ByHand, Check, expect

#: Source: API reference, ModelPackageModelCard: of the overview the creator and the artefact are all there is.
_CARD = json.dumps({"model_overview": {"model_creator": "make test-aws"}})


def approval_event(bench: Bench) -> str:
    group = serving.create_group(bench, "events")
    caught = events.catch(bench, "registry", [REGISTRY_EVENT], {"ModelPackageGroupName": [group]})
    arn = serving.package(bench, "events", group)
    bench.client("sagemaker").update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="looks good"
    )
    seen: list[dict[str, Any]] = []

    def approved() -> bool | None:
        seen.extend(caught.take())
        return any(one["detail"].get("ModelApprovalStatus") == "Approved" for one in seen) or None

    bench.until(approved, "the event of the approval", 5)
    mine = [one for one in seen if one["detail"].get("ModelApprovalStatus") == "Approved"]
    found = list(events.differences(events.recorded("registry"), mine[0]))
    expect(not found, f"{'; '.join(found)}. The event: {json.dumps(mine[0])}")
    return f"as recorded; {len(mine)} time(s), {len(seen)} event(s) of the package in all"


def model_card(bench: Bench) -> str:
    group = serving.create_group(bench, "card")
    arn = serving.package(bench, "card", group)
    sagemaker = bench.client("sagemaker")
    sagemaker.update_model_package(
        ModelPackageArn=arn, ModelCard={"ModelCardContent": _CARD, "ModelCardStatus": "Draft"}
    )
    card = sagemaker.describe_model_package(ModelPackageName=arn).get("ModelCard", {})
    content = json.loads(card.get("ModelCardContent", "{}"))
    expect(content == json.loads(_CARD), f"the package's card is {card or 'not there'}")
    return f"attached, {card['ModelCardStatus']}"


TITLE = "Registry and events"
ROWS: tuple[Check | ByHand, ...] = (
    Check(
        "registry.event",
        "`UpdateModelPackage` to Approved",
        'an event "SageMaker Model Package State Change" of the shape in `tests/deployment/events/registry.json`,'
        " possibly twice",
        approval_event,
        needs=("the serving image",),
    ),
    endpoint.EVENTS,
    Check(
        "registry.model-card",
        "`UpdateModelPackage` with `ModelCard` after Register",
        "attached; the registration itself cannot read it from a step's file",
        model_card,
        needs=("the serving image",),
    ),
)
