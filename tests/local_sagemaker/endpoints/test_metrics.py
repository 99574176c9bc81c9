"""What an endpoint reports to CloudWatch, as a client reads it."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_sagemaker.endpoints.harness import Local
from tests.waiting import eventually


def now(local: Local) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(local.admin("GET", "clock")["time"], datetime.UTC)


def read(local: Local, name: str, metric: str, *stats: str, namespace: str = "AWS/SageMaker") -> dict[str, float]:
    """Statistics of a metric of the last hour of the clock, as one period."""
    end = now(local) + datetime.timedelta(minutes=1)
    simple = [stat for stat in stats if not stat.startswith("p")]
    percentiles = [stat for stat in stats if stat.startswith("p")]
    points = local.cloudwatch.get_metric_statistics(
        Namespace=namespace, MetricName=metric, StartTime=end - datetime.timedelta(hours=1), EndTime=end, Period=7200,
        **({"Statistics": simple} if simple else {}), **({"ExtendedStatistics": percentiles} if percentiles else {}),
        Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "main"}],
    )["Datapoints"]  # fmt: skip
    if not points:
        return {}
    (point,) = points
    return {name: point[name] for name in simple} | point.get("ExtendedStatistics", {}) | {"Unit": point["Unit"]}


def ask_badly(local: Local, name: str, order: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="ModelError"):
        local.ask(name, order)


def test_every_request_is_counted_by_how_it_ended(local: Local) -> None:
    name = local.endpoint(local.config({"model": local.model(), "InitialInstanceCount": 2}))
    for _ in range(6):
        local.ask(name)
    ask_badly(local, name, {"status": 400})
    ask_badly(local, name, {"status": 503})
    ask_badly(local, name, {"die": True})  # no answer at all: an error of neither class
    assert read(local, name, "Invocations", "Sum") == {"Sum": 9, "Unit": "None"}
    assert read(local, name, "InvocationsPerInstance", "Sum")["Sum"] == 4.5
    assert read(local, name, "Invocation4XXErrors", "Sum", "SampleCount", "Average") == {
        "Sum": 1, "SampleCount": 9, "Average": pytest.approx(1 / 9), "Unit": "None",
    }  # fmt: skip
    assert read(local, name, "Invocation5XXErrors", "Sum")["Sum"] == 1
    assert read(local, name, "InvocationModelErrors", "Sum")["Sum"] == 3
    local.delete(name)


def test_latency_is_in_microseconds_and_has_percentiles(local: Local) -> None:
    name = local.serving()
    for _ in range(9):
        local.ask(name)
    local.ask(name, {"sleep": 0.5})
    found = read(local, name, "ModelLatency", "Minimum", "Maximum", "p50", "p99")
    assert found["Unit"] == "Microseconds"
    assert found["Maximum"] >= 500_000 > found["p50"] >= found["Minimum"] > 0
    assert found["p99"] == pytest.approx(found["Maximum"], rel=0.02)
    overhead = read(local, name, "OverheadLatency", "Sum", "SampleCount")
    assert overhead["SampleCount"] == 10 and overhead["Sum"] < found["Maximum"]
    end = now(local) + datetime.timedelta(minutes=1)
    metric = {
        "Namespace": "AWS/SageMaker", "MetricName": "Invocations",
        "Dimensions": [{"Name": "VariantName", "Value": "main"}, {"Name": "EndpointName", "Value": name}],
    }  # fmt: skip
    data = local.cloudwatch.get_metric_data(
        StartTime=end - datetime.timedelta(hours=1), EndTime=end,
        MetricDataQueries=[
            {"Id": "m0", "MetricStat": {"Metric": metric, "Period": 7200, "Stat": "Sum"}, "ReturnData": False},
            {"Id": "e", "Expression": "100 * m0 / 4", "Label": "scaled"},
        ],
    )["MetricDataResults"]  # fmt: skip
    assert [(one["Id"], one["Label"], one["Values"]) for one in data] == [("e", "scaled", [250.0])]
    local.delete(name)


def test_a_refused_request_reaches_no_variant(local: Local) -> None:
    name = local.serving()
    with pytest.raises(ClientError, match="Variant other of endpoint"):
        local.ask(name, TargetVariant="other")
    assert read(local, name, "Invocations", "Sum") == {}
    local.delete(name)


def test_the_load_of_instances_is_measured_each_minute_of_the_clock(local: Local) -> None:
    name = local.serving()
    local.admin("POST", "clock", {"advance": 180})

    def measured() -> dict[str, float]:
        return read(local, name, "MemoryUtilization", "SampleCount", "Average", namespace="/aws/sagemaker/Endpoints")

    memory = eventually(measured)
    assert memory["SampleCount"] >= 3
    assert 0 < memory["Average"] < 5  # a small process on a machine of 16 GiB
    for metric in ("CPUUtilization", "DiskUtilization"):
        found = read(local, name, metric, "Average", namespace="/aws/sagemaker/Endpoints")
        assert found["Unit"] == "Percent" and found["Average"] >= 0
    local.delete(name)
