"""Events of SageMaker, caught in a queue, and compared with the recorded ones that the tests use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from contracts import source
from cv_factory.operations.unproved.bench import Bench
from cv_factory.operations.unproved.check import Fails

#: Where the recorded events are.
RECORDED = "tests/deployment/events"


@dataclass
class Caught:
    """A queue that gets the events which match a pattern."""

    bench: Bench
    url: str

    def take(self) -> list[dict[str, Any]]:
        """What has come since the last call."""
        sqs = self.bench.client("sqs")
        found: list[dict[str, Any]] = []
        while True:
            messages = sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get(
                "Messages", []
            )
            if not messages:
                return found
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


def catch(bench: Bench, word: str, detail_types: list[str], detail: dict[str, Any]) -> Caught:
    """Make a queue and a rule that sends to it what SageMaker says of ``detail``."""
    sqs, events = bench.client("sqs"), bench.client("events")
    queue = bench.make("queue", word)
    url = sqs.create_queue(QueueName=queue, tags={tag["Key"]: tag["Value"] for tag in bench.tags})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = bench.make("rule", word)
    pattern = {"source": ["aws.sagemaker"], "detail-type": detail_types, "detail": detail}
    rule_arn = events.put_rule(Name=rule, EventPattern=json.dumps(pattern), Tags=bench.tags)["RuleArn"]
    allowed = {
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    failed = events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])
    if failed["FailedEntryCount"]:
        raise Fails(f"PutTargets: {failed['FailedEntries']}")
    return Caught(bench, url)


def recorded(name: str) -> dict[str, Any]:
    """The recorded event ``registry``, ``endpoint`` or ``deployment``."""
    file = source.root() / RECORDED / f"{name}.json"
    value: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return value


def differences(recorded: Any, seen: Any, path: str = "") -> Iterator[str]:
    """Where ``seen`` lacks a member of ``recorded``, or has another kind of value. More members are no difference."""
    if isinstance(recorded, dict):
        if not isinstance(seen, dict):
            yield f"{path or 'the event'} is {_kind(seen)}, recorded as an object"
            return
        for name, value in recorded.items():
            here = f"{path}.{name}" if path else name
            if name not in seen:
                yield f"{here} is missing"
            else:
                yield from differences(value, seen[name], here)
    elif _kind(recorded) != _kind(seen):
        yield f"{path} is {_kind(seen)}, recorded as {_kind(recorded)}"
    elif isinstance(recorded, list) and recorded and seen:
        yield from differences(recorded[0], seen[0], f"{path}[0]")


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return f"{value}".lower() if value is None else "a truth value"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"
