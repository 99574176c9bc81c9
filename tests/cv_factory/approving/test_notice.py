"""The whole way of a notice on the local SageMaker: registry, event, deployer, topic, queue."""

from __future__ import annotations

import json
import time

from tests.cv_factory.approving.conftest import Place
from tests.cv_factory.planting import plant


def test_a_package_that_waits_is_told_of_through_the_topic(place: Place) -> None:
    names, sns, sqs = place.target.settings.names, place.target.client("sns"), place.target.client("sqs")
    topic = sns.create_topic(Name=names.alerts_topic)["TopicArn"]
    url = sqs.create_queue(QueueName=f"{names.prefix}-owner")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    planted = plant(place.target, "one")
    deadline = time.monotonic() + 60
    messages: list[dict[str, str]] = []
    while not messages:
        assert time.monotonic() < deadline, "nobody was told"
        messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])
    told = json.loads(messages[0]["Body"])
    assert told["Subject"] == f"{names.prefix}: {planted.label} waits for approval"
    assert f"packages/{planted.bundle_hash}/report.html" in told["Message"]
    assert f"cv-factory --env {place.env} approve {planted.version}" in told["Message"]
