"""Metric filters: what arrives in a log group becomes metrics, as a client reads them."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from tests.local_sagemaker.platform.conftest import Server
from tests.local_sagemaker.platform.test_moto_gaps import refused
from tests.waiting import eventually

#: Events lie at fixed seconds of this minute and the next, whatever time it is.
START = datetime.datetime.now(datetime.UTC).replace(second=0, microsecond=0) - datetime.timedelta(minutes=10)
STATISTICS = ["Sum", "Minimum", "Maximum", "SampleCount"]


class Group:
    """A log group of its own, with one stream and a namespace for its metrics."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.logs = server.client("logs")
        self.logs.create_log_group(logGroupName=name)
        self.logs.create_log_stream(logGroupName=name, logStreamName="stream")

    def filter(self, pattern: str, value: str = "1", **more: Any) -> None:
        transformation = {"metricName": "metric", "metricNamespace": self.name, "metricValue": value, **more}
        self.logs.put_metric_filter(
            logGroupName=self.name, filterName="filter", filterPattern=pattern, metricTransformations=[transformation]
        )

    def put(self, *messages: Any, second: int = 1) -> None:
        """Events ``second`` seconds after START."""
        instant = int((START + datetime.timedelta(seconds=second)).timestamp() * 1000)
        texts = [message if isinstance(message, str) else json.dumps(message) for message in messages]
        self.logs.put_log_events(
            logGroupName=self.name,
            logStreamName="stream",
            logEvents=[{"timestamp": instant, "message": text} for text in texts],
        )

    def minutes(self, **dimensions: str) -> list[tuple[int, float, float, float, float]]:
        """(minute after START, sum, minimum, maximum, count) of each minute that has data."""
        points = self.server.client("cloudwatch").get_metric_statistics(
            Namespace=self.name,
            MetricName="metric",
            StartTime=START,
            EndTime=START + datetime.timedelta(minutes=10),
            Period=60,
            Statistics=STATISTICS,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        )["Datapoints"]
        points.sort(key=lambda point: point["Timestamp"])
        return [
            (int((point["Timestamp"] - START).total_seconds() // 60), *(point[name] for name in STATISTICS))
            for point in points
        ]


@pytest.fixture
def group(server: Server, request: pytest.FixtureRequest) -> Group:
    return Group(server, re.sub(r"\W", "-", request.node.name))


def test_matches_are_counted_minute_by_minute(group: Group) -> None:
    group.filter('{ $.status = 500 && $.label = "x" }', unit="Count")
    group.put({"status": 500, "label": "x"}, {"status": 500, "label": "y"}, {"status": 500, "label": "x"}, "no json")
    group.put({"status": 500, "label": "x"}, second=61)
    group.put({"status": 200, "label": "x"}, second=121)
    assert group.minutes() == [(0, 2, 1, 1, 2), (1, 1, 1, 1, 1)]
    data = group.server.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": "m",
                "MetricStat": {
                    "Metric": {"Namespace": group.name, "MetricName": "metric"},
                    "Period": 300, "Stat": "Sum", "Unit": "Count",
                },
            }
        ],
        StartTime=START,
        EndTime=START + datetime.timedelta(minutes=5),
    )["MetricDataResults"][0]  # fmt: skip
    assert data["Values"] == [3]


def test_a_value_is_read_from_the_event(group: Group) -> None:
    group.filter("{ $.timing.model = * }", "$.timing.model", unit="Milliseconds")
    for value in (2.5, 7.5, "5", None, "slow", [1], 10**400):
        group.put({"timing": {"model": value}})
    assert group.minutes() == [(0, 15, 2.5, 7.5, 3)]


def test_a_value_is_read_from_a_field(group: Group) -> None:
    group.filter("[ip, ..., status = 5*, bytes]", "$bytes")
    group.put('1.2.3.4 - [10/Oct] "GET /" 500 1534', '1.2.3.4 - [10/Oct] "GET /" 200 99', "a b 503 -")
    assert group.minutes() == [(0, 1534, 1534, 1534, 1)]


def test_dimensions_are_those_found_in_the_event(group: Group) -> None:
    group.filter('{ $.path = "/invocations" }', dimensions={"Label": "$.label", "Status": "$.status"})
    group.put({"path": "/invocations", "label": "broken", "status": 200})
    group.put({"path": "/invocations", "label": "broken", "status": 200}, {"path": "/invocations", "status": 400})
    assert group.minutes(Label="broken", Status="200") == [(0, 2, 1, 1, 2)]
    metrics = group.server.client("cloudwatch").list_metrics(Namespace=group.name)["Metrics"]
    names = [{one["Name"]: one["Value"] for one in metric["Dimensions"]} for metric in metrics]
    assert sorted(names, key=len) == [{"Status": "400"}, {"Label": "broken", "Status": "200"}]


def test_the_default_is_for_minutes_without_a_match(group: Group) -> None:
    group.filter("ERROR", "3", defaultValue=0.5)
    group.put("fine", "fine")
    group.put("fine", "ERROR", "fine", "ERROR", second=61)
    assert group.minutes() == [(0, 0.5, 0.5, 0.5, 1), (1, 6, 3, 3, 2)]


def test_a_filter_put_again_replaces_the_first(group: Group) -> None:
    group.filter("ERROR")
    group.filter("WARN", "10")
    group.put("ERROR", "WARN")
    assert group.minutes() == [(0, 10, 10, 10, 1)]
    described = group.logs.describe_metric_filters(logGroupName=group.name)["metricFilters"]
    assert [one["filterPattern"] for one in described] == ["WARN"]
    group.logs.delete_metric_filter(logGroupName=group.name, filterName="filter")
    group.put("WARN", second=61)
    assert len(group.minutes()) == 1


def test_the_filters_of_a_log_group_end_with_it(group: Group) -> None:
    group.filter("ERROR")
    group.logs.delete_log_group(logGroupName=group.name)
    assert group.logs.describe_metric_filters(logGroupName=group.name)["metricFilters"] == []


@pytest.mark.parametrize(
    ("pattern", "change", "words"),
    [
        ("{ $.status = }", {}, "Invalid filter pattern: a value is expected"),
        ("ERROR", {"metricValue": "$.bytes"}, "terms have no fields"),
        ("[ip, bytes]", {"metricValue": "$size"}, "none of the pattern's fields: $ip, $bytes"),
        ("ERROR", {"metricValue": "many"}, "'many' is no number and no $ field"),
        ("{ $.a = 1 }", {"dimensions": {"A": "$.a"}, "defaultValue": 0}, "cannot both be given"),
        ("{ $.a = 1 }", {"dimensions": dict.fromkeys("ABCD", "$.a")}, "at most 3 dimensions"),
    ],
)
def test_filters_that_are_refused(group: Group, pattern: str, change: dict[str, Any], words: str) -> None:
    transformation = {"metricName": "m", "metricNamespace": "n", "metricValue": "1", **change}
    error = refused(
        group.logs.put_metric_filter, logGroupName=group.name, filterName="f", filterPattern=pattern,
        metricTransformations=[transformation],
    )  # fmt: skip
    assert error["Code"] == "InvalidParameterException" and words in error["Message"]


def test_a_filter_needs_its_log_group(server: Server) -> None:
    error = refused(
        server.client("logs").put_metric_filter, logGroupName="nowhere", filterName="f", filterPattern="x",
        metricTransformations=[{"metricName": "m", "metricNamespace": "n", "metricValue": "1"}],
    )  # fmt: skip
    assert error["Code"] == "ResourceNotFoundException"


def test_a_filter_can_be_tried(server: Server) -> None:
    logs = server.client("logs")
    messages = ["ERROR 12", "fine 1", "ERROR 40"]
    matches = logs.test_metric_filter(filterPattern="[level = ERROR, n > 20]", logEventMessages=messages)["matches"]
    assert matches == [
        {"eventNumber": 2, "eventMessage": "ERROR 40", "extractedValues": {"$level": "ERROR", "$n": "40"}}
    ]
    matches = logs.test_metric_filter(filterPattern="{ $.a > 1 }", logEventMessages=['{"a": 2}'])["matches"]
    assert matches == [{"eventNumber": 0, "eventMessage": '{"a": 2}', "extractedValues": {}}]
    error = refused(logs.test_metric_filter, filterPattern="{", logEventMessages=["x"])
    assert error["Code"] == "InvalidParameterException"


def test_filter_log_events_knows_the_same_patterns(group: Group) -> None:
    group.put({"status": 500}, {"status": 200}, "a 500")

    def found(pattern: str) -> Sequence[str]:
        events = group.logs.filter_log_events(logGroupName=group.name, filterPattern=pattern)["events"]
        return [event["message"] for event in events]

    assert found("{ $.status >= 500 }") == ['{"status": 500}']
    assert found("[word, code]") == ['{"status": 500}', '{"status": 200}', "a 500"]
    assert found("-status") == ["a 500"]


def test_what_a_function_prints_is_filtered_too(server: Server) -> None:
    server.function("talker", "def handler(event, context):\n    print('{\"cost\": 7}')\n")
    server.client("logs").create_log_group(logGroupName="/aws/lambda/talker")
    server.client("logs").put_metric_filter(
        logGroupName="/aws/lambda/talker", filterName="cost", filterPattern="{ $.cost > 1 }",
        metricTransformations=[{"metricName": "cost", "metricNamespace": "talker", "metricValue": "$.cost"}],
    )  # fmt: skip
    server.invoke("talker")
    now = datetime.datetime.now(datetime.UTC)

    def points() -> Any:
        return server.client("cloudwatch").get_metric_statistics(
            Namespace="talker", MetricName="cost", Period=60, Statistics=["Sum"],
            StartTime=now - datetime.timedelta(minutes=5), EndTime=now + datetime.timedelta(minutes=5),
        )["Datapoints"]  # fmt: skip

    assert [point["Sum"] for point in eventually(points)] == [7]


def test_filters_and_metrics_outlive_the_server(own_server: Server) -> None:
    group = Group(own_server, "kept")
    group.filter("ERROR")
    group.put("ERROR")
    own_server.restart()
    group.server, group.logs = own_server, own_server.client("logs")
    group.put("ERROR", second=62)
    assert group.minutes() == [(0, 1, 1, 1, 1), (1, 1, 1, 1, 1)]
