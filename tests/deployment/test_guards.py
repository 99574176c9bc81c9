"""What rolls an update back: the alarms are there before the update, named in it, kept as the settings say."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from contracts import release
from contracts.release import ReleaseSettings
from deployment import guards, ledger, monitor, outcome, reject, rollback
from deployment.reconcile import reconcile
from local_sagemaker import filter_patterns
from local_sagemaker.metrics.expressions import Series, parse
from tests.deployment.plane import count_predictions

ALL = {"errors_5xx": 5, "share_4xx": 0.5, "latency_p99_ms": 2000, "memory_percent": 90, "label_shift": 0.3}


@pytest.fixture
def guarded(settings: ReleaseSettings) -> ReleaseSettings:
    return dataclasses.replace(settings, guards=ALL)


def serve(session: Any, settings: Any, plane: Any, bundle: str = "a") -> str:
    arn: str = plane.register(bundle * 64, "Approved")
    for _ in range(3):
        reconcile(session, settings)
        plane.settle()
    assert reconcile(session, settings).action == outcome.SERVING
    return arn


def names(session: Any) -> set[str]:
    return {alarm["AlarmName"] for alarm in session.client("cloudwatch").describe_alarms()["MetricAlarms"]}


# --- requests ---------------------------------------------------------------------------------------------------------


def test_every_request_is_valid(guarded: Any) -> None:
    usual = {"it's whole": 0.75, 'bro"ken': 0.25}
    label = guards.label_alarm(guarded, usual)
    assert label is not None
    alarms = [*guards.alarms(guarded), label]
    assert {alarm.guard for alarm in alarms} == set(release.GUARDS)
    requests = [("cloudwatch", "PutMetricAlarm", guards.request(alarm, guarded)) for alarm in alarms]
    requests += [("logs", "PutMetricFilter", each.request(guarded)) for each in guards.filters(guarded)]
    found = botocore.session.get_session()
    for service, operation, request in requests:
        shape = found.get_service_model(service).operation_model(operation).input_shape
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()
    for alarm in alarms:
        assert alarm.name.startswith("widgets-dev-guard-") and alarm.name in guards.alarm_names(guarded).values()
        returned = [metric for metric in alarm.request.get("Metrics", ()) if metric["ReturnData"]]
        assert len(returned) == (1 if "Metrics" in alarm.request else 0)
        assert alarm.request["TreatMissingData"] == "notBreaching", "an endpoint that nobody asks is no broken one"


def test_thresholds_are_in_the_units_of_cloudwatch(guarded: Any) -> None:
    found = {alarm.guard: alarm for alarm in guards.alarms(guarded)}
    assert found["latency_p99_ms"].threshold == 2_000_000  # microseconds
    assert found["latency_p99_ms"].request["ExtendedStatistic"] == "p99"
    assert found["errors_5xx"].threshold == 5
    assert found["memory_percent"].request["Namespace"] == "/aws/sagemaker/Endpoints"
    assert found["share_4xx"].request["Metrics"][0]["Expression"] == "IF(all >= 20, bad / all, 0)"


@pytest.mark.parametrize(
    ("answered", "failed", "bad", "errors"),
    [
        ({0: 0.0}, {0: 0.0}, {0: 0.0}, 0.0),
        ({0: 4.0}, {0: 4.0}, {0: 0.0}, 4.0),
        ({0: 0.0}, {0: 7.0}, {0: 7.0}, 0.0),  # what the clients did wrong
        ({0: 0.0}, {0: 9.0}, {0: 2.0}, 7.0),  # containers that ended without an answer
        ({0: 3.0}, {}, {0: 1.0}, 3.0),
    ],
)
def test_requests_without_an_answer_are_errors(
    guarded: Any, answered: Series, failed: Series, bad: Series, errors: float
) -> None:
    """Invocation5XXErrors has only what a container answered; one that ends on a request answers nothing."""
    request = next(each for each in guards.alarms(guarded) if each.guard == "errors_5xx").request
    expression, *metrics = request["Metrics"]
    assert [each["MetricStat"]["Metric"]["MetricName"] for each in metrics] == [
        "Invocation5XXErrors", "InvocationModelErrors", "Invocation4XXErrors",
    ]  # fmt: skip
    given = dict(zip((each["Id"] for each in metrics), (answered, failed, bad), strict=True))
    assert parse(expression["Expression"]).compute(given, (0,), 60) == {0: errors}


def test_many_labels_fit_into_one_alarm(guarded: Any) -> None:
    """CloudWatch takes 10 metrics: those labels are watched that are usual most often."""
    alarm = guards.label_alarm(guarded, {f"label-{number:02}": number / 210 for number in range(1, 21)})
    assert alarm is not None
    metrics = [metric for metric in alarm.request["Metrics"] if "MetricStat" in metric]
    watched = [metric["MetricStat"]["Metric"]["Dimensions"] for metric in metrics[1:]]
    assert len(metrics) == 10 and [each[0]["Value"] for each in watched][:2] == ["label-20", "label-19"]
    assert alarm.request["Metrics"][0]["Expression"].startswith(
        "IF(total >= 20, MAX([ABS(FILL(label0, 0) / total - 0.095238), "
    )


def test_the_filters_count_the_lines_that_the_server_writes(guarded: Any) -> None:
    line = {"event": "request", "id": "5d2f", "status": 200, "bytes": 48211, "ms": 7.9, "label": "whole"}
    lines = {
        json.dumps(line): True,
        json.dumps({**line, "label": "zwei Wörter"}): True,
        json.dumps({key: value for key, value in line.items() if key != "label"} | {"images": 3}): False,
        json.dumps({**line, "event": "started"}): False,
        "not JSON": False,
    }
    for each in guards.filters(guarded):
        pattern = filter_patterns.parse(each.pattern)
        assert {text: pattern.match(text) is not None for text in lines} == lines


# --- an update --------------------------------------------------------------------------------------------------------


def test_an_update_names_alarms_that_are_there_before_it(session: Any, guarded: Any, plane: Any, calls: Any) -> None:
    serve(session, guarded, plane)
    count_predictions(session, guarded, {"whole": 90, "broken": 30})
    session.client("cloudwatch").delete_alarms(AlarmNames=sorted(names(session)))
    plane.register("b" * 64, "Approved")
    calls.made.clear()
    reconcile(session, guarded)
    (update,) = calls.of("UpdateEndpoint")
    named = [alarm["AlarmName"] for alarm in update["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]]
    assert set(named) == names(session) == set(guards.alarm_names(guarded).values())
    made = [name for name in calls.names if name in ("PutMetricAlarm", "UpdateEndpoint")]
    assert made == ["PutMetricAlarm"] * 5 + ["UpdateEndpoint"]
    (told, *_) = ledger.releases(session.client("s3"), guarded)
    started = session.client("s3").get_object(
        Bucket=guarded.names.artifact_bucket, Key=f"release/ledger/{told.id}/1-started.json"
    )
    record = json.loads(started["Body"].read())
    assert record["armed"] == named and record["usual_labels"] == {"whole": 0.75, "broken": 0.25}


def test_without_predictions_nobody_knows_what_is_usual(session: Any, guarded: Any, plane: Any, calls: Any) -> None:
    serve(session, guarded, plane)
    count_predictions(session, guarded, {"whole": 60, "broken": 30})
    serve(session, guarded, plane, "b")
    alarms = calls.of("UpdateEndpoint")[-1]["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    assert len(alarms) == 4 and not [each for each in alarms if "label" in each["AlarmName"]]


def test_without_guards_an_update_has_no_alarms(session: Any, settings: Any, plane: Any, calls: Any) -> None:
    serve(session, settings, plane)
    serve(session, settings, plane, "b")
    assert "AutoRollbackConfiguration" not in calls.of("UpdateEndpoint")[-1]["DeploymentConfig"]
    assert not calls.of("PutMetricAlarm")


def test_a_rollback_now_leaves_the_guards_out_and_where_they_are(
    session: Any, guarded: Any, plane: Any, calls: Any
) -> None:
    serve(session, guarded, plane)
    serve(session, guarded, plane, "b")
    there = names(session)
    rollback(session, guarded, why="x", now=True)
    assert "AutoRollbackConfiguration" not in calls.of("UpdateEndpoint")[-1]["DeploymentConfig"]
    plane.settle()
    reconcile(session, guarded)
    assert names(session) == there


def test_what_went_off_is_in_the_ledger(session: Any, guarded: Any, plane: Any) -> None:
    serve(session, guarded, plane)
    plane.register("b" * 64, "Approved")
    reconcile(session, guarded)
    alarm = guards.alarm_name(guarded, "errors_5xx")
    session.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="9 errors")
    plane.settle(ok=False)
    plane.endpoint["FailureReason"] = f"The deployment was rolled back because of its alarms: {alarm}."
    result = reconcile(session, guarded)
    assert result.action == outcome.FAILED and alarm in result.message
    (told, *_) = ledger.releases(session.client("s3"), guarded)
    states = {each["name"]: (each["state"], each["reason"]) for each in told.alarms}
    assert states[alarm] == ("ALARM", "9 errors") and len(states) == 4
    assert told.state == "failed" and alarm in told.reason


# --- kept as the settings say -----------------------------------------------------------------------------------------


def test_an_endpoint_that_serves_is_watched_and_then_left_alone(
    session: Any, guarded: Any, plane: Any, calls: Any
) -> None:
    serve(session, guarded, plane)
    assert names(session) == {guards.alarm_name(guarded, guard) for guard in set(ALL) - {"label_shift"}}
    logs = session.client("logs")
    (group,) = logs.describe_log_groups()["logGroups"]
    assert (group["logGroupName"], group["retentionInDays"]) == ("/aws/sagemaker/Endpoints/widgets-dev", 30)
    assert len(logs.describe_metric_filters(logGroupName=group["logGroupName"])["metricFilters"]) == 2
    tags = session.client("cloudwatch").list_tags_for_resource(
        ResourceARN=session.client("cloudwatch").describe_alarms()["MetricAlarms"][0]["AlarmArn"]
    )["Tags"]
    assert tags == [{"Key": "Environment", "Value": "dev"}, {"Key": "Project", "Value": "widgets"}]
    calls.made.clear()
    reconcile(session, guarded)
    assert not [name for name in calls.names if not name.startswith(("Describe", "List", "Get"))]


def test_what_was_changed_by_hand_is_put_back(session: Any, guarded: Any, plane: Any, calls: Any) -> None:
    serve(session, guarded, plane)
    cloudwatch, logs = session.client("cloudwatch"), session.client("logs")
    alarm = next(each for each in guards.alarms(guarded) if each.guard == "errors_5xx")
    cloudwatch.put_metric_alarm(**{**alarm.request, "Threshold": 5000})
    cloudwatch.delete_alarms(AlarmNames=[guards.alarm_name(guarded, "memory_percent")])
    group = guards.log_group(guarded)
    logs.delete_metric_filter(logGroupName=group, filterName="widgets-dev-predictions")
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    calls.made.clear()
    result = reconcile(session, guarded)
    assert [(action["action"], action["reason"]) for action in result.actions] == [
        ("put-log-retention", "lines are kept for 30 days"),
        ("put-metric-filter", "the guard on labels counts with it"),
        ("put-alarm", "it is not as the settings say"),
        ("put-alarm", "it is missing"),
    ]
    assert reconcile(session, guarded).actions == ()


def test_a_guard_that_is_turned_off_loses_its_alarm(session: Any, guarded: Any, plane: Any) -> None:
    serve(session, guarded, plane)
    less = dataclasses.replace(guarded, guards={"errors_5xx": 7})
    reconcile(session, less)
    assert names(session) == {guards.alarm_name(less, "errors_5xx")}
    assert session.client("logs").describe_metric_filters(logGroupName=guards.log_group(less))["metricFilters"] == []
    found = monitor.alarms(session.client("cloudwatch"), less)
    assert [each.threshold for each in found.values()] == [7]


def test_alarms_go_when_the_endpoint_goes(session: Any, guarded: Any, plane: Any) -> None:
    """Only the guards': an alarm of somebody else stays, whatever its name begins with."""
    arn = serve(session, guarded, plane)
    mine = guards.alarms(guarded)[0].request
    session.client("cloudwatch").put_metric_alarm(**{**mine, "AlarmName": "widgets-dev-guard-of-mine"})
    reject(session, guarded, arn, why="x")
    plane._delete_endpoint({"EndpointName": guarded.names.endpoint})
    plane.settle()
    result = reconcile(session, guarded)
    assert result.action == outcome.NONE
    assert names(session) == {"widgets-dev-guard-of-mine"}
    assert session.client("logs").describe_log_groups()["logGroups"], "what it wrote stays"
