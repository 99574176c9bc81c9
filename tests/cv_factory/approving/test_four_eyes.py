"""Where four eyes are asked for, another person approves; who is another person is told from STS identities."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import release
from contracts.errors import RefusedError
from cv_factory.operations import approving
from cv_factory.operations.approving import identity, rules
from cv_factory.session import Target
from tests.cv_factory.approving.conftest import Place
from tests.cv_factory.planting import ANN, BOB, Factory, plant

ROLE = "arn:aws:sts::123456789012:assumed-role/{}"


def four(place: Place, session: Any = None) -> Target:
    made = place.factory.with_settings(place.env, four_eyes="always")
    return Target(made.settings, made.file, made.endpoint, session or made.session)


def test_who_started_it_may_not_approve_it_and_somebody_else_may(place: Place, factory: Factory) -> None:
    planted = plant(place.target, "one", started_by=ANN)
    ann, bob = four(place, factory.somebody("ann")), four(place, factory.somebody("bob"))
    review = approving.find(ann, None)
    assert [each.rule for each in review.refusals] == ["four-eyes"]
    with pytest.raises(RefusedError, match="ann started the execution of this model, and here another person approves"):
        approving.approve(ann, review, "mine is good")
    decision = approving.approve(bob, approving.find(bob, None), "looked at the slices")
    assert decision.after == "Approved"
    kept = place.target.client("sagemaker").describe_model_package(ModelPackageName=planted.arn)
    assert kept["CustomerMetadataProperties"][release.META_STARTED_BY] == ANN
    assert kept["CustomerMetadataProperties"][release.META_APPROVED_BY] == BOB
    assert kept["ApprovalDescription"] == "looked at the slices"


def test_without_four_eyes_the_same_person_may_and_it_is_said_where_it_was_chosen(
    place: Place, factory: Factory
) -> None:
    plant(place.target, "one", started_by=ANN)
    made = place.factory.with_settings(place.env, four_eyes="never")
    ann = Target(made.settings, made.file, made.endpoint, factory.somebody("ann"))
    review = approving.find(ann, None)
    assert review.refusals == () and any("four_eyes is never" in note for note in review.notes)
    assert approving.approve(ann, review, "").after == "Approved"


def test_who_retried_or_started_the_execution_counts_whatever_the_package_says(place: Place, factory: Factory) -> None:
    bob = factory.somebody("bob")
    names, sagemaker = place.target.settings.names, bob.client("sagemaker")
    definition = (
        '{"Version": "2020-12-01", "Steps": [{"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": "x"}}]}'
    )
    place.target.client("sagemaker").create_pipeline(
        PipelineName=names.pipeline, PipelineDefinition=definition, RoleArn=names.role_arn("pipeline")
    )
    arn = sagemaker.start_pipeline_execution(PipelineName=names.pipeline)["PipelineExecutionArn"]
    execution = arn.rpartition("/")[2]
    plant(place.target, "one", started_by=ANN, metadata={release.META_EXECUTION: execution})
    review = approving.find(four(place, bob), None)
    assert {each.arn for each in review.starters} == {ANN, BOB}
    assert [each.rule for each in review.refusals] == ["four-eyes"] and "bob started" in review.refusals[0].says


@pytest.mark.parametrize(
    ("env", "setting", "asked"),
    [
        ("prod", "prod", True), ("prod", "always", True), ("prod", "never", False),
        ("dev", "prod", False), ("dev", "always", True), ("dev", "never", False),
    ],
)  # fmt: skip
def test_prod_asks_for_four_eyes_unless_the_team_says_never(
    factory: Factory, env: str, setting: str, asked: bool
) -> None:
    from contracts.settings import load

    made = load(factory.folder / "factory.yaml", env)
    changed = made.model_copy(update={"release": made.release.model_copy(update={"four_eyes": setting})})
    assert changed.four_eyes is asked and made.release.four_eyes == "prod"


PEOPLE = {
    "the same session": (ROLE.format("engineer/ann"), ROLE.format("engineer/ann"), True),
    "the same person in another role": (ROLE.format("engineer/Ann"), ROLE.format("owner/ann"), True),
    "a user in a role": ("arn:aws:iam::123456789012:user/team/ann", ROLE.format("owner/ann"), True),
    "another person": (ROLE.format("engineer/ann"), ROLE.format("engineer/bob"), False),
    "another user": ("arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:user/bob", False),
    "a workflow": (ROLE.format("widgets-prod-github-release/GitHubActions"), ROLE.format("owner/ann"), False),
    "a comma in the name": (ROLE.format("engineer/ann,x"), ROLE.format("engineer/ann,x"), True),
}


@pytest.mark.parametrize("name", PEOPLE)
def test_people_are_told_apart_by_user_or_session(name: str) -> None:
    one, other, same = PEOPLE[name]
    starter, approver = identity.parse(release.recorded_identity(one)), identity.parse(other)
    assert identity.same(starter, approver) is same
    assert bool(rules.four_eyes((starter,), approver)) is same


@pytest.mark.parametrize(
    "session",
    [
        "botocore-session-1764170000",
        "aws-sdk-js-1764170000000",
        "aws-go-sdk-1764170000",
        "1764170000",
        "i-0a1b2c3d4e5f",
    ],
)
def test_a_session_that_a_machine_named_names_nobody(session: str) -> None:
    nobody, ann = identity.parse(ROLE.format(f"owner/{session}")), identity.parse(ANN)
    assert not nobody.known
    (as_approver,) = rules.four_eyes((ann,), nobody)
    (as_starter,) = rules.four_eyes((nobody,), ann)
    assert "names no person" in as_approver.says and "role_session_name" in as_approver.right
    assert "names no person" in as_starter.says


def test_nobody_knows_who_started_it_and_the_root_of_an_account_is_nobody() -> None:
    (unknown,) = rules.four_eyes((), identity.parse(ANN))
    assert "nobody knows who started" in unknown.says
    assert not identity.parse("arn:aws:iam::123456789012:root").known and not identity.parse("unknown").known
