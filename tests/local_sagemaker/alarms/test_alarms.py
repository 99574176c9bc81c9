"""Alarms on real metrics, on the server's clock."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_sagemaker.platform.conftest import ACCOUNT, REGION, Server
from tests.local_sagemaker.platform.test_moto_gaps import refused
from tests.waiting import eventually


class Watch:
    """A server whose clock only the test moves by minutes, with a namespace and an alarm of the test's own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cloudwatch = server.client("cloudwatch")
        self.names = 0

    def begin(self) -> str:
        """A new namespace, at the first seconds of a minute of the clock."""
        self.names += 1
        self.next_minute()
        return f"space-{self.names}"

    def now(self) -> float:
        return float(self.server.admin("GET", "clock")["time"])

    def next_minute(self, minutes: int = 1) -> None:
        """To one second after the begin of a minute: real seconds that pass meanwhile do not matter."""
        now = self.now()
        self.server.admin("POST", "clock", {"advance": (now // 60 + minutes) * 60 + 1 - now})

    def put(self, space: str, value: float, name: str = "m", **more: Any) -> None:
        self.cloudwatch.put_metric_data(Namespace=space, MetricData=[{"MetricName": name, "Value": value, **more}])

    def alarm(self, space: str, **more: Any) -> str:
        given: dict[str, Any] = {
            "AlarmName": space, "Namespace": space, "MetricName": "m", "Statistic": "Sum", "Period": 60,
            "EvaluationPeriods": 1, "Threshold": 10.0, "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        }  # fmt: skip
        if "Metrics" in more:
            given = {key: given[key] for key in given if key not in ("Namespace", "MetricName", "Statistic", "Period")}
        if "ExtendedStatistic" in more:
            given.pop("Statistic")
        self.cloudwatch.put_metric_alarm(**given | more)
        return str((given | more)["AlarmName"])

    def find(self, name: str) -> dict[str, Any]:
        found = self.cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        (alarm,) = [*found["MetricAlarms"], *found["CompositeAlarms"]]
        return dict(alarm)

    def becomes(self, name: str, state: str) -> dict[str, Any]:
        """The alarm, once it is in that state: the evaluation of a new minute runs beside the requests."""
        eventually(lambda: self.find(name)["StateValue"] == state)
        return self.find(name)

    def changes(self, name: str) -> list[str]:
        items = self.cloudwatch.describe_alarm_history(AlarmName=name, ScanBy="TimestampAscending")["AlarmHistoryItems"]
        return [item["HistorySummary"].removeprefix("Alarm updated from ") for item in items]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "state")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    server = Server(tmp_path_factory.mktemp("state"))
    yield Watch(server)
    server.stop()


def test_a_breach_rings_when_its_minute_is_over_and_ends_when_data_are_fine(watch: Watch) -> None:
    space = watch.begin()
    name = watch.alarm(space)
    assert watch.find(name)["StateValue"] == "OK"  # nothing is there, which does not breach
    watch.put(space, 6)
    watch.put(space, 6)
    assert watch.find(name)["StateValue"] == "OK"
    watch.next_minute()
    found = watch.becomes(name, "ALARM")
    assert "1 out of the last 1 datapoints [12.0 (" in found["StateReason"]
    assert "was greater than the threshold (10.0) (minimum 1 datapoint for OK -> ALARM" in found["StateReason"]
    assert json.loads(found["StateReasonData"])["recentDatapoints"] == [12.0]
    watch.put(space, 3)
    watch.next_minute()
    watch.becomes(name, "OK")
    assert watch.changes(name) == ["INSUFFICIENT_DATA to OK", "OK to ALARM", "ALARM to OK"]


def test_datapoints_to_alarm(watch: Watch) -> None:
    space = watch.begin()
    name = watch.alarm(space, EvaluationPeriods=3, DatapointsToAlarm=2)
    for value, state in ((20, "OK"), (1, "OK"), (20, "ALARM"), (1, "OK")):
        watch.put(space, value)
        watch.next_minute()
        watch.becomes(name, state)


def test_missing_data_is_treated_as_the_alarm_says(watch: Watch) -> None:
    space = watch.begin()
    for treatment, state in (("missing", "INSUFFICIENT_DATA"), ("breaching", "ALARM"), ("notBreaching", "OK")):
        name = watch.alarm(space, AlarmName=f"{space}-{treatment}", TreatMissingData=treatment)
        assert watch.find(name)["StateValue"] == state
    ignoring = watch.alarm(space, AlarmName=f"{space}-ignore", TreatMissingData="ignore")
    watch.put(space, 99)
    watch.next_minute()
    watch.becomes(ignoring, "ALARM")
    watch.next_minute(10)
    watch.becomes(f"{space}-missing", "INSUFFICIENT_DATA")
    assert watch.find(ignoring)["StateValue"] == "ALARM"


def test_percentiles(watch: Watch) -> None:
    space = watch.begin()
    for percent in ("p90", "p99"):
        watch.alarm(space, AlarmName=f"{space}-{percent}", ExtendedStatistic=percent, Threshold=100)
    few = f"{space}-few"
    watch.alarm(
        space, AlarmName=few, ExtendedStatistic="p99", Threshold=100, EvaluateLowSampleCountPercentile="ignore"
    )  # fmt: skip
    watch.cloudwatch.put_metric_data(
        Namespace=space, MetricData=[{"MetricName": "m", "Values": [10, 500], "Counts": [95, 5]}]
    )
    watch.next_minute()
    watch.becomes(f"{space}-p99", "ALARM")
    assert watch.find(f"{space}-p90")["StateValue"] == "OK"
    assert watch.find(few)["StateValue"] == "OK"  # a 99th percentile of 100 values means little


def error_rate(space: str, expression: str) -> list[dict[str, Any]]:
    def metric(identity: str) -> dict[str, Any]:
        stat = {"Metric": {"Namespace": space, "MetricName": identity}, "Period": 60, "Stat": "Sum"}
        return {"Id": identity, "MetricStat": stat, "ReturnData": False}

    return [{"Id": "rate", "Expression": expression, "ReturnData": True}, metric("m0"), metric("m4")]


def test_metric_math(watch: Watch) -> None:
    space = watch.begin()
    name = watch.alarm(space, Metrics=error_rate(space, "100 * m4 / m0"), Threshold=5)
    guarded = watch.alarm(
        space, AlarmName=f"{space}-guarded", Metrics=error_rate(space, "IF(m0 >= 50, 100 * FILL(m4, 0) / m0, 0)"),
        Threshold=5,
    )  # fmt: skip
    watch.put(space, 40, "m0")
    watch.put(space, 4, "m4")
    watch.next_minute()
    watch.becomes(name, "ALARM")
    assert watch.find(guarded)["StateValue"] == "OK"  # too few requests to say
    watch.put(space, 100, "m0")
    watch.put(space, 6, "m4")
    watch.next_minute()
    watch.becomes(guarded, "ALARM")
    watch.put(space, 100, "m0")
    watch.next_minute()
    watch.becomes(guarded, "OK")


def test_a_long_period_slides_minute_by_minute(watch: Watch) -> None:
    space = watch.begin()
    name = watch.alarm(space, Period=300)
    for _ in range(2):
        watch.put(space, 6)
        watch.next_minute()
    watch.becomes(name, "ALARM")  # 12 in the five minutes that end now
    assert watch.changes(name)[-1] == "OK to ALARM"


def test_a_clock_that_jumps_skips_no_breach(watch: Watch) -> None:
    space = watch.begin()
    name = watch.alarm(space)
    watch.put(space, 99)
    watch.next_minute(60)
    eventually(lambda: watch.changes(name)[-1] == "ALARM to OK")  # it was OK before the jump too
    assert watch.changes(name) == ["INSUFFICIENT_DATA to OK", "OK to ALARM", "ALARM to OK"]


def test_metrics_that_a_log_filter_makes_ring_too(watch: Watch) -> None:
    space = watch.begin()
    logs = watch.server.client("logs")
    logs.create_log_group(logGroupName=space)
    logs.create_log_stream(logGroupName=space, logStreamName="s")
    logs.put_metric_filter(
        logGroupName=space, filterName="f", filterPattern="{ $.status >= 500 }",
        metricTransformations=[{"metricName": "m", "metricNamespace": space, "metricValue": "11"}],
    )  # fmt: skip
    name = watch.alarm(space)
    event = {"timestamp": int(watch.now() * 1000), "message": '{"status": 503}'}
    logs.put_log_events(logGroupName=space, logStreamName="s", logEvents=[event])
    watch.next_minute()
    watch.becomes(name, "ALARM")


def test_a_state_that_was_set_stays_until_the_next_evaluation(watch: Watch) -> None:
    space = watch.begin()
    name = watch.alarm(space)
    watch.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    assert watch.find(name)["StateReason"] == "a drill"
    watch.next_minute()
    watch.becomes(name, "OK")
    assert watch.changes(name)[-2:] == ["OK to ALARM", "ALARM to OK"]


def test_a_changed_alarm_keeps_its_state_until_it_is_evaluated(watch: Watch) -> None:
    space = watch.begin()
    name = watch.alarm(space)
    watch.put(space, 99)
    watch.next_minute()
    watch.becomes(name, "ALARM")
    watch.alarm(space, Threshold=50.0)
    assert watch.find(name)["StateValue"] == "ALARM"
    watch.alarm(space, Threshold=100.0)
    assert watch.find(name)["StateValue"] == "OK"
    assert len(watch.changes(name)) == 3


def test_changes_are_told_to_rules_topics_and_functions(watch: Watch) -> None:
    space, server = watch.begin(), watch.server
    url, queue = server.queue(space)
    events, sns = server.client("events"), server.client("sns")
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": [space], "state": {"value": ["ALARM"]}}}
    events.put_rule(Name=space, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=space, Targets=[{"Id": "q", "Arn": queue}])
    topic = sns.create_topic(Name=space)["TopicArn"]
    mailbox, address = server.queue(f"{space}-mail")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=address)
    name = watch.alarm(
        space, AlarmDescription="too many", AlarmActions=[topic], Dimensions=[{"Name": "A", "Value": "1"}]
    )
    watch.put(space, 99, Dimensions=[{"Name": "A", "Value": "1"}])
    watch.next_minute()
    (message,) = server.messages(url)
    event = message["document"]
    arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
    assert (event["detail-type"], event["resources"]) == ("CloudWatch Alarm State Change", [arn])
    detail = event["detail"]
    assert (detail["previousState"]["value"], detail["state"]["value"]) == ("OK", "ALARM")
    metric = {"namespace": space, "name": "m", "dimensions": {"A": "1"}}
    assert detail["configuration"] == {
        "description": "too many",
        "metrics": [
            {"id": "m1", "metricStat": {"metric": metric, "period": 60, "stat": "Sum"}, "returnData": True}
        ],
    }  # fmt: skip
    datetime.datetime.strptime(detail["state"]["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
    (mail,) = server.messages(mailbox)
    assert mail["document"]["Subject"] == f'ALARM: "{name}" in {REGION}'
    told = json.loads(mail["document"]["Message"])
    assert (told["NewStateValue"], told["OldStateValue"], told["AlarmArn"]) == ("ALARM", "OK", arn)
    assert told["Trigger"]["Dimensions"] == [{"value": "1", "name": "A"}]


def test_a_function_is_an_action_too(watch: Watch) -> None:
    space, server = watch.begin(), watch.server
    url, _ = server.queue(f"{space}-called")
    source = f"""
import boto3, json
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl={url!r}, MessageBody=json.dumps(event))
"""
    function = server.function(space, source)
    watch.alarm(space, AlarmActions=[function])
    watch.put(space, 99)
    watch.next_minute()
    (call,) = server.messages(url)
    assert call["document"]["alarmData"]["alarmName"] == space
    assert call["document"]["alarmData"]["state"]["value"] == "ALARM"


def test_actions_can_be_switched_off(watch: Watch) -> None:
    space, server = watch.begin(), watch.server
    topic = server.client("sns").create_topic(Name=space)["TopicArn"]
    watch.alarm(space, AlarmActions=[topic], ActionsEnabled=False)
    watch.put(space, 99)
    watch.next_minute()
    watch.becomes(space, "ALARM")
    assert topic not in json.dumps(server.admin("GET", "events")["events"])


def test_composite_alarms_follow_their_children(watch: Watch) -> None:
    space = watch.begin()
    errors = watch.alarm(space)
    latency = watch.alarm(space, AlarmName=f"{space}-latency", MetricName="latency")
    rule = f'ALARM("{errors}") AND NOT ALARM({latency})'
    watch.cloudwatch.put_composite_alarm(AlarmName=f"{space}-outer", AlarmRule=rule)
    watch.cloudwatch.put_composite_alarm(AlarmName=f"{space}-outermost", AlarmRule=f"ALARM({space}-outer)")
    assert watch.find(f"{space}-outermost")["StateValue"] == "OK"
    watch.put(space, 99)
    watch.next_minute()
    watch.becomes(f"{space}-outermost", "ALARM")
    watch.cloudwatch.set_alarm_state(AlarmName=latency, StateValue="ALARM", StateReason="a drill")
    assert watch.find(f"{space}-outermost")["StateValue"] == "OK"


def test_state_history_and_data_outlive_the_server(own_server: Server) -> None:
    watch = Watch(own_server)
    space = watch.begin()
    name = watch.alarm(space, EvaluationPeriods=2, DatapointsToAlarm=2)
    watch.put(space, 99)
    watch.next_minute()
    own_server.restart()
    watch = Watch(own_server)
    assert watch.find(name)["StateValue"] == "OK"
    watch.put(space, 99)
    watch.next_minute()
    watch.becomes(name, "ALARM")  # one of the two was put before
    own_server.restart()
    watch = Watch(own_server)
    assert watch.find(name)["StateValue"] == "ALARM"
    assert watch.changes(name) == ["INSUFFICIENT_DATA to OK", "OK to ALARM"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "GreaterThanUpperThreshold is not supported"),
        ({"DatapointsToAlarm": 2}, r"DatapointsToAlarm \(2\) must be from 1 to EvaluationPeriods \(1\)"),
        ({"TreatMissingData": "maybe"}, "TreatMissingData must be one of missing, ignore"),
        ({"Metrics": error_rate("s", "m4 / m9")}, "no query has the id m9"),
        ({"Metrics": error_rate("s", "SEARCH('x', 'Sum')")}, "SEARCH is not supported"),
    ],
)
def test_alarms_that_are_refused(watch: Watch, change: dict[str, Any], words: str) -> None:
    with pytest.raises(watch.cloudwatch.exceptions.ClientError, match=words):
        watch.alarm("refused", **change)
    assert watch.cloudwatch.describe_alarms(AlarmNames=["refused"])["MetricAlarms"] == []


def test_a_composite_alarm_needs_its_children_and_a_rule(watch: Watch) -> None:
    error = refused(watch.cloudwatch.put_composite_alarm, AlarmName="c", AlarmRule="ALARM(nobody)")
    assert error["Code"] == "ValidationError" and "[nobody] in the alarm rule do not exist" in error["Message"]
    error = refused(watch.cloudwatch.put_composite_alarm, AlarmName="c", AlarmRule="ALARM(")
    assert "ends too early" in error["Message"]
