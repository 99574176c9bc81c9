"""Events reach the targets of the rules that match them, in order, and what fails ends where AWS would put it."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

from local_sagemaker import control, processes
from tests.local_sagemaker.platform.conftest import ACCOUNT, REGION, Server
from tests.waiting import eventually


def rule(server: Server, name: str, pattern: dict[str, Any], *targets: dict[str, Any], **settings: Any) -> str:
    """A rule with these targets; its ARN."""
    events = server.client("events")
    arn: str = events.put_rule(Name=name, EventPattern=json.dumps(pattern), **settings)["RuleArn"]
    numbered = [{"Id": str(number), **target} for number, target in enumerate(targets)]
    assert events.put_targets(Rule=name, Targets=numbered)["FailedEntryCount"] == 0
    for target in targets:
        if ":lambda:" in target["Arn"] and "missing" not in target["Arn"]:
            server.client("lambda").add_permission(
                FunctionName=target["Arn"], StatementId=name, Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com", SourceArn=arn,
            )  # fmt: skip
    return arn


def put(server: Server, source: str, detail: dict[str, Any], **more: Any) -> str:
    """The id of an event."""
    entry = {"Source": source, "DetailType": "Something", "Detail": json.dumps(detail), **more}
    answer = server.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0
    identity: str = answer["Entries"][0]["EventId"]
    return identity


def shown(server: Server, identity: str) -> dict[str, Any]:
    """An event of the admin's list, once all its deliveries have ended."""

    def found() -> dict[str, Any] | None:
        for item in server.admin("GET", "events")["events"]:
            if item["event"] and item["event"]["id"] == identity:
                ended = item["deliveries"] and all(one["state"] != "waiting" for one in item["deliveries"])
                return item if ended else None
        return None

    result: dict[str, Any] = eventually(found)
    return result


def test_an_event_arrives_in_aws_form_at_every_target_of_a_matching_rule(server: Server) -> None:
    url, queue = server.queue("all")
    other_url, other = server.queue("topic-subscriber")
    topic = server.client("sns").create_topic(Name="events")["TopicArn"]
    server.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=other, Attributes={"RawMessageDelivery": "true"}
    )
    server.client("logs").create_log_group(logGroupName="/events/all")
    log_group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/events/all"
    rule(server, "all", {"source": ["my.app"]}, {"Arn": queue}, {"Arn": topic}, {"Arn": log_group})
    identity = put(server, "my.app", {"n": 1}, Resources=["arn:x"])
    (message,) = server.messages(url)
    event = message["document"]
    assert event["id"] == identity and event["detail"] == {"n": 1} and event["resources"] == ["arn:x"]
    assert event["version"] == "0" and event["account"] == ACCOUNT and event["region"] == REGION
    assert event["detail-type"] == "Something" and event["source"] == "my.app" and event["time"].endswith("Z")
    (message,) = server.messages(other_url)
    assert message["document"] == event
    item = shown(server, identity)
    assert [delivery["state"] for delivery in item["deliveries"]] == ["delivered"] * 3
    logged = server.client("logs").filter_log_events(logGroupName="/events/all")["events"]
    assert json.loads(logged[0]["message"])["id"] == identity


def test_only_enabled_rules_with_a_matching_pattern_get_it(server: Server) -> None:
    url, queue = server.queue("some")
    wanted = {"source": ["only"], "detail": {"Status": [{"prefix": "App"}]}}
    rule(server, "some", wanted, {"Arn": queue})
    rule(server, "off", {"source": ["only"]}, {"Arn": queue}, State="DISABLED")
    put(server, "only", {"Status": "Rejected"})
    put(server, "only", {"Status": "Approved"})
    (message,) = server.messages(url)
    assert message["document"]["detail"] == {"Status": "Approved"}


def test_a_function_gets_them_in_the_order_in_which_they_happened(server: Server) -> None:
    url, _ = server.queue("ordered")
    source = (
        "import boto3, json\nsqs = boto3.client('sqs')\ndef handler(event, context):\n"
        f"    sqs.send_message(QueueUrl={url!r}, MessageBody=json.dumps(event['detail']['n']))"
    )
    arn = server.function("ordered", source)
    rule(server, "ordered", {"source": ["ordered"]}, {"Arn": arn})
    for number in range(5):
        put(server, "ordered", {"n": number})
    assert [message["document"] for message in server.messages(url, 5)] == [0, 1, 2, 3, 4]


def test_inputs_paths_and_transformers(server: Server) -> None:
    url, queue = server.queue("inputs")
    transformer = {
        "InputPathsMap": {"n": "$.detail.n"},
        "InputTemplate": '{"number": <n>, "rule": "<aws.events.rule-name>"}',
    }
    arn = rule(
        server, "inputs", {"source": ["inputs"]},
        {"Arn": queue, "Input": '{"action": "sweep"}'},
        {"Arn": queue, "InputPath": "$.detail"},
        {"Arn": queue, "InputTransformer": transformer},
    )  # fmt: skip
    assert arn.endswith(":rule/inputs")
    put(server, "inputs", {"n": 7})
    documents = [message["document"] for message in server.messages(url, 3)]
    assert documents == [{"action": "sweep"}, {"n": 7}, {"number": 7, "rule": "inputs"}]


def test_what_cannot_be_delivered_goes_to_the_targets_dead_letter_queue(server: Server) -> None:
    url, dead = server.queue("undelivered")
    missing = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:missing"
    arn = rule(
        server, "undelivered", {"source": ["undelivered"]},
        {"Arn": missing, "DeadLetterConfig": {"Arn": dead}},
        {"Arn": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/x"},
    )  # fmt: skip
    identity = put(server, "undelivered", {"n": 1})
    (message,) = server.messages(url)
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes["RULE_ARN"] == arn and attributes["TARGET_ARN"] == missing
    assert attributes["ERROR_CODE"] == "RESOURCE_NOT_FOUND" and message["document"]["detail"] == {"n": 1}
    deliveries = shown(server, identity)["deliveries"]
    assert [delivery["state"] for delivery in deliveries] == ["failed", "failed"]
    assert "no targets of kinesis" in deliveries[1]["attempts"][0]["outcome"]


def test_a_function_that_does_not_let_the_rule_call_it_is_not_called(server: Server) -> None:
    url, dead = server.queue("forbidden")
    arn = server.function("forbidden", "def handler(event, context): raise AssertionError('called')")
    server.client("lambda").add_permission(
        FunctionName=arn, StatementId="other", Action="lambda:InvokeFunction", Principal="events.amazonaws.com",
        SourceArn=f"arn:aws:events:{REGION}:{ACCOUNT}:rule/other",
    )  # fmt: skip
    events = server.client("events")
    events.put_rule(Name="forbidden", EventPattern='{"source": ["forbidden"]}')
    events.put_targets(Rule="forbidden", Targets=[{"Id": "1", "Arn": arn, "DeadLetterConfig": {"Arn": dead}}])
    put(server, "forbidden", {})
    (message,) = server.messages(url)
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"


def test_put_events_refuses_what_aws_refuses(server: Server) -> None:
    good = {"Source": "s", "DetailType": "d", "Detail": "{}"}
    bad = [
        ({**good, "Detail": "[1]"}, "MalformedDetail"),
        ({**good, "Detail": "{"}, "MalformedDetail"),
        ({**good, "Source": ""}, "InvalidArgument"),
        ({**good, "Source": "aws.s3"}, "NotAuthorizedForSourceException"),
        ({**good, "EventBusName": "nowhere"}, "InvalidArgument"),
    ]
    answer = server.client("events").put_events(Entries=[good, *(entry for entry, _ in bad)])
    assert answer["FailedEntryCount"] == len(bad) and "EventId" in answer["Entries"][0]
    assert [entry["ErrorCode"] for entry in answer["Entries"][1:]] == [code for _, code in bad]


def test_a_bus_of_ones_own_and_events_passed_on_to_it(server: Server) -> None:
    url, queue = server.queue("own-bus")
    events = server.client("events")
    bus = events.create_event_bus(Name="own")["EventBusArn"]
    events.put_rule(Name="on-own", EventBusName="own", EventPattern='{"source": ["passed"]}')
    events.put_targets(Rule="on-own", EventBusName="own", Targets=[{"Id": "1", "Arn": queue}])
    rule(server, "pass-on", {"source": ["passed"], "detail": {"from": ["default"]}}, {"Arn": bus})
    put(server, "passed", {"from": "own"}, EventBusName="own")
    put(server, "passed", {"from": "default"})
    documents = [message["document"]["detail"] for message in server.messages(url, 2)]
    assert documents == [{"from": "own"}, {"from": "default"}]


def test_rules_with_a_schedule_fire_on_the_servers_clock(server: Server) -> None:
    url, queue = server.queue("scheduled")
    events = server.client("events")
    events.put_rule(Name="sweep", ScheduleExpression="rate(5 minutes)")
    events.put_targets(Rule="sweep", Targets=[{"Id": "1", "Arn": queue, "Input": '{"action": "sweep"}'}])
    events.put_rule(Name="daily", ScheduleExpression="cron(0 3 * * ? *)")
    events.put_targets(Rule="daily", Targets=[{"Id": "1", "Arn": queue}])
    eventually(lambda: len(server.admin("GET", "schedules")["schedules"]) == 2)
    server.admin("POST", "clock", {"advance": 301})
    (message,) = server.messages(url)
    assert message["document"] == {"action": "sweep"}
    server.admin("POST", "clock", {"advance": 86_400})  # a whole day: each fires once, not 288 times
    documents = [one["document"] for one in server.messages(url, 2)]
    for name in ("sweep", "daily"):
        events.disable_rule(Name=name)
    daily = next(document for document in documents if "action" not in document)
    assert daily["detail-type"] == "Scheduled Event" and daily["source"] == "aws.events" and daily["detail"] == {}
    assert daily["resources"] == [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/daily"]


def test_schedules_of_the_scheduler(server: Server) -> None:
    url, queue = server.queue("scheduler")
    role = server.role("scheduler", "scheduler.amazonaws.com")
    scheduler = server.client("scheduler")
    later = datetime.fromtimestamp(server.admin("GET", "clock")["time"], UTC) + timedelta(hours=2)
    common = {"FlexibleTimeWindow": {"Mode": "OFF"}}
    target = {"Arn": queue, "RoleArn": role, "Input": '{"at": "<aws.scheduler.scheduled-time>"}'}
    scheduler.create_schedule(Name="hourly", ScheduleExpression="rate(1 hour)", Target=target, **common)
    scheduler.create_schedule(
        Name="once", ScheduleExpression=f"at({later:%Y-%m-%dT%H:%M:%S})", ActionAfterCompletion="DELETE",
        Target=target | {"Input": '{"once": true}'}, **common,
    )  # fmt: skip
    eventually(lambda: sum(":schedule/" in one["arn"] for one in server.admin("GET", "schedules")["schedules"]) == 2)
    server.admin("POST", "clock", {"advance": 3601})
    (message,) = server.messages(url)
    assert message["document"]["at"].endswith("Z")
    server.admin("POST", "clock", {"advance": 7200})
    documents = [one["document"] for one in server.messages(url, 2)]
    assert {"once": True} in documents
    eventually(lambda: [one["Name"] for one in scheduler.list_schedules()["Schedules"]] == ["hourly"])


def test_a_killed_server_delivers_what_it_had_stored(own_server: Server) -> None:
    url, _ = own_server.queue("survivor")
    source = f"""
import boto3, json, os, time
def handler(event, context):
    if not os.path.exists({str(own_server.state_dir / "again")!r}):
        open({str(own_server.state_dir / "begun")!r}, "w").close()
        time.sleep(600)
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="survivor")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event["detail"]))
"""
    arn = own_server.function("survivor", source, Timeout=900)
    rule(own_server, "survivor", {"source": ["survivor"]}, {"Arn": arn})
    put(own_server, "survivor", {"n": 1})
    put(own_server, "survivor", {"n": 2})
    eventually(lambda: (own_server.state_dir / "begun").exists())
    eventually(lambda: _stored(own_server))
    worker = next(child for child in own_server.admin("GET", "children")["children"] if "survivor" in child["name"])
    started = processes.start_time(worker["pid"])
    os.kill(own_server.info.pid, signal.SIGKILL)
    eventually(lambda: not processes.is_running(worker["pid"], started))
    (own_server.state_dir / "again").touch()
    own_server.info = control.start(own_server.state_dir, ACCOUNT, REGION)
    url = own_server.client("sqs").get_queue_url(QueueName="survivor")["QueueUrl"]
    assert [message["document"]["n"] for message in own_server.messages(url, 2)] == [1, 2]


def _stored(server: Server) -> bool:
    """Are the snapshots of all that the test made there?"""
    wanted = {"awslambda", "events", "iam", "sqs"}
    return wanted <= {file.stem for file in (server.state_dir / "moto").glob("*/*.pickle")}
