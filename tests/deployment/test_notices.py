"""Whoever decides is told once that a package waits, through the topic and out at its queue."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from contracts import release
from deployment import notices
from tests.deployment.plane import NAMES, Killed

EVALUATION = {
    "gate": {"outcome": "register", "message": "All 3 rules hold: balanced accuracy 0.912."},
    "metrics": {"balanced_accuracy": {"value": 0.912, "low": 0.88, "high": 0.94}, "ece": {"value": 0.03}},
}


@pytest.fixture
def settings(settings: Any, session: Any) -> Any:
    """In moto's own account: a topic is found by its ARN."""
    own = dataclasses.replace(settings, account_id="123456789012")
    s3, bucket = session.client("s3"), own.names.artifact_bucket
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": own.region})
    yield own
    empty(session, own)
    s3.delete_bucket(Bucket=bucket)


def empty(session: Any, settings: Any) -> None:
    s3, bucket = session.client("s3"), settings.names.artifact_bucket
    for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=item["Key"])


@pytest.fixture
def queue(session: Any, settings: Any) -> Any:
    """The messages of a queue that subscribes to the topic of the alerts."""
    sns, sqs = session.client("sns"), session.client("sqs")
    topic = sns.create_topic(Name=settings.names.alerts_topic)["TopicArn"]
    assert topic == settings.names.alerts_topic_arn
    url = sqs.create_queue(QueueName="who-decides")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def messages() -> list[dict[str, Any]]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for each in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        return [json.loads(each["Body"]) for each in found]

    yield messages
    sqs.delete_queue(QueueUrl=url)
    sns.delete_topic(TopicArn=topic)


def put(session: Any, settings: Any, bundle: str) -> None:
    session.client("s3").put_object(
        Bucket=NAMES.artifact_bucket, Key=f"packages/{bundle}/evaluation.json",  # where the packages name it
        Body=json.dumps(EVALUATION).encode(),
    )  # fmt: skip


def test_each_waiting_package_is_told_of_once_with_both_commands(
    session: Any, settings: Any, plane: Any, queue: Any
) -> None:
    put(session, settings, "a" * 64)
    arn = plane.register("a" * 64)
    plane.register("b" * 64, "Approved")
    assert notices.tell(session, settings) == (arn,)
    assert notices.tell(session, settings) == ()
    (told,) = queue()
    assert told["Subject"] == "widgets-dev: version 1 waits for approval"
    text = told["Message"]
    assert "Gate: register. All 3 rules hold: balanced accuracy 0.912." in text
    assert "balanced_accuracy: 0.912 (0.880 to 0.940)" in text and "ece: 0.030" in text
    assert f"s3://{NAMES.artifact_bucket}/packages/{'a' * 64}/report.html" in text
    assert "cv-factory --env dev approve 1" in text and "cv-factory --env dev reject 1 --why" in text
    assert "Signature" not in text and "X-Amz" not in text


def test_a_new_evaluation_of_the_same_package_is_told_again(
    session: Any, settings: Any, plane: Any, queue: Any
) -> None:
    put(session, settings, "a" * 64)
    arn = plane.register("a" * 64, CustomerMetadataProperties={release.META_EVALUATION: "1" * 64})
    notices.tell(session, settings)
    plane.packages[arn]["CustomerMetadataProperties"] = {release.META_EVALUATION: "2" * 64}
    assert notices.tell(session, settings) == (arn,)
    assert len(queue()) == 2


def test_what_its_pipeline_approves_waits_for_nobody(session: Any, settings: Any, plane: Any, queue: Any) -> None:
    plane.register("a" * 64, CustomerMetadataProperties={release.META_APPROVAL: release.AUTOMATIC})
    assert notices.tell(session, settings) == () and queue() == []


def test_without_a_topic_nothing_is_told_and_later_it_is(session: Any, settings: Any, plane: Any) -> None:
    put(session, settings, "a" * 64)
    plane.register("a" * 64)
    assert notices.tell(session, settings) == ()
    session.client("sns").create_topic(Name=settings.names.alerts_topic)
    assert len(notices.tell(session, settings)) == 1
    session.client("sns").delete_topic(TopicArn=settings.names.alerts_topic_arn)


def test_killed_after_any_call_the_message_comes_at_least_once(
    session: Any, settings: Any, plane: Any, queue: Any, calls: Any, fresh: Any
) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        fresh()
        empty(session, settings)
        put(session, settings, "a" * 64)
        plane.register("a" * 64)
        calls.made.clear()
        calls.kill_after, killed = number, False
        try:
            notices.tell(session, settings)
        except Killed:
            killed = True
        calls.kill_after = 0
        notices.tell(session, settings)
        assert 1 <= len(queue()) <= 2
        assert notices.tell(session, settings) == ()
    assert number > 5
