"""The release owner's role is enough for an approval, and nothing of what it needs for one can be taken out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.errors import FactoryError
from cv_factory.operations import approving, local_base
from cv_factory.operations.base import templates
from cv_factory.session import Target
from deployment import aws
from tests.cv_factory.approving.conftest import Place
from tests.cv_factory.planting import ANN, plant

NEEDED = (
    "FindPackages", "DecideAboutPackages", "ReadReportsAndTheRelease", "ReadWhatPackagesKeep",
    "ReadManifestsOfDatasets", "UseTheKey",
)  # fmt: skip


def policy(place: Place, without: str = "") -> dict[str, Any]:
    names = place.target.settings.names
    record = aws.read_json(place.target.client("s3"), names.artifacts(local_base.RECORD_KEY))
    places = templates.values(
        place.target.settings, key_arn=record["keys"]["main"], signing_key_arn=record["keys"]["signing"]
    )
    document: dict[str, Any] = templates.document("policies/owner.json", places)
    assert not without or without in {each["Sid"] for each in document["Statement"]}
    return {**document, "Statement": [each for each in document["Statement"] if each["Sid"] != without]}


@pytest.fixture
def owner(place: Place) -> Iterator[Any]:
    """``owner(without="Sid")``: the target as the owner's role, whose policy lacks a statement."""
    role = f"{place.target.settings.names.prefix}-owner"
    session = place.factory.somebody("bob", role)
    admin = f"{place.factory.server.endpoint_url}/_local"

    def make(without: str = "") -> Target:
        local_base.enforce_iam(admin, False)
        place.target.client("iam").put_role_policy(
            RoleName=role, PolicyName="owner", PolicyDocument=json.dumps(policy(place, without))
        )
        local_base.enforce_iam(admin, True)
        made = place.factory.with_settings(place.env, four_eyes="always")
        return Target(made.settings, made.file, made.endpoint, session)

    yield make
    local_base.enforce_iam(admin, False)


def test_it_is_enough_and_each_statement_is_needed(place: Place, owner: Any) -> None:
    planted = plant(place.target, "one", started_by=ANN, metadata={"execution_id": None})
    for sid in NEEDED:
        target = owner(sid)
        with pytest.raises(Exception, match=r"not authorized|AccessDenied|may not read|Access Denied") as caught:
            approving.approve(target, approving.find(target, str(planted.version)), "")
        assert isinstance(caught.value, FactoryError | target.client("s3").exceptions.ClientError), sid
    target = owner()
    assert approving.approve(target, approving.find(target, None), "looked").after == "Approved"
